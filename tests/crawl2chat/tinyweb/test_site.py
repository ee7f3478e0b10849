"""The tiny web: true WARC files, the same bytes for the same seed, and a manifest that tells the truth about them."""

import gzip
import hashlib
from collections import Counter
from pathlib import Path
from random import Random

import polars as pl
import pytest
from warcio.archiveiterator import ArchiveIterator

from crawl2chat.curation.addresses import AddressFilter, AddressParams
from crawl2chat.curation.personal import is_card, is_iban
from crawl2chat.curation.reading.archives import read_archive
from crawl2chat.curation.reading.records import Found
from crawl2chat.tasks import Task
from crawl2chat.tinyweb import defects
from crawl2chat.tinyweb.archive import Answer, WarcFile, http_message
from crawl2chat.tinyweb.html import LAYOUTS, render
from crawl2chat.tinyweb.pages import Page
from crawl2chat.tinyweb.site import WebParams, write_web
from stages.settings import tuned


def pages(count: int) -> list[Page]:
    rng = Random(7)
    return [
        Page("almanac", f"Page {n}", [defects.paragraph(rng, 8) for _ in range(5)], [f"fact {n}"]) for n in range(count)
    ]


TASKS = [
    Task(
        id=f"t{n}",
        skill="word_problem",
        split="test",
        answer=str(n + 5),
        prompt=f"Old Dan keeps {n} pears in a blue box by the door and buys 5 more at noon. "
        "How many pears are there now?",
    )
    for n in range(4)
]


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("web")
    write_web(pages(120), TASKS, {"seed": 3}, out, tuned(WebParams, domains=12, files=2), seed=3)
    return out


def digest(folder: Path) -> str:
    parts = (
        p.relative_to(folder).as_posix().encode() + p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    )
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_same_seed_same_bytes_other_seed_other_bytes(web: Path, tmp_path: Path) -> None:
    write_web(pages(120), TASKS, {"seed": 3}, tmp_path / "again", tuned(WebParams, domains=12, files=2), seed=3)
    write_web(pages(120), TASKS, {"seed": 3}, tmp_path / "other", tuned(WebParams, domains=12, files=2), seed=4)
    assert digest(tmp_path / "again") == digest(web)
    assert digest(tmp_path / "other") != digest(web)


def test_manifest_names_every_record_at_its_place(web: Path) -> None:
    manifest = pl.read_parquet(web / "truth" / "manifest.parquet")
    found = {}
    for path in sorted((web / "pages").iterdir()):
        with path.open("rb") as file:
            iterator = ArchiveIterator(file)
            for record in iterator:
                if record.rec_type != "warcinfo":
                    assert record.format == "warc" and record.rec_headers.protocol == "WARC/1.1"
                    url = record.rec_headers.get_header("WARC-Target-URI")
                    found[record.rec_headers.get_header("WARC-Record-ID")] = (
                        path.name,
                        iterator.get_record_offset(),
                        url,
                    )
    rows = manifest.select("record_id", "file", "offset", "url").iter_rows()
    assert {identity: rest for identity, *rest in map(list, rows)} == {k: list(v) for k, v in found.items()}


def test_every_defect_occurs_with_its_expected_decision(web: Path) -> None:
    manifest = pl.read_parquet(web / "truth" / "manifest.parquet")
    seen = Counter(d.split("_")[0] for row in manifest["defects"].to_list() for d in row)
    wanted = "blocked language thin repetitive list garbled mirror near server personal contaminated"
    assert set(wanted.split()) <= set(seen)
    plain = manifest.filter(pl.col("defects").list.len() == 0)
    params = tuned(defects.DefectParams)
    changed = sum(round(120 * share) for share in (params.personal, params.contaminated, params.mild))
    assert set(plain["expected"]) == {"keep"} and plain.height == 120 - changed
    due = manifest.filter(
        pl.col("defects").list.eval(pl.element().is_in(["lorem_ipsum", "mirror", "server_missing"])).list.any()
    )
    assert set(due["expected"]) == {"drop"}
    stages = dict(due.select(pl.col("defects").list.first(), "stage").iter_rows())
    assert stages == {"lorem_ipsum": "filter", "mirror": "deduplicate", "server_missing": "extract"}


def test_gzip_members_carry_no_time(web: Path) -> None:
    header = next((web / "pages").iterdir()).read_bytes()[:8]
    assert header[4:8] == b"\0\0\0\0"


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_layout_holds_title_and_paragraphs_once(layout: str) -> None:
    html = render(
        Random(1),
        site="Site",
        title="A <title>",
        paragraphs=["One & one.", "Two\nlines."],
        date="2020-01-02",
        layout=layout,
        charset="utf-8",
    )
    assert html.count("<h1") == 1 and html.count("A &lt;title&gt;</h1>") == 1
    assert html.count("<p>One &amp; one.</p>") == 1 and html.count("<p>Two<br>\nlines.</p>") == 1


def test_similarity_of_known_texts() -> None:
    first = "a b c d e f g h i j"
    assert defects.similarity(first, first) == 1.0
    assert defects.similarity(first, "a b c d e f g h i x") == 5 / 7  # 6 five-grams each, 5 shared
    assert defects.similarity(first, "k l m n o p") == 0.0


def test_near_duplicates_fall_into_their_band_from_one_word_to_half_a_page() -> None:
    original = defects.Draft("T", pages(1)[0].paragraphs, "almanac")
    word = defects.near_duplicate(Random(1), original, 0, None)
    assert word.intensity == 0.0 and word.expected == "drop" and word.similarity > 0.95
    for band, decision in zip(defects.BANDS, ("drop", "drop", "either", "either", "keep"), strict=True):
        copies = [defects.near_duplicate(Random(n), original, 0, band) for n in range(10)]
        inside = [copy for copy in copies if band[0] <= copy.similarity < band[1]]
        assert len(inside) >= 8 and {copy.expected for copy in inside} == {decision}
    assert max(copy.intensity for copy in copies) >= 0.5


def test_each_defect_comes_in_several_intensities_and_its_mildest_stays() -> None:
    rng, good = Random(2), defects.Draft("T", pages(1)[0].paragraphs, "almanac")
    makers = {
        "blocked": lambda: defects.blocked(rng, ["a.example"]),
        "language": lambda: defects.other_language(rng, "de"),
        "thin": lambda: defects.thin(rng),
        "repetitive": lambda: defects.repetitive(rng),
        "list": lambda: defects.short_lines(rng),
        "marked": lambda: defects.marked(rng),
        "garbled": lambda: defects.garbled(rng, rng.randrange(9)),
        "personal": lambda: defects.personal(rng, good),
    }
    for name, make in makers.items():
        assert len({make().intensity for _ in range(60)}) >= 3, name
    mild = [defects.mild(rng, good, number) for number in range(60)]
    assert {draft.expected for draft in mild} == {"keep"}
    labels = {draft.defects[0].split("_")[0] for draft in mild}
    assert labels == {"language", "repetitive", "list", "javascript", "garbled", "blocked"}
    assert all(draft.intensity < 0.3 for draft in mild if draft.intensity != 1)
    foreign = defects.other_language(Random(3), "de")
    german = sum(len(s) for p in foreign.paragraphs for s in p.split(". ") if not s.startswith(tuple(defects.SUBJECTS)))
    assert german / sum(map(len, foreign.paragraphs)) == pytest.approx(foreign.intensity, abs=0.1)


def test_lookalikes_resemble_personal_data_and_fail_every_check_sum() -> None:
    rng = Random(6)
    for _ in range(50):
        assert not is_iban(defects.lookalike_value(rng, "iban"))
        assert not is_card(defects.lookalike_value(rng, "card"))
    page = defects.lookalike(rng, defects.Draft("T", pages(1)[0].paragraphs, "almanac"))
    assert page.expected == "keep" and not page.personal
    assert all(item["value"] in page.text for item in page.lookalikes) and page.lookalikes


def test_the_manifest_tells_how_every_page_was_served(web: Path) -> None:
    manifest = pl.read_parquet(web / "truth" / "manifest.parquet")
    served = manifest.filter(pl.col("layout").is_not_null())
    assert served.height == manifest.filter(~pl.col("kind").eq("server")).height
    assert set(served["layout"]) == set(LAYOUTS) and served["charset"].n_unique() >= 4
    assert served["broken_markup"].min() == 0 and served["broken_markup"].max() > 1
    assert {"plain", "gzip", "chunked", "gzip+chunked"} <= set(served["transfer"])
    assert set(served["text"].str.len_chars() > 0) == {True}


@pytest.mark.parametrize("transfer", ["gzip", "deflate", "bare-deflate", "br", "claimed-gzip", "chunked"])
def test_every_transfer_is_undone_by_the_reader(transfer: str, tmp_path: Path) -> None:
    body = "<html><p>Zoë’s page</p></html>".encode("utf-16")
    with WarcFile(tmp_path / "one.warc.gz") as archive:
        archive.response(1, Answer("https://a.example/", body, "text/html", transfer=(transfer,)))
    texts = [r.text for r in read_archive(tmp_path / "one.warc.gz", 10**6) if isinstance(r, Found)]
    assert [text.removeprefix("\ufeff") for text in texts] == ["<html><p>Zoë’s page</p></html>"]


def test_personal_values_pass_their_check_sums() -> None:
    rng = Random(5)
    for _ in range(50):
        assert is_iban(defects.personal_value(rng, "iban", "Anna Berg"))
        assert is_card(defects.personal_value(rng, "card", "Anna Berg"))


def test_good_hosts_are_on_no_blocklist_and_blocked_ones_are_blocked() -> None:
    from crawl2chat.tinyweb.site import BLOCKED_DOMAINS, FIRST, SECOND

    own = AddressFilter(tuned(AddressParams, domains=tuple(BLOCKED_DOMAINS)), None)
    assert all(own.judge(f"https://{a}{b}.example/2020/01/page-1.html") is None for a in FIRST for b in SECOND)
    assert all(own.judge(f"https://www.{host}/x").reason == "blocked_domain" for host in BLOCKED_DOMAINS)


def test_chunked_gzip_answer_comes_back(tmp_path: Path) -> None:
    answer = Answer("https://a.example/", b"<html>" + b"x" * 9000, transfer=("gzip", "chunked"))
    with WarcFile(tmp_path / "one.warc.gz") as archive:
        archive.response(1, answer)
    with (tmp_path / "one.warc.gz").open("rb") as file:
        bodies = [r.content_stream().read() for r in ArchiveIterator(file) if r.rec_type == "response"]
    assert bodies == [answer.body]
    assert gzip.decompress(http_message(Answer("u", b"abc", transfer=("gzip",))).split(b"\r\n\r\n", 1)[1]) == b"abc"


def test_servers_have_habits_of_their_own() -> None:
    heads = [http_message(Answer(f"https://h{n}.example/", b"x")).split(b"\r\n\r\n")[0] for n in range(200)]
    assert {b"Server: nginx", b"server: cloudflare"} <= {head.split(b"\r\n")[1] for head in heads}
    assert 20 < sum(b"content-type:" in head for head in heads) < 100
    assert http_message(Answer("https://h1.example/a", b"x")).startswith(heads[1])
