"""The two chains that `benchmarks.curation` pits against each other, each in a process of its own.

`Stock` is datatrove's FineWeb recipe as published, block after block. `Ours` is what the stages extract, filter and
deduplicate run, with the two passes over files between them and everything dropped written out, which stock is spared.
Both end with MinHash signatures and personal data on the documents that stay. Differences from the published recipe,
all in favour of stock's speed or needed without a network: the small language model (lid.176.ftz), trafilatura without
its memory across documents (`deduplicate=False`), no writers.
"""

import gc
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from stages.settings import tuned

SEED = 1


@dataclass
class Outcome:
    """What one pass over a WARC file gave."""

    decisions: dict[str, str] = field(default_factory=dict)  # {record id: "kept" or block and reason}
    texts: dict[str, str] = field(default_factory=dict)  # of the documents that stayed
    seconds: float = 0.0  # of processor time, children included
    wall: float = 0.0
    peak_mb: float = 0.0  # worker and extracting child; what they share counts twice
    block_ms: dict[str, float] = field(default_factory=dict)  # for a document that reached the block


class Ledger:
    """Stands in for a writer of dropped documents and only notes them."""

    def __init__(self, decisions: dict[str, str], block: str):
        self.decisions, self.block = decisions, block

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, document: Any, rank: int = 0) -> None:
        self.decisions[document.id] = f"{self.block}: {document.metadata.get('filter_reason', '')}"


Run = Callable[[Path, Path], Outcome]


def stock(work: Path) -> Run:
    """datatrove's FineWeb recipe; lists and models are loaded here, outside the measured time."""
    os.environ["HF_ASSETS_CACHE"] = str(work / "assets")
    from datatrove.pipeline import extractors, filters, formatters, readers
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.text import split_into_words
    from tldextract import TLDExtract

    from crawl2chat.curation import extraction, language

    addresses = filters.URLFilter()
    addresses.tldextractor = TLDExtract(suffix_list_urls=(), cache_dir=None)
    addresses.download_data()
    addresses.tldextractor("http://warm.up")
    language.identify("warm up")
    split_into_words("warm up")
    extraction.extract(extraction.CANARY, "trafilatura")

    def run(pages: Path, aside: Path) -> Outcome:
        outcome = Outcome()
        ledger = {
            name: Ledger(outcome.decisions, name)
            for name in ("address", "language", "repetition", "gopher", "c4", "fineweb")
        }
        addresses.exclusion_writer = ledger["address"]
        speech = filters.LanguageFilter(["en"], exclusion_writer=ledger["language"])
        speech.model._model = language.model()
        steps = {
            "read": readers.WarcReader(str(pages)),
            "address": addresses,
            "extract": extractors.Trafilatura(favour_precision=True, deduplicate=False, timeout=30),
            "language": speech,
            "repetition": filters.GopherRepetitionFilter(exclusion_writer=ledger["repetition"]),
            "gopher": filters.GopherQualityFilter(exclusion_writer=ledger["gopher"]),
            "c4": filters.C4QualityFilter(filter_no_terminal_punct=False, exclusion_writer=ledger["c4"]),
            "fineweb": filters.FineWebQualityFilter(exclusion_writer=ledger["fineweb"]),
        }
        signatures = MinhashDedupSignature(str(aside / "signatures"), MinhashConfig(seed=SEED))
        personal = formatters.PIIFormatter()
        seen: list[str] = []

        def noted(documents: Iterator[Any]) -> Iterator[Any]:
            for document in documents:
                seen.append(document.id)
                yield document

        documents: Any = None
        for name, step in steps.items():
            documents = step.run(documents, 0, 1)
            if name == "read":
                documents = noted(documents)
        _finish(documents, outcome, signatures, personal.format)
        for key in seen:
            if key not in outcome.texts:
                outcome.decisions.setdefault(key, "extract: no text")
        outcome.block_ms |= {name: _milliseconds(step) for name, step in steps.items()}
        return outcome

    return run


def ours(work: Path, extractor: str) -> Run:
    """The blocks of the stages with FineWeb's limits, and the extractor named."""
    from datatrove.pipeline.dedup.minhash import MinhashConfig

    from crawl2chat.curation import extraction, judges, language, personal, quality
    from crawl2chat.curation.addresses import AddressFilter, AddressParams, build_lists
    from crawl2chat.curation.blocks import Filter, Removed, reader, writer
    from crawl2chat.curation.documents import documents_in
    from crawl2chat.curation.language import LanguageParams
    from crawl2chat.curation.minhash import Signatures
    from crawl2chat.curation.pages import Extract, Records, judge_address
    from crawl2chat.curation.repetition import RepetitionParams
    from crawl2chat.curation.words import words_of

    addresses = AddressFilter(tuned(AddressParams), build_lists(work / "lists"))
    language.identify("warm up")
    words_of("warm up")
    extraction.extract(extraction.CANARY, extractor)

    def run(pages: Path, aside: Path) -> Outcome:
        outcome, removed = Outcome(), Removed(aside / "removed", "")
        rules = {
            "language": partial(judges.judge_language, params=tuned(LanguageParams, "real")),
            "repetition": partial(judges.judge_repetition, params=tuned(RepetitionParams, "real")),
            "gopher": partial(
                judges.judge_gopher, params=tuned(quality.GopherParams, "real", max_words=100_000, alphabetic_words=0.8)
            ),
            "c4": partial(judges.judge_c4, params=tuned(quality.C4Params)),
            "fineweb": partial(judges.judge_fineweb, params=tuned(quality.FineWebParams, duplicate_characters=0.01)),
        }
        first = {
            "read": Records(pages, removed, 32 * 2**20),
            "address": Filter("address", partial(judge_address, addresses=addresses), removed),
            "extract": Extract(extractor, 30, 0, removed),
            "write": writer(aside / "documents"),
        }
        second = {name: Filter(name, judge, removed) for name, judge in rules.items()}
        signatures = Signatures(str(aside / "signatures"), MinhashConfig(seed=SEED))
        documents: Any = None
        for step in first.values():
            documents = step.run(documents, 0, 1)
        for _ in documents:
            pass
        documents = reader(aside / "documents").run(None, 0, 1)
        for step in second.values():
            documents = step.run(documents, 0, 1)
        _finish(documents, outcome, signatures, lambda text: personal.replace(text)[0])
        for document in documents_in(removed.folder):
            metadata = document["metadata"]
            outcome.decisions[document["id"]] = f"{metadata['block']}: {metadata['reason']}"
        outcome.block_ms |= {name: _milliseconds(step) for name, step in (first | second).items()}
        return outcome

    return run


def _finish(documents: Iterator[Any], outcome: Outcome, signatures: Any, replace: Callable[[str], str]) -> None:
    """MinHash signatures, then personal data, of every document that stayed."""
    spent = {"signatures": 0.0, "personal": 0.0}
    for document in documents:
        start = time.perf_counter()
        shingles = signatures.get_shingles(document.text)
        if shingles.size:
            signatures.get_signature(shingles)
        signed = time.perf_counter()
        outcome.texts[document.id] = replace(document.text)
        outcome.decisions[document.id] = "kept"
        spent["signatures"] += signed - start
        spent["personal"] += time.perf_counter() - signed
    outcome.block_ms |= {name: 1_000 * s / max(1, len(outcome.texts)) for name, s in spent.items()}


def _milliseconds(step: Any) -> float:
    """Time of a block for each document that reached it; 0 where it keeps no time."""
    stats = step.stats.to_dict()
    total = stats["stats"].get("total") or stats["stats"].get("documents") or 0
    total = total["total"] if isinstance(total, dict) else total
    seconds = stats["time_stats"]
    return 1_000 * float(seconds["total"] if isinstance(seconds, dict) else seconds) / total if total else 0.0


CHAINS: dict[str, Callable[[Path], Run]] = {
    "stock": stock,
    "ours": lambda work: ours(work, "resiliparse"),
    "same": lambda work: ours(work, "trafilatura"),
}


class Worker:
    """A process with one chain, loaded and on one core. Every pass runs in a fork of it, so that no pass finds memories
    (of words, of addresses) that an earlier one filled: pages of a crawl are seen once."""

    def __init__(self, chain: str, work: Path, core: int):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(chain, work, core, other))
        self.process.start()
        other.close()
        self.pipe.recv()  # loaded

    def run(self, pages: Path, aside: Path) -> Outcome:
        """One pass over the WARC files of a folder; `aside` is a folder for what it writes."""
        self.pipe.send((pages, aside))
        outcome = self.pipe.recv()
        if isinstance(outcome, str):
            raise RuntimeError(outcome)
        return outcome

    def close(self) -> None:
        self.pipe.send(None)
        self.process.join()


def _serve(chain: str, work: Path, core: int, pipe: Connection) -> None:
    from loguru import logger

    logger.disable("datatrove")
    os.sched_setaffinity(0, {core})
    run = CHAINS[chain](work)
    gc.collect()
    gc.freeze()  # the fork shares memory as long as nobody touches it
    pipe.send("ready")
    while task := pipe.recv():
        process = multiprocessing.get_context("fork").Process(target=_measure, args=(run, task, pipe))
        process.start()
        process.join()
        if process.exitcode:
            pipe.send(f"The chain '{chain}' ended with exit code {process.exitcode}.")


def _measure(run: Run, task: tuple[Path, Path], pipe: Connection) -> None:
    start, wall = _processor(), time.perf_counter()
    outcome = run(*task)
    outcome.seconds, outcome.wall = _processor() - start, time.perf_counter() - wall
    usage = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    outcome.peak_mb = sum(usage) / 1024
    pipe.send(outcome)


def _processor() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in usage)
