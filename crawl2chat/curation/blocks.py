"""The datatrove blocks of curation. A block decides; a dropped document goes to its file with block, reason and value.

Each shard writes `<removed>/<block>/<shard>.jsonl.zst`; the decisions themselves are plain functions in `records.py`,
`addresses.py`, `extraction.py`, `language.py`, `quality.py` and `personal.py`.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.minhash import MinhashDedupSignature
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.text import simplify_text
from loguru import logger

from crawl2chat.curation import personal, quality
from crawl2chat.curation.addresses import AddressFilter
from crawl2chat.curation.contamination import Overlap
from crawl2chat.curation.extraction import CANARY, Extractor, date_of, extract, split_text, title_of
from crawl2chat.curation.language import LanguageParams, identify
from crawl2chat.curation.quality import Drop

SHARD = "${rank}.jsonl.zst"
logger.disable("datatrove")  # its pages of log lines; errors are raised all the same


def reader(folder: Path) -> PipelineStep:
    """Documents of an earlier stage, shard by shard and in order."""
    from datatrove.pipeline.readers.jsonl import JsonlReader

    return JsonlReader(str(folder), glob_pattern="*.jsonl.zst", add_file_path=False)


class Writer(JsonlWriter):
    """One file of documents a shard."""

    name = "write"


def writer(folder: Path) -> Writer:
    return Writer(str(folder), SHARD, compression="zstd")


class Block(PipelineStep):
    """Base of all blocks: counts, and keeps what it drops."""

    type = "curation"

    def __init__(self, name: str, removed: Path | None):
        self.name = name
        super().__init__()
        self.removed = writer(removed / name) if removed else None

    def drop(self, document: Document, drop: Drop, rank: int) -> None:
        self.stat_update("dropped", f"dropped_{drop.reason}")
        if self.removed:
            document.metadata |= {"block": self.name, "reason": drop.reason, "value": drop.value}
            self.removed.write(document, rank)

    def close(self) -> None:
        if self.removed:
            self.removed.close()


class Records(Block):
    """Reads this shard's share of the files; whatever is no document is dropped with the reason."""

    def __init__(self, folder: Path, removed: Path, max_bytes: int):
        super().__init__("read", removed)
        self.folder, self.max_bytes = folder, max_bytes

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        from crawl2chat.curation.records import Lost, read_file

        files = sorted(
            path for path in self.folder.rglob("*") if path.is_file() and path.name != "about.json"
        )
        for path in files[rank::world_size]:
            name = path.relative_to(self.folder).as_posix()
            for found in read_file(path, self.max_bytes):
                self.stat_update("total")
                origin = {"file": name, "offset": found.place}
                if isinstance(found, Lost):
                    metadata = {**origin, "url": found.url, "detail": found.detail}
                    self.drop(
                        Document("", found.id or f"{name}:{found.place}", metadata=metadata),
                        Drop(found.reason),
                        rank,
                    )
                    continue
                self.stat_update("forwarded")
                metadata = {**origin, "source": name.split("/")[0], "kind": found.kind, **found.metadata}
                yield Document(found.text, found.id, metadata=metadata)
        self.close()


class Filter(Block):
    """Keeps a document when `judge` finds nothing against it. `judge` may change text and metadata."""

    def __init__(self, name: str, judge: Callable[[Document], Drop | None], removed: Path):
        super().__init__(name, removed)
        self.judge = judge

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document in data:
            self.stat_update("total")
            with self.track_time():
                drop = self.judge(document)
            if drop:
                self.drop(document, drop, rank)
                continue
            self.stat_update("forwarded")
            yield document
        self.close()


class AddressJudge:
    """The URL filter as a judge; documents without an address pass."""

    def __init__(self, addresses: AddressFilter):
        self.addresses = addresses

    def __call__(self, document: Document) -> Drop | None:
        url = document.metadata.get("url", "")
        return self.addresses.judge(url) if url else None


class Extract(Block):
    """Main text instead of HTML, in a child process that may crash or hang without taking the shard along.

    Documents that came as text pass through; very long ones are cut into parts. A page that yields nothing is dropped with `no_text`, `timeout`, `crash`
    or `error`.
    """

    def __init__(self, extractor: Extractor, timeout: float, part_characters: int, removed: Path):
        super().__init__("extract", removed)
        self.extractor, self.timeout, self.part_characters = extractor, timeout, part_characters

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        from datatrove.pipeline.extractors.base import ExtractorSandbox

        with ExtractorSandbox(timeout=self.timeout, warmup_text=CANARY) as sandbox:
            for document in data:
                self.stat_update("total")
                with self.track_time():
                    drop = self._extract(document, sandbox)
                if drop:
                    self.drop(document, drop, rank)
                    continue
                parts = split_text(document.text, self.part_characters)
                self.stat_update("forwarded", value=len(parts))
                if len(parts) == 1:
                    yield document
                    continue
                self.stat_update("added_parts", value=len(parts) - 1)
                for number, text in enumerate(parts):
                    yield Document(text, f"{document.id}#{number}", metadata=dict(document.metadata))
        self.close()

    def _extract(self, document: Document, sandbox: Any) -> Drop | None:
        if document.metadata.pop("kind") == "html":
            html, document.text = document.text, ""
            document.metadata |= {"title": title_of(html), "date": date_of(html) or document.metadata["date"]}
            try:
                document.text = sandbox.process_document(html, partial(extract, extractor=self.extractor))
            except TimeoutError:
                return Drop("timeout", self.timeout)
            except (EOFError, BrokenPipeError):
                return Drop("crash")
            except Exception as error:  # an extractor may raise anything on broken markup
                return Drop("error", f"{type(error).__name__}: {error}"[:200])
        if not document.text.strip():
            return Drop("no_text")
        document.metadata["domain"] = domain_of(document.metadata.get("url", ""))
        return None


def domain_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower().removeprefix("www.")
    except ValueError:
        return ""


class LanguageJudge:
    """Keeps wanted languages with a sure score, and notes language and score on every document."""

    def __init__(self, params: LanguageParams):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        language, score = identify(document.text)
        document.metadata |= {"language": language, "language_score": round(score, 4)}
        if self.params.languages and language not in self.params.languages:
            return Drop(f"language_{language}", score)
        return Drop("language_score", score) if score < self.params.min_score else None


class RepetitionJudge:
    def __init__(self, params: quality.RepetitionParams):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        return quality.repetition(document.text, quality.words_of(document.text), self.params)


class GopherJudge:
    def __init__(self, params: quality.GopherParams):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        return quality.gopher(document.text, quality.words_of(document.text), self.params)


class C4Judge:
    """C4's rules also rewrite: lines that break a rule leave the text."""

    def __init__(self, params: quality.C4Params):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        result = quality.c4(document.text, quality.words_by_line(document.text), self.params)
        if isinstance(result, Drop):
            return result
        document.text, document.metadata["words"] = result
        return None


class FineWebJudge:
    """FineWeb's rules; comes after C4's, which counted the words."""

    def __init__(self, params: quality.FineWebParams):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        return quality.fineweb(document.text, document.metadata["words"], self.params)


class Signatures(MinhashDedupSignature):
    """MinHash signatures over words between white space: the text is simplified before, so that spaCy's words, which take
    85 % of this step's time, would be the same but for contractions."""

    def get_shingles(self, text: str) -> np.ndarray:
        words = simplify_text(text, self.config.norm_config).split()
        n = self.config.n_grams
        runs = [" ".join(words[i : i + n]) for i in range(max(1, len(words) - n + 1))] if words else []
        return np.fromiter(map(self._hash_func, runs), np.uint64, len(runs)).reshape(-1, 1)


class DuplicateWriter(JsonlWriter):
    """Writes what MinHash removes; `value` is the cluster, by which the kept twin is found in the corpus."""

    def write(self, document: Document, rank: int = 0, **more: Any) -> None:
        cluster = document.metadata["minhash_cluster_id"]
        document.metadata |= {"block": "minhash", "reason": "near_duplicate", "value": cluster}
        super().write(document, rank, **more)


class PersonalJudge:
    """Replaces personal data; drops nothing."""

    def __call__(self, document: Document) -> None:
        document.text, counts = personal.replace(document.text)
        if counts:
            document.metadata["personal"] = counts


class ContaminationJudge:
    def __init__(self, overlap: Overlap):
        self.overlap = overlap

    def __call__(self, document: Document) -> Drop | None:
        task = self.overlap.find(document.text)
        return Drop("evaluation_item", task) if task else None
