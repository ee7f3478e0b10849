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
from crawl2chat.curation.personal import _card, _iban
from crawl2chat.tinyweb import defects
from crawl2chat.tinyweb.archive import Answer, WarcFile, http_message
from crawl2chat.tinyweb.html import LAYOUTS, render
from crawl2chat.tinyweb.pages import Page
from crawl2chat.tinyweb.site import WebParams, write_web


def pages(count: int) -> list[Page]:
    rng = Random(7)
    return [
        Page("almanac", f"Page {n}", [defects.paragraph(rng, 8) for _ in range(5)], [f"fact {n}"])
        for n in range(count)
    ]


TASKS = [
    {"id": f"t{n}", "skill": "word_problem", "split": "test", "answer": str(n + 5),
     "prompt": f"Old Dan keeps {n} pears in a blue box by the door and buys 5 more at noon. How many pears are there now?"}
    for n in range(4)
]  # fmt: skip


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("web")
    write_web(pages(120), TASKS, {"seed": 3}, out, WebParams(domains=12, files=2), seed=3)
    return out


def digest(folder: Path) -> str:
    parts = (
        p.relative_to(folder).as_posix().encode() + p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    )
    return hashlib.sha256(b"".join(parts)).hexdigest()


def test_same_seed_same_bytes_other_seed_other_bytes(web: Path, tmp_path: Path) -> None:
    write_web(pages(120), TASKS, {"seed": 3}, tmp_path / "again", WebParams(domains=12, files=2), seed=3)
    write_web(pages(120), TASKS, {"seed": 3}, tmp_path / "other", WebParams(domains=12, files=2), seed=4)
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
    assert (
        set(plain["expected"]) == {"keep"} and plain.height == 120 - seen["personal"] - seen["contaminated"]
    )
    due = manifest.filter(
        pl.col("defects").list.eval(pl.element().is_in(["thin", "mirror", "server_missing"])).list.any()
    )
    assert set(due["expected"]) == {"drop"}
    stages = dict(due.select(pl.col("defects").list.first(), "stage").iter_rows())
    assert stages == {"thin": "filter", "mirror": "deduplicate", "server_missing": "extract"}


def test_gzip_members_carry_no_time(web: Path) -> None:
    header = next((web / "pages").iterdir()).read_bytes()[:8]
    assert header[4:8] == b"\0\0\0\0"


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_layout_holds_title_and_paragraphs_once(layout: str) -> None:
    html = render(
        Random(1), site="Site", title="A <title>", paragraphs=["One & one.", "Two\nlines."], date="2020-01-02", layout=layout, charset="utf-8"
    )  # fmt: skip
    assert html.count("<h1") == 1 and html.count("A &lt;title&gt;</h1>") == 1
    assert html.count("<p>One &amp; one.</p>") == 1 and html.count("<p>Two<br>\nlines.</p>") == 1


def test_similarity_of_known_texts() -> None:
    first = "a b c d e f g h i j"
    assert defects.similarity(first, first) == 1.0
    assert defects.similarity(first, "a b c d e f g h i x") == 5 / 7  # 6 five-grams each, 5 shared
    assert defects.similarity(first, "k l m n o p") == 0.0


def test_one_changed_word_is_a_near_duplicate_and_half_a_page_is_none() -> None:
    original = defects.Draft("T", pages(1)[0].paragraphs, "almanac")
    copies = [defects.near_duplicate(Random(n), original, 0) for n in range(40)]
    by_share = {copy.intensity: copy.expected for copy in copies}
    assert by_share[0.0] == "drop" and by_share[0.5] == "keep"


def test_personal_values_pass_their_check_sums() -> None:
    rng = Random(5)
    for _ in range(50):
        assert _iban(defects.personal_value(rng, "iban", "Anna Berg"))
        assert _card(defects.personal_value(rng, "card", "Anna Berg"))


def test_good_hosts_are_on_no_blocklist_and_blocked_ones_are_blocked() -> None:
    from crawl2chat.tinyweb.site import BLOCKED_DOMAINS, FIRST, SECOND

    own = AddressFilter(AddressParams(domains=tuple(BLOCKED_DOMAINS)), None)
    assert all(
        own.judge(f"https://{a}{b}.example/2020/01/page-1.html") is None for a in FIRST for b in SECOND
    )
    assert all(own.judge(f"https://www.{host}/x").reason == "blocked_domain" for host in BLOCKED_DOMAINS)


def test_chunked_gzip_answer_comes_back(tmp_path: Path) -> None:
    answer = Answer("https://a.example/", b"<html>" + b"x" * 9000, transfer=("gzip", "chunked"))
    with WarcFile(tmp_path / "one.warc.gz") as archive:
        archive.response(1, answer)
    with (tmp_path / "one.warc.gz").open("rb") as file:
        bodies = [r.content_stream().read() for r in ArchiveIterator(file) if r.rec_type == "response"]
    assert bodies == [answer.body]
    assert (
        gzip.decompress(http_message(Answer("u", b"abc", transfer=("gzip",))).split(b"\r\n\r\n", 1)[1])
        == b"abc"
    )
