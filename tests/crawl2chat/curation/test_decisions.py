"""Addresses, extraction, language, personal data, contamination, corpus schema: single decisions on known input."""

import os
from pathlib import Path

import pytest

from crawl2chat.curation import corpus, personal
from crawl2chat.curation.addresses import AddressFilter, AddressParams
from crawl2chat.curation.contamination import Item, Overlap, without
from crawl2chat.curation.extraction import CANARY, date_of, extract, split_text, title_of
from crawl2chat.curation.language import identify
from stages.settings import tuned


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://www.spam.example/page", "blocked_domain"),
        ("https://spam.example.org/page", None),
        ("https://a.example/report.PDF", "file_type"),
        ("https://a.example/buy-pills-now", "blocked_word"),
        ("https://a.example/pillsbury", None),
        ("http://[broken/", "broken_url"),
        ("https://a.example/garden/roses.html", None),
    ],
)
def test_own_lists_of_addresses(url: str, reason: str | None) -> None:
    judge = AddressFilter(tuned(AddressParams, domains=("spam.example",), words=("pills",)), None).judge
    assert getattr(judge(url), "reason", None) == reason


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura", "auto"])
def test_main_text_without_its_frame(extractor: str) -> None:
    text = extract(CANARY, extractor)
    assert text.startswith("Canary\n") or extractor != "resiliparse"
    assert "air is good enough to work in." in text and "nobody can smell the danger." in text
    assert "Home" not in text


def test_broken_markup_and_no_markup_give_text_or_nothing() -> None:
    assert "left open" in extract(
        "<html><body><p>This paragraph is left open<p>and this one too <b>bold", "resiliparse"
    )
    assert extract("", "resiliparse") == ""
    assert extract("<html><body></body></html>", "resiliparse") == ""


def test_long_texts_are_cut_between_lines() -> None:
    text = "".join(f"Line number {n}.\n" for n in range(10))
    parts = split_text(text, 50)
    assert len(parts) == 4 and all(len(part) <= 50 for part in parts)
    assert "\n".join(parts) == text.strip()
    assert split_text(text, 0) == split_text(text, 10_000) == [text]
    assert split_text("x" * 90 + "\ny", 50) == ["x" * 90, "y"]


def test_title_and_date() -> None:
    html = '<title>Fish &amp; chips</title><meta property="article:published_time" content="2021-03-04T10:00:00Z">'
    assert (title_of(html), date_of(html)) == ("Fish & chips", "2021-03-04")
    assert date_of('<time datetime="2019-12-31">') == "2019-12-31"
    assert (title_of("<p>"), date_of("<p>")) == ("", "")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The baker opened the shop early in the morning.", "en"),
        ("Der Bäcker öffnete den Laden früh am Morgen.", "de"),
        ("Le boulanger a ouvert la boutique tôt le matin.", "fr"),
        ("Пекарь открыл магазин рано утром.", "ru"),
    ],
)
def test_language(text: str, language: str) -> None:
    found, score = identify(text)
    assert found == language and 0.5 < score <= 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to anna.berg+news@post.co.uk, please.", "Write to [email], please."),
        ("Call +49 30 1234567 or (212) 555-1234 or 212-555-1234.", "Call [phone] or [phone] or [phone]."),
        ("From 93.184.216.34, not 192.168.0.1 or 1.2.3.4.5.", "From [ip], not 192.168.0.1 or 1.2.3.4.5."),
        ("It runs version 7.19.2.197, or v2.20.7.50.", "It runs version 7.19.2.197, or v2.20.7.50."),
        # no account's number, though a part of it has the check digit of a card
        ("Listed as ES12 4908 4995 6047 2838 3425 here.", "Listed as ES12 4908 4995 6047 2838 3425 here."),
        ("Call (07) 5331 0577, 001-420-335-7509x385 or 986.291.2294 x751.", "Call [phone], [phone] or [phone]."),
        ("Account DE89 3704 0044 0532 0130 00.", "Account [iban]."),
        ("Account gb50mvfc38361978683032, not gb51mvfc38361978683032.", "Account [iban], not gb51mvfc38361978683032."),
        ("Account DE88 3704 0044 0532 0130 00.", "Account DE88 3704 0044 0532 0130 00."),
        ("Card 4111 1111 1111 1111 or 4111111111111112.", "Card [card] or 4111111111111112."),
        ("What is 1234+5678? 6912. And 12-3-4567=? On 2021-03-04 at 10:30 in 1990.", None),
        ("ones 7+6+0=13, tens 0+0+1=1, hundreds 1+4+0=5, so 513. 4994-2328 shows 2666.", None),
    ],
)
def test_personal_data_is_replaced_and_numbers_are_not(text: str, expected: str | None) -> None:
    assert personal.replace(text)[0] == (text if expected is None else expected)


def test_personal_data_is_counted_by_kind() -> None:
    assert personal.replace("a@b.com and c@d.org from 8.8.8.8")[1] == {"email": 2, "ip": 1}


def test_contamination_needs_a_whole_run_of_words() -> None:
    prompts = {
        "long": "one two three four five six seven eight nine ten",
        "whole": "Which way to the old mill?",
        "short": "Who? Why?",
    }
    overlap = Overlap([Item(key, "set", prompt) for key, prompt in prompts.items()], n=8, least=4)

    def found(text: str) -> list[str]:
        return [text[match.start : match.end] + " " + match.item.id for match in overlap.matches(text)]

    assert found("Zero, One two three; four five six SEVEN eight.") == ["One two three; four five six SEVEN eight long"]
    assert found("two three four five six seven eight x nine") == []
    assert found("He asked: which way to the old mill") == ["which way to the old mill whole"]
    assert found("İI: which way to the old mill?") == ["which way to the old mill whole"]
    assert found("which way to the mill") == found("Who? Why?") == []


def test_only_lines_that_show_an_item_are_cut() -> None:
    text = "First line.\nWhich way to\nthe old mill? Left.\nLast line."
    overlap = Overlap([Item("1", "set", "Which way to the old mill?")], n=8, least=4)
    assert without(text, overlap.matches(text)) == ("First line.\nLast line.", "Which way to\nthe old mill? Left.")
    assert without(text, []) == (text, "")


def document(**more: object) -> dict:
    metadata = {
        "url": "https://a.example/1",
        "domain": "a.example",
        "date": "2021-03-04T00:00:00Z",
        "language": "en",
        "language_score": 0.9,
        "words": 3,
        "file": "a.warc.gz",
        "offset": 5,
        **more,
    }
    return {"id": "1", "text": "Three short words.", "metadata": metadata}


@pytest.mark.parametrize(
    ("column", "value", "check"),
    [
        ("id", "1", "unique"),
        ("url", "a.example/1", "str_matches"),
        ("domain", "b.example", "domain_of_url"),
        ("date", "yesterday", "calendar_date"),
        ("date", "2021-02-30", "calendar_date"),
        ("language_score", 1.5, "in_range"),
        ("line_punctuation", 1.5, "in_range"),
        ("mean_word_length", -1.0, "greater_than_or_equal_to"),
        ("words", 0, "greater_than_or_equal_to"),
        ("cluster_size", 3, "size_of_cluster"),
        ("text", " ", "str_matches"),
        ("text", "null \0 character", "no_null_character"),
        ("sha256", "0" * 64, "sha256_of_text"),
        ("file", "", "str_length"),
        ("offset", -2, "greater_than_or_equal_to"),
    ],
)
def test_a_row_that_breaks_the_schema_is_named_with_column_and_check(column: str, value: object, check: str) -> None:
    rows = [corpus.row(document() | {"id": key}) for key in "123"]
    rows[1][column] = value
    if column == "text":
        rows[1]["sha256"] = corpus.sha256(value)
    good, failures = corpus.validated(rows, new=[True, column != "id", True])
    assert good["id"].to_list() == ["1", "3"] and good["date"].to_list() == ["2021-03-04"] * 2
    assert [(f["id"], f["column"], f["row"]) for f in failures] == [(rows[1]["id"], column, 1)]
    assert failures[0]["check"].startswith(check) and failures[0]["value"] == str(value)


def test_ids_are_known_across_batches_and_files(tmp_path: Path) -> None:
    identities = corpus.Identities(tmp_path / "ids.sqlite")
    assert identities.new(["a", "b", "a"]) == [True, True, False]
    assert identities.new(["c", "b"]) == [True, False]


def test_the_corpus_is_written_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large a shard is, no more than a batch of its documents is in memory."""
    import json

    import polars as pl
    import zstandard

    sizes: list[int] = []
    real = corpus.validated
    monkeypatch.setattr(corpus, "BATCH", 7)
    monkeypatch.setattr(corpus, "validated", lambda rows, new: sizes.append(len(rows)) or real(rows, new))
    for shard in range(2):
        with zstandard.open(tmp_path / f"{shard:05d}.jsonl.zst", "w") as file:
            file.writelines(json.dumps(document() | {"id": f"{shard} {n % 19}"}) + "\n" for n in range(20))
    rejected: list[tuple[str, str, int]] = []
    count = corpus.write(
        sorted(tmp_path.glob("*.zst")),
        tmp_path,
        tmp_path / "ids.sqlite",
        lambda d, failures, rank: rejected.append((d["id"], failures[0]["check"], rank)),
    )
    assert count == pl.read_parquet(tmp_path / "*.parquet").height == 38 and max(sizes) == 7
    assert rejected == [("0 0", "unique", 0), ("1 0", "unique", 1)]


@pytest.mark.real
def test_extraction_of_real_articles_is_as_good_as_trafilatura() -> None:
    """Word-level F1 on the first 40 articles with a known main text; .92 on all 130."""
    import gzip
    import json

    from resiliparse.extract.html2text import extract_plain_text

    from crawl2chat.curation.extraction_score import word_f1
    from crawl2chat.curation.reading.any_file import read_file
    from crawl2chat.curation.reading.records import Found

    if not (folder := os.environ.get("CRAWL2CHAT_REAL_DATA")):
        pytest.skip("CRAWL2CHAT_REAL_DATA names no folder")
    with gzip.open(Path(folder) / "gold" / "readability_expected.jsonl.gz") as file:
        gold = {row["url"]: extract_plain_text(row["expected_html"]) for row in map(json.loads, file)}
    found = [
        r for r in read_file(Path(folder) / "crawl" / "pages-readability.warc.gz", 1 << 25) if isinstance(r, Found)
    ]
    pages = [record for record in found if record.metadata["url"] in gold][:40]
    scores = {
        name: sum(word_f1(extract(p.text, name), gold[p.metadata["url"]]) for p in pages) / len(pages)
        for name in ("resiliparse", "trafilatura")
    }
    assert scores["resiliparse"] > max(0.88, scores["trafilatura"] - 0.02)
