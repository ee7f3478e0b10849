"""The curation and language benchmarks: which pages count, how chains are compared, what the figures mean."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from benchmarks import chains, curation, language
from benchmarks.chains import Outcome
from crawl2chat.curation.extraction import CANARY
from crawl2chat.errors import UserError
from crawl2chat.tinyweb.archive import Answer, WarcFile

STORY = (
    "The old mill by the river had been closed for many years before anybody thought of opening it again. "
    "A young baker, who had come to the valley with his family, asked the council for the key. "
    "They gave it to him on the condition that he would repair the roof and keep the wheel in motion. "
    "It took him two winters to do it. Since then the smell of fresh bread has met every traveller at the bridge."
)
PAGES = {
    "http://a.example/story": f"<html><body><article><h1>The mill</h1><p>{STORY}</p></article></body></html>",
    "http://b.example/canary": CANARY,
    "http://c.example/german": "<html><body><article><h1>Die Mühle</h1><p>"
    + "Der Müller hat die alte Mühle am Fluss wieder geöffnet und mahlt dort jeden Tag. " * 9
    + "</p></article></body></html>",
}


@pytest.fixture
def crawl(tmp_path: Path) -> Path:
    folder = tmp_path / "crawl"
    folder.mkdir()
    for name in ("one", "same"):  # the second file repeats the records of the first
        with WarcFile(folder / f"{name}.warc.gz") as warc:
            for number, (url, html) in enumerate(PAGES.items()):
                warc.response(number, Answer(url, html.encode()))
            warc.response(7, Answer("http://d.example/gone", CANARY.encode(), status=404))
            warc.response(8, Answer("http://d.example/image", b"\x89PNG\r\n", content_type="image/png"))
    return folder


def test_pages_are_those_that_both_readers_accept_once(crawl: Path, tmp_path: Path) -> None:
    counts = curation.collect(crawl, tmp_path / "pages")
    assert counts["pages"] == len(PAGES)
    pages = curation._pages(tmp_path / "pages" / "pages.warc.gz")
    assert {page.metadata["url"]: page.text for page in pages} == PAGES


def test_a_folder_without_pages_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No WARC file with web pages"):
        curation.collect(tmp_path, tmp_path / "pages")


def test_our_chain_decides_every_page(crawl: Path, tmp_path: Path) -> None:
    counts = curation.collect(crawl, tmp_path / "pages")
    (tmp_path / "lists").mkdir()
    for name in ("domains", "urls"):  # no blocklists: they take seconds to build
        np.save(tmp_path / "lists" / f"{name}.npy", np.zeros(0, np.uint64))
    outcome = chains.ours(tmp_path, "resiliparse")(tmp_path / "pages", tmp_path / "aside")
    pages = curation._pages(tmp_path / "pages" / "pages.warc.gz")
    found = {page.metadata["url"][-6:]: outcome.decisions[page.id] for page in pages}
    assert len(outcome.decisions) == counts["pages"]
    assert found == {"/story": "kept", "canary": "gopher: short", "german": "language: language_de"}
    assert {"extract", "language", "repetition", "signatures", "personal"} <= outcome.block_ms.keys()


def test_ratio_is_the_median_of_paired_repeats() -> None:
    def outcome(seconds: float, peak: float = 0.0) -> Outcome:
        return Outcome(seconds=seconds, peak_mb=peak, block_ms={"extract": seconds})

    figures = curation.speed(
        {
            "stock": [outcome(10.0), outcome(30.0), outcome(12.0)],
            "ours": [outcome(2.0, 300.0), outcome(3.0, 400.0), outcome(2.0, 350.0)],
            "same": [outcome(5.0), outcome(10.0)],
        },
        pages=100,
    )
    assert figures["speed_ratio"] == 6.0  # of 5, 10 and 6
    assert (figures["speed_ratio_min"], figures["speed_ratio_max"]) == (5.0, 10.0)
    assert figures["speed_ratio_same_extractor"] == 2.5
    assert figures["peak_rss_mb"] == 400.0
    assert figures["pages_per_second_ours"] == 50.0


def test_decisions_are_compared_page_by_page() -> None:
    stock = Outcome({"a": "kept", "b": "gopher: short", "c": "c4: curly", "d": "kept"})
    same = Outcome({"a": "kept", "b": "c4: few_sentences", "c": "kept", "d": "kept"})
    figures, apart = curation.decisions(stock, same)
    assert figures["equal_decisions"] == 0.75 and figures["equal_decisions_n"] == 4
    assert figures["equal_blocks"] == 0.5
    assert apart == ["1 x  stock: c4: curly   ours: kept"]


def test_main_text_scores_both_extractors_on_the_same_pages(crawl: Path, tmp_path: Path) -> None:
    curation.collect(crawl, tmp_path / "pages")
    pages = curation._pages(tmp_path / "pages" / "pages.warc.gz")
    figures = curation.main_text(pages, {"http://a.example/story": f"The mill {STORY}"})
    assert figures["f1_ours_n"] == figures["f1_trafilatura_n"] == figures["f1_difference_n"] == 1
    assert figures["f1_ours"] == 1.0 and figures["f1_trafilatura"] > 0.9


def test_languages_are_counted_for_both_models(tmp_path: Path) -> None:
    lines = {
        "en": "The committee will meet again on Thursday to talk about the new bridge.",
        "de": "Der Ausschuss trifft sich am Donnerstag wieder, um über die neue Brücke zu sprechen.",
        "nb": "Komiteen møtes igjen på torsdag for å snakke om den nye broen over elven.",
    }
    for code, line in lines.items():
        (tmp_path / f"{code}.txt.gz").write_bytes(gzip.compress(f"{line}\n{line}\n\n".encode()))
    figures = language.compare(tmp_path)
    assert figures["languages"] == figures["languages_known_to_both"] == 3
    assert figures["accuracy_ours"] == 1.0 and figures["accuracy_ours_n"] == 6
    assert figures["english_kept"] == 1.0 and figures["others_kept"] == 0.0
    assert "   en     2" in language.table(figures)
    with pytest.raises(UserError, match="needs sentences by language"):
        language.compare(tmp_path / "nothing")
