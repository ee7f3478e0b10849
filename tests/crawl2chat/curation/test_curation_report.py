"""The report of curation on a handful of documents written by hand: every count can be checked with a pencil."""

import csv
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from crawl2chat.curation.language import LanguageParams
from crawl2chat.curation.quality import C4Params, FineWebParams, GopherParams
from crawl2chat.curation.repetition import RepetitionParams
from crawl2chat.curation.report import chapter, summaries
from crawl2chat.curation.report.collect import collect
from crawl2chat.curation.report.inputs import Folders, ReportParams
from crawl2chat.curation.report.write import write
from stages.settings import tuned

PARAMS = tuned(ReportParams, samples=2, clusters=3, domains=4, characters=40)
BLOCKS = {
    "read": "extract",
    "address": "extract",
    "language": "filter",
    "gopher": "filter",
    "fineweb": "filter",
    "minhash": "deduplicate",
    "contamination": "deduplicate",
}


def hash_of(key: str) -> int:
    return int.from_bytes(key.encode(), "big")


def document(key: str, text: str, **metadata: Any) -> dict[str, Any]:
    page = {"url": f"https://{key}.example/", "domain": f"{key[0]}.example", "file": "a.warc", "offset": hash_of(key)}
    return {"text": text, "id": key, "metadata": page | {"page_bytes": 1_000, "language": "en", **metadata}}


def dropped(key: str, text: str, block: str, reason: str, value: Any = None, **metadata: Any) -> dict[str, Any]:
    marks = {"stage": BLOCKS[block], "block": block, "reason": reason, "value": value}
    return document(key, text, **marks, **metadata)


def shards(folder: Path, documents: list[dict[str, Any]], count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        lines = "".join(json.dumps(d) + "\n" for d in documents[number::count])
        (folder / f"{number:05d}.jsonl.zst").write_bytes(zstandard.compress(lines.encode()))


def folders(root: Path, count: int = 1) -> Folders:
    """Nine pages: one blocked, one German, two short, one rewritten, one copy with its twin, one exam question."""
    good = {"measured": {"gopher_words": 120, "line_punctuation": 0.9}, "language_score": 0.9}
    short = {"measured": {"gopher_words": 7}, "language_score": 0.8}
    twin = good | {"minhash_cluster_id": 5, "minhash_cluster_size": 2}
    removed = {
        "read": [dropped(f"r{n}", "", "read", "redirect") for n in range(4)]
        + [dropped("x", "", "read", "broken", detail="<cut>")],
        "address": [dropped("b", "<title>Cheap pills</title>" + "." * 100, "address", "blocked_domain")],
        "language": [dropped("d", "guten tag", "language", "language_de", 0.99, language="de", language_score=0.99)],
        "gopher": [dropped(f"s{n}", "too short", "gopher", "short", 7, **short) for n in range(3)],
        "fineweb": [],
        "minhash": [dropped("m", "one two three four five six", "minhash", "near_duplicate", 5, **twin)],
        "contamination": [dropped("e", "exam question", "contamination", "evaluation_item", "t1", **good)],
    }
    texts = {"k": "one two three four five seven", "l": "kept and shortened"}
    before = [document("k", texts["k"], **twin), document("l", "kept and shortened [edit]", **good)]
    after = [document("k", texts["k"], **twin), document("l", texts["l"], **good)]
    late = [*removed["minhash"], *removed["contamination"]]
    early = [*removed["language"], *removed["gopher"]]
    shards(root / "extracted", [*before, *early, *late], count)
    shards(root / "filtered", [*after, *late], count)
    for block, documents in removed.items():
        shards(root / "removed" / BLOCKS[block] / block, documents, count)
    rules = {
        "language": tuned(LanguageParams, "real"),
        "repetition": tuned(RepetitionParams, "real"),
        "gopher": tuned(GopherParams, "real", max_words=100_000, alphabetic_words=0.8),
        "c4": tuned(C4Params),
        "fineweb": tuned(FineWebParams),
    }
    (root / "removed" / "filter" / "rules.json").write_text(
        json.dumps({name: limits.model_dump() for name, limits in rules.items()})
    )
    # Texts from which an evaluation item was cut: they stay, and count as nothing that was dropped.
    cut = dropped("k", "a passage", "contamination", "evaluation_span", "t2", **good)
    shards(root / "removed" / "deduplicate" / "spans", [cut], count)
    (root / "corpus").mkdir()
    rows = [
        {
            "id": d["id"],
            "url": d["metadata"]["url"],
            "domain": d["metadata"]["domain"],
            "language": "en",
            "text": d["text"],
            "cluster": d["metadata"].get("minhash_cluster_id", -1),
        }
        for d in after
    ]
    pl.DataFrame(rows).write_parquet(root / "corpus" / "documents-00000.parquet")
    stages = {stage: root / "removed" / stage for stage in ("extract", "filter", "deduplicate")}
    return Folders(root / "extracted", root / "filtered", root / "corpus", stages, root / "truth")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    return collect(folders(tmp_path_factory.mktemp("curated")), PARAMS, {})


@pytest.fixture(scope="module")
def written(tables: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("written") / "report"
    write(tables, out)
    return out


def test_the_waterfall_counts_documents_bytes_and_words_after_each_block(tables: dict) -> None:
    left = {row["block"]: (row["documents"], row["bytes"], row["words"]) for row in tables["waterfall"]}
    texts = {"good": 29 + 18, "edit": 7, "late": 27 + 13, "short": 3 * 9, "german": 9}
    assert left["pages"] == (10, None, None)  # four redirects were never pages; the broken record was
    assert left["read"] == (9, 9_000, None) and left["address"] == (8, 8_000, None)
    assert left["extract"] == (8, sum(texts.values()), 6 + 4 + 8 + 6 + 2)
    assert left["language"] == (7, sum(texts.values()) - 9, 24)
    assert left["gopher"] == (4, texts["good"] + texts["edit"] + texts["late"], 18)
    assert left["c4"] == (4, texts["good"] + texts["late"], 17)  # which took [edit] away
    assert left["minhash"][0] == 3 and left["contamination"] == left["schema"] == (2, texts["good"], 9)
    assert all(row["tokens_estimated"] == round(row["bytes"] / 4) for row in tables["waterfall"][3:])


def test_a_long_text_in_parts_came_from_one_page(tmp_path: Path) -> None:
    parts = [document(f"book#{n}", "a chapter", offset=7) for n in range(3)]
    shards(tmp_path / "extracted", [*parts, document("next", "a page", offset=8)], 1)
    texts, pages = summaries.read_extracted(tmp_path / "extracted")
    assert (texts.documents, pages.documents, pages.bytes) == (4, 2, 2_000)


def test_every_dropped_document_is_counted_under_its_reason(tables: dict) -> None:
    counts = {(row["block"], row["reason"]): row["documents"] for row in tables["reasons"]}
    assert counts == {
        ("read", "redirect"): 4,
        ("read", "broken"): 1,
        ("address", "blocked_domain"): 1,
        ("language", "language_de"): 1,
        ("gopher", "short"): 3,
        ("minhash", "near_duplicate"): 1,
        ("contamination", "evaluation_item"): 1,
    }


def test_histograms_set_kept_against_dropped_with_the_limit_between(tables: dict) -> None:
    assert {row["measure"] for row in tables["histograms"]} == {"gopher_words"}  # no other limit dropped anything
    rows = tables["histograms"]
    assert {row["least"] for row in rows} == {tuned(GopherParams).min_words}
    assert sum(row["kept"] for row in rows) == rows[0]["kept_measured"] == 4
    assert sum(row["dropped"] for row in rows) == rows[0]["dropped_measured"] == 3
    assert all(row["from"] <= 7 < row["to"] for row in rows if row["dropped"])
    assert all(row["from"] <= 120 < row["to"] for row in rows if row["kept"])


def test_clusters_show_the_twin_that_stayed_and_its_copies(tables: dict) -> None:
    assert tables["cluster_sizes"] == [{"size": 2, "clusters": 1}]
    kept, copy = tables["duplicate_clusters"]
    assert (kept["fate"], kept["url"], kept["cluster"]) == ("kept", "https://k.example/", 5)
    assert (copy["fate"], copy["url"], copy["cluster"]) == ("dropped", "https://m.example/", 5)
    assert copy["shared"] == round(1 / 3, 3)  # one of three different runs of five words


def test_languages_domains_and_lengths_tell_kept_from_dropped(tables: dict) -> None:
    assert tables["languages"] == [
        {"language": "en", "kept": 2, "dropped": 5},
        {"language": "de", "kept": 0, "dropped": 1},
    ]
    assert tables["domains"][0] == {"domain": "s.example", "kept": 0, "dropped": 3} and len(tables["domains"]) == 4
    two_or_three = next(row for row in tables["lengths"] if row["words_from"] == 2)
    assert (two_or_three["words_to"], two_or_three["kept"], two_or_three["dropped"]) == (4, 1, 5)


def test_a_few_dropped_documents_of_every_reason_can_be_read(tables: dict) -> None:
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for row in tables["dropped_samples"]:
        by_reason.setdefault(row["reason"], []).append(row)
    assert set(by_reason) == {row["reason"] for row in tables["reasons"]}
    assert {reason: len(rows) for reason, rows in by_reason.items()}["short"] == PARAMS.samples
    assert (by_reason["short"][0]["value"], by_reason["short"][0]["limit"]) == (7, tuned(GopherParams).min_words)
    assert by_reason["blocked_domain"][0]["text"] == "Cheap pills"  # of HTML the title
    assert by_reason["broken"][0]["detail"] == "<cut>"


def test_the_same_documents_in_other_shards_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    write(collect(folders(tmp_path / "curated", count=3), PARAMS, {}), tmp_path / "again")
    files = sorted(path.name for path in written.iterdir())
    assert {"index.html", "waterfall.csv", "histograms.svg", "dropped_samples.jsonl"} <= set(files)
    assert files == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in files:
        assert (written / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_the_page_is_whole_by_itself_and_page_text_is_no_markup(written: Path) -> None:
    page = (written / "index.html").read_text(encoding="utf-8")
    for tag in ("<script", "<link", "<img", "@import", 'src="'):
        assert tag not in page
    assert "&lt;cut&gt;" in page and "<cut>" not in page
    assert page.count("<svg") == len(list(written.glob("*.svg"))) >= 6
    assert "precision" not in page  # without truth there is none


def test_what_is_written_is_read_again(tables: dict, written: Path, tmp_path: Path) -> None:
    found, figures = chapter.read(written)
    assert found == {name: rows for name, rows in tables.items() if rows}
    assert "waterfall" in figures
    with (written / "waterfall.csv").open(newline="") as file:
        assert [row["block"] for row in csv.DictReader(file)][0] == "pages"
    assert chapter.read(tmp_path / "nothing") == ({}, {})


def test_drift_is_shown_where_there_is_an_earlier_corpus(tables: dict, written: Path, tmp_path: Path) -> None:
    numbers = {"before": 0.003, "after": 0.104, "change": 0.101, "p": 1e-9}
    moved = {"measure": "domain", "what": "flood.example"} | numbers | {"drifted": True}
    write(
        tables | {"drift": [moved, moved | {"measure": "words", "what": "median", "drifted": False}]}, tmp_path / "new"
    )
    page = (tmp_path / "new" / "index.html").read_text(encoding="utf-8")
    assert "Drift from an earlier snapshot: 1" in page and "flood.example" in page and "median" not in page
    found, _ = chapter.read(tmp_path / "new")
    assert [row["drifted"] for row in found["drift"]] == [True, False]
    assert "Drift" not in (written / "index.html").read_text(encoding="utf-8")


def test_samples_are_bounded_and_drawn_by_keys_alone() -> None:
    keys = [f"document {n}" for n in range(1_000)]
    forwards, backwards = summaries.Sample(10), summaries.Sample(10)
    for key in keys:
        forwards.add(key, key)
    for key in reversed(keys):
        backwards.add(key, key)
    assert forwards.items() == backwards.items() and len(forwards.heap) == 10 and forwards.seen == 1_000
    assert len({key[:10] for key in forwards.items()}) > 3  # not the first ones


def test_the_frequent_domains_survive_when_the_rare_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "DOMAINS_IN_MEMORY", 50)
    census = summaries.Census()
    for n in range(2_000):
        census.add("en", f"rare{n}.example", "text", kept=True)
        census.add("en", "often.example", "text", kept=n % 2 == 0)
    assert len(census.domains) <= 50
    assert census.rows("domain", census.domains)[0] == {"domain": "often.example", "kept": 1_000, "dropped": 1_000}
