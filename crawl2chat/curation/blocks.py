"""The datatrove blocks of curation. A block decides; a dropped document goes to its file with block, reason and value.

Each shard writes `<removed>/<block>/<shard>.jsonl.zst`; the decisions themselves are plain functions in `records.py`,
`addresses.py`, `extraction.py`, `language.py`, `quality.py` and `personal.py`.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.minhash import MinhashDedupSignature
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.batching import batched
from datatrove.utils.text import simplify_text

from crawl2chat.curation import classifier, personal, quality
from crawl2chat.curation.addresses import AddressFilter
from crawl2chat.curation.contamination import Overlap, without
from crawl2chat.curation.extraction import CANARY, Extractor, date_of, extract, split_text, title_of
from crawl2chat.curation.language import LanguageParams, identify
from crawl2chat.curation.quality import Drop

SHARD = "${rank}.jsonl.zst"
STAGES = {  # which stage a block belongs to
    **dict.fromkeys(("read", "address", "extract"), "extract"),
    **dict.fromkeys(("language", "repetition", "gopher", "c4", "fineweb", "classifier"), "filter"),
    **dict.fromkeys(("minhash", "contamination", "spans", "schema"), "deduplicate"),
}
BATCH = 32  # pages that cross to the extracting process at a time; one by one, a busy machine only switches


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
    """Base of all blocks: counts, and keeps what it drops. By itself it drops nothing."""

    type = "curation"

    def __init__(self, name: str, removed: Path | None):
        self.name = name
        super().__init__()
        self.removed = writer(removed / name) if removed else None

    def drop(self, document: Document, drop: Drop, rank: int) -> None:
        self.stat_update("dropped", f"dropped_{drop.reason}")
        if self.removed:
            document.metadata |= marks(self.name, drop)
            self.removed.write(document, rank)

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data

    def close(self) -> None:
        if self.removed:
            self.removed.close()


def marks(block: str, drop: Drop) -> dict[str, Any]:
    """What a dropped document says about its end."""
    return {"stage": STAGES.get(block, ""), "block": block, "reason": drop.reason, "value": drop.value}


class Records(Block):
    """Reads this shard's share of the files; whatever is no document, or a page that only harms, is dropped with the
    reason."""

    def __init__(self, folder: Path, removed: Path, max_bytes: int, max_html: int = 1 << 24, max_depth: int = 2_000):
        super().__init__("read", removed)
        self.folder, self.max_bytes = folder, max_bytes
        self.max_html, self.max_depth = max_html, max_depth

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        from crawl2chat.curation.records import Lost, read_file, unparsable

        files = sorted(path for path in self.folder.rglob("*") if path.is_file() and path.name != "about.json")
        for path in files[rank::world_size]:
            name = path.relative_to(self.folder).as_posix()
            for found in read_file(path, self.max_bytes):
                self.stat_update("total")
                origin = {"file": name, "offset": found.place}
                if not isinstance(found, Lost):
                    found = unparsable(found, self.max_html, self.max_depth) or found
                if isinstance(found, Lost):
                    metadata = {**origin, "url": found.url, "detail": found.detail}
                    self.drop(
                        Document("", found.id or f"{name}:{found.place}", metadata=metadata), Drop(found.reason), rank
                    )
                    continue
                self.stat_update("forwarded")
                size = len(found.text.encode("utf-8", "surrogatepass"))
                metadata = {**origin, "source": name.split("/")[0], "kind": found.kind, "page_bytes": size}
                metadata |= found.metadata
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

        with ExtractorSandbox(timeout=self.timeout, warmup_text=([CANARY],)) as sandbox:
            for batch in batched(data, BATCH):
                self.stat_update("total", value=len(batch))
                with self.track_time():
                    drops = self._extract(batch, sandbox)
                for document, drop in zip(batch, drops, strict=True):
                    if drop:
                        self.drop(document, drop, rank)
                    else:
                        yield from self._parts(document)
        self.close()

    def _parts(self, document: Document) -> Iterator[Document]:
        parts = split_text(document.text, self.part_characters)
        self.stat_update("forwarded", value=len(parts))
        if len(parts) == 1:
            yield document
            return
        self.stat_update("added_parts", value=len(parts) - 1)
        for number, text in enumerate(parts):
            yield Document(text, f"{document.id}#{number}", metadata=dict(document.metadata))

    def _extract(self, batch: Sequence[Document], sandbox: Any) -> list[Drop | None]:
        """Replace HTML by text in every document of the batch; why each of them goes, or None."""
        pages = [document for document in batch if document.metadata.pop("kind") == "html"]
        answers = dict(zip(map(id, pages), self._texts([page.text for page in pages], sandbox), strict=True))
        drops: list[Drop | None] = []
        for document in batch:
            answer = answers.get(id(document), document.text)
            if id(document) in answers:
                html, metadata = document.text, document.metadata
                metadata |= {"title": title_of(html), "date": date_of(html) or metadata.get("date", "")}
            document.text = "" if isinstance(answer, Drop) else answer
            document.metadata["domain"] = domain_of(document.metadata.get("url", ""))
            drops.append(answer if isinstance(answer, Drop) else None if answer.strip() else Drop("no_text"))
        return drops

    def _texts(self, pages: list[str], sandbox: Any) -> list[str | Drop]:
        """Texts of the pages, in one go; one by one when something in the batch hangs or crashes."""
        if not pages:
            return []
        try:
            return sandbox.process_document((pages,), partial(extract_many, extractor=self.extractor))
        except (TimeoutError, EOFError, BrokenPipeError) as error:
            if len(pages) == 1:
                return [Drop("timeout", self.timeout) if isinstance(error, TimeoutError) else Drop("crash")]
        return [text for page in pages for text in self._texts([page], sandbox)]


def extract_many(pages: list[str], extractor: Extractor) -> list[str | Drop]:
    """Text of each page, or why there is none: an extractor may raise anything on broken markup."""
    texts: list[str | Drop] = []
    for page in pages:
        try:
            texts.append(extract(page, extractor))
        except Exception as error:
            texts.append(Drop("error", f"{type(error).__name__}: {error}"[:200]))
    return texts


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


def measured_on(document: Document) -> dict[str, float]:
    """Where the filters note what they measure on a document, kept or dropped."""
    return document.metadata.setdefault("measured", {})


class RepetitionJudge:
    def __init__(self, params: quality.RepetitionParams):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        words = quality.words_of(document.text)
        return quality.repetition(document.text, words, self.params, measured_on(document))


class GopherJudge:
    def __init__(self, params: quality.GopherParams):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        words = quality.words_of(document.text)
        return quality.gopher(document.text, words, self.params, measured_on(document))


class C4Judge:
    """C4's rules also rewrite: lines that break a rule leave the text."""

    def __init__(self, params: quality.C4Params):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        words = quality.words_by_line(document.text)
        result = quality.c4(document.text, words, self.params, measured_on(document))
        if isinstance(result, Drop):
            return result
        document.text, document.metadata["words"] = result
        return None


class FineWebJudge:
    """FineWeb's rules; comes after C4's, which counted the words."""

    def __init__(self, params: quality.FineWebParams):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        words = document.metadata["words"]
        return quality.fineweb(document.text, words, self.params, measured_on(document))


class ClassifierJudge:
    """Notes how much a document is like the good samples, and keeps those that are like enough."""

    def __init__(self, model: Path, min_score: float):
        self.model, self.min_score = model, min_score

    def __call__(self, document: Document) -> Drop | None:
        value = classifier.score(document.text, self.model)
        return quality.judge([("quality", value, "quality" if value < self.min_score else None)], measured_on(document))


class Signatures(MinhashDedupSignature):
    """MinHash signatures over words between white space: the text is simplified before, so that spaCy's words, which take
    85 % of this step's time, would be the same but for contractions."""

    def get_shingles(self, text: str) -> np.ndarray:
        words = simplify_text(text, self.config.norm_config).split()
        n = self.config.n_grams
        runs = [" ".join(words[i : i + n]) for i in range(max(1, len(words) - n + 1))] if words else []
        return np.fromiter(map(self._hash_func, runs), np.uint64, len(runs)).reshape(-1, 1)


class Twins(Block):
    """Writes which document of each cluster stays: a line of cluster, id and url each. Lets everything pass."""

    def __init__(self, clusters: Path, out: Path):
        super().__init__("twins", None)
        self.clusters, self.out = clusters, out

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        clusters = np.fromfile(self.clusters / f"{rank:06d}.clusters", "<u4").reshape(-1, 2)
        removed = np.fromfile(self.clusters / f"{rank:06d}.remove", "<u4")
        kept = {int(place): int(cluster) for place, cluster in clusters[~np.isin(clusters[:, 0], removed)]}
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / f"{rank:05d}.jsonl").open("w") as file:
            for place, document in enumerate(data):
                if place in kept:
                    row = [kept[place], document.id, document.metadata.get("url", "")]
                    file.write(json.dumps(row) + "\n")
                yield document


class DuplicateWriter(JsonlWriter):
    """Writes what MinHash removes, with its cluster (`value`), the cluster's size, and the id and url of the twin that stays."""

    def __init__(self, folder: Path, twins: Path):
        super().__init__(str(folder), SHARD, compression="zstd")
        self.twins, self.database = twins, None

    def write(self, document: Document, rank: int = 0, **more: Any) -> None:
        cluster = document.metadata["minhash_cluster_id"]
        self.database = self.database or sqlite3.connect(f"file:{self.twins}?immutable=1", uri=True)
        row = self.database.execute("SELECT id, url FROM twins WHERE cluster = ?", [cluster]).fetchone()
        document.metadata |= marks("minhash", Drop("near_duplicate", cluster))
        document.metadata |= {"kept": row[0], "kept_url": row[1]}
        super().write(document, rank, **more)


class Personal(Block):
    """Replaces personal data, and counts it by kind; drops nothing."""

    def __init__(self) -> None:
        super().__init__("personal", None)

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document in data:
            self.stat_update("total", "forwarded")
            with self.track_time():
                document.text, counts = personal.replace(document.text)
            if counts:
                document.metadata["personal"] = counts
                self.stat_update("documents")
            for kind, count in counts.items():
                self.stat_update(f"replaced_{kind}", value=count)
            yield document


class Decontaminate(Block):
    """Takes away documents that show an evaluation item, or only the lines that show it; reports both.

    A document of which nothing but such lines is there goes as a whole.
    """

    def __init__(self, overlap: Overlap, remove: str, removed: Path):
        super().__init__("contamination", removed)
        self.overlap, self.remove = overlap, remove
        self.cut = writer(removed / "spans")  # apart, since these documents stay

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document in data:
            self.stat_update("total")
            with self.track_time():
                found = list(self.overlap.matches(document.text))
                rest, cut = without(document.text, found) if found else (document.text, "")
            if found:
                item = found[0].item
                document.metadata["evaluation_set"] = item.set
                for name in sorted({match.item.set for match in found}):
                    self.stat_update(f"shown_{name}")
                if self.remove == "document" or not rest:
                    self.drop(document, Drop("evaluation_item", item.id), rank)
                    continue
                self.stat_update("cut")
                metadata = dict(document.metadata) | marks("spans", Drop("evaluation_span", item.id))
                self.cut.write(Document(cut, document.id, metadata=metadata), rank)
                document.text = rest
                document.metadata["words"] = len(quality.words_of(rest))
            self.stat_update("forwarded")
            yield document
        self.close()
        self.cut.close()
