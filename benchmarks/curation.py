"""Curation against the stock FineWeb recipe: speed, decisions and memory, and main text and languages against peers.

In: the pages of `crawl/` below `--data` that both readers accept, or the tiny web's. Each repeat passes all of them
through datatrove's recipe and through ours; the first two also through ours with datatrove's extractor, where decisions
are compared. Speed is processor time, worker and extracting child together, on one core, so that it holds on a busy
machine as well; ratios are medians over repeats. Main text: word-level F1 against `gold/readability_expected.jsonl.gz`
(tiny web: the intended text) beside trafilatura with datatrove's settings, and without its memory across documents,
which serves it better: the difference is to that. Out: tables, then one line of JSON.
"""

import gzip
import io
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

from benchmarks import command, data_folder, language
from benchmarks.chains import CHAINS, Outcome, Worker
from benchmarks.measure import show
from crawl2chat.curation import extraction
from crawl2chat.curation.extraction_score import word_f1
from crawl2chat.curation.reading.any_file import read_file
from crawl2chat.curation.reading.records import Found
from crawl2chat.curation.score import truth_of
from crawl2chat.errors import UserError
from crawl2chat.evaluation.statistics import accuracy, as_metrics, mean, paired_difference
from stages.settings import tuned

PAGES = 2_000  # page passes at least, on real data
LIMIT = 32 * 2**20  # bytes of a record


# ---- pages


def collect(crawl: Path, out: Path, most: int = 0) -> dict[str, int]:
    """Write the pages of the WARC files in `crawl` that both readers accept to `out`/pages.warc.gz, `most` at most."""
    from warcio.warcwriter import WARCWriter

    out.mkdir(parents=True)
    candidates = list(_candidates(crawl, most))
    if not candidates:
        raise UserError(f"No WARC file with web pages in {crawl}; --data needs a folder crawl/ with some.")
    both, path = {key for key, _ in candidates}, out / "pages.warc.gz"
    for _ in range(2):  # all of them for our reader, then those that it accepts
        with path.open("wb") as file:
            writer = WARCWriter(file, gzip=True)
            for key, block in candidates:
                if key in both:
                    writer.write_record(next(_records(io.BytesIO(block))))
        both = {found.id for found in _pages(path)}
    return {"pages": len(both), "pages_stock_alone_reads": len(candidates) - len(both)}


def _records(file: Any) -> Iterator[Any]:
    from warcio.archiveiterator import ArchiveIterator

    return iter(ArchiveIterator(file))


def _candidates(crawl: Path, most: int) -> Iterator[tuple[str, bytes]]:
    """(record id, record) of every answer 200 that datatrove's reader makes a document of, each id once."""
    from datatrove.pipeline.readers.warc import process_record
    from warcio.recordloader import ArcWarcRecord
    from warcio.warcwriter import WARCWriter

    seen: set[str] = set()
    for path in sorted([*crawl.glob("*.warc"), *crawl.glob("*.warc.gz")]):
        with path.open("rb") as file:
            for record in _records(file):
                key = record.rec_headers.get_header("WARC-Record-ID")
                http = record.http_headers
                if record.rec_type != "response" or not http or http.get_statuscode() != "200" or key in seen:
                    continue
                block = http.to_bytes() + record.raw_stream.read()
                copy, whole = io.BytesIO(), io.BytesIO(block)
                kind = record.rec_headers.get_header("Content-Type")
                WARCWriter(copy, gzip=False).write_record(
                    ArcWarcRecord("warc", "response", record.rec_headers, whole, None, kind, len(block))
                )
                try:
                    accepted = process_record(next(_records(io.BytesIO(copy.getvalue()))))
                except Exception:  # datatrove's reader would end here: brotli
                    accepted = None
                if accepted:
                    seen.add(key)
                    yield key, copy.getvalue()
                    if len(seen) == most:
                        return


def _pages(path: Path) -> list[Found]:
    return [found for found in read_file(path, LIMIT) if isinstance(found, Found)]


# ---- speed, decisions, memory


def race(pages: Path, work: Path, repeats: int) -> dict[str, list[Outcome]]:
    """The outcomes of all repeats by chain; within a repeat the chains follow each other, in changing order."""
    import os

    from tqdm import tqdm

    core = max(os.sched_getaffinity(0))
    workers = {chain: Worker(chain, work, core) for chain in CHAINS}
    outcomes: dict[str, list[Outcome]] = {chain: [] for chain in CHAINS}
    try:
        for repeat in tqdm(range(repeats), "repeats", disable=None):
            chains = [chain for chain in CHAINS if chain != "same" or repeat < 2]
            for chain in chains[:: 1 if repeat % 2 else -1]:
                outcomes[chain].append(workers[chain].run(pages, work / f"{chain}-{repeat}"))
    finally:
        for worker in workers.values():
            worker.close()
    return outcomes


def speed(outcomes: dict[str, list[Outcome]], pages: int) -> dict[str, Any]:
    """Pages a second of processor time, ratios and peak memory."""
    figures: dict[str, Any] = {}
    for chain, runs in outcomes.items():
        figures[f"pages_per_second_{chain}"] = statistics.median(pages / run.seconds for run in runs)
        figures[f"peak_rss_mb_{chain}"] = max(run.peak_mb for run in runs)
        figures[f"ms_{chain}"] = {
            block: round(statistics.median(run.block_ms[block] for run in runs), 3) for block in runs[0].block_ms
        }
    for name, chain in (("speed_ratio", "ours"), ("speed_ratio_same_extractor", "same")):
        ratios = [a.seconds / b.seconds for a, b in zip(outcomes["stock"], outcomes[chain], strict=False)]
        figures |= {name: statistics.median(ratios), f"{name}_min": min(ratios), f"{name}_max": max(ratios)}
    figures["peak_rss_mb"] = figures.pop("peak_rss_mb_ours")
    return figures


def decisions(stock: Outcome, same: Outcome) -> tuple[dict[str, Any], list[str]]:
    """Share of pages that both keep or both drop, and a line for each of the others."""
    keys = sorted(stock.decisions.keys() | same.decisions.keys())
    pairs = {key: (stock.decisions.get(key, "unread"), same.decisions.get(key, "unread")) for key in keys}
    equal = [(a == "kept") == (b == "kept") for a, b in pairs.values()]
    apart = Counter(pair for pair, hit in zip(pairs.values(), equal, strict=True) if not hit)
    figures = accuracy("equal_decisions", equal)
    figures["equal_blocks"] = round(sum(a.split(":")[0] == b.split(":")[0] for a, b in pairs.values()) / len(pairs), 4)
    figures["kept_stock"] = sum(a == "kept" for a, _ in pairs.values())
    return figures, [f"{n} x  stock: {a}   ours: {b}" for (a, b), n in apart.most_common()]


# ---- main text


def main_text(pages: list[Found], gold: dict[str, str]) -> dict[str, Any]:
    """Word-level F1 of our extractors and of trafilatura as datatrove calls it, on the pages that have a gold text."""
    from datatrove.pipeline.extractors import Trafilatura

    settings, alone = (Trafilatura(favour_precision=True), Trafilatura(favour_precision=True, deduplicate=False))
    peers = {
        "ours": lambda html: extraction.extract(html, "resiliparse"),
        "auto": lambda html: extraction.extract(html, "auto"),
        "trafilatura": lambda html: alone.extract(html) or "",
        "trafilatura_with_memory": lambda html: settings.extract(html) or "",
    }
    judged = [page for page in pages if page.metadata["url"] in gold]
    figures: dict[str, Any] = {}
    scores: dict[str, list[float]] = {}
    for name, extract in peers.items():
        extract(extraction.CANARY)
        start = time.process_time()
        texts = [extract(page.text) for page in judged]
        figures[f"f1_ms_{name}"] = 1_000 * (time.process_time() - start) / len(judged)
        scores[name] = [word_f1(text, gold[page.metadata["url"]]) for text, page in zip(texts, judged, strict=True)]
        figures |= as_metrics(f"f1_{name}", mean(scores[name]))
    return figures | as_metrics("f1_difference", paired_difference(scores["trafilatura"], scores["ours"]))


def readability(path: Path) -> dict[str, str]:
    """{url: words of the expected main content} of Mozilla's test pages."""
    import lxml.html

    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    return {row["url"]: " ".join(lxml.html.fromstring(row["expected_html"]).itertext()) for row in rows}


def tiny_web(folder: Path) -> dict[str, str]:
    """Generate the tiny web below `folder`; {url: intended text}."""
    from crawl2chat.tinyweb.pages import PageParams
    from crawl2chat.tinyweb.site import WebParams, generate
    from crawl2chat.tinyweb.world import WorldParams, build_world

    generate(build_world(1, tuned(WorldParams)), tuned(PageParams), folder, tuned(WebParams), 1)
    return {row["url"]: row["text"] for row in truth_of(folder / "truth").values() if row["expected"] == "keep"}


def main() -> None:
    data = data_folder(__doc__)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        if data:
            gold, most = readability(data / "gold" / "readability_expected.jsonl.gz"), 0
        else:
            gold, most = tiny_web(work / "web"), 400
        counts = collect(data / "crawl" if data else work / "web" / "pages", work / "pages", most)
        repeats = max(3, ceil(PAGES / counts["pages"])) if data else 3
        outcomes = race(work / "pages", work, repeats)
        figures = counts | {"repeats": repeats} | speed(outcomes, counts["pages"])
        equal, apart = decisions(outcomes["stock"][0], outcomes["same"][0])
        figures |= equal | main_text(_pages(work / "pages" / "pages.warc.gz"), gold)
    _show(figures, apart)
    if data:
        speech = language.compare(data / "filters" / "language_sentences")
        print("\nLanguages\n" + language.table(speech))
        figures |= {f"language_{name}": value for name, value in speech.items() if name != "by_language"}
    show(figures)


def _show(figures: dict[str, Any], apart: list[str]) -> None:
    columns = [f"ms_{chain}" for chain in CHAINS]
    print(f"{'ms (wall)':16}" + "".join(f"{chain:>10}" for chain in CHAINS))
    for block in dict.fromkeys(block for column in columns for block in figures[column]):
        print(f"{block:16}" + "".join(f"{figures[column].get(block, 0.0):10.3f}" for column in columns))
    print(f"{'pages/s/core':16}" + "".join(f"{figures[f'pages_per_second_{c}']:10.1f}" for c in CHAINS))
    print(f"\nDecisions apart with the same extractor: {len(apart)} kinds")
    print("\n".join(apart) or "none")


if __name__ == "__main__":
    command(main)
