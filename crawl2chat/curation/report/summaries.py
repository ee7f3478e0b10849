"""What is remembered of documents, which are streamed: sizes, counts, and samples of a bounded number.

In: a folder of documents. Out: how much there is, and of what was dropped also why, with some values and samples.
"""

import hashlib
import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crawl2chat.curation.documents import documents_in
from crawl2chat.curation.extraction import title_of
from crawl2chat.curation.report.inputs import BYTES_PER_TOKEN, ReportParams, Row
from crawl2chat.page import clip

# Beyond that the rarest are forgotten: the frequent ones are not among them.
DOMAINS_IN_MEMORY = 200_000
# Documents, kept or of one reason, whose values make a histogram.
MEASURED = 2_000
# The first blocks, whose documents have no language yet.
EXTRACT = ("read", "address", "extract")


@dataclass
class Size:
    """How much text: documents, bytes in UTF-8, words between white space."""

    documents: int = 0
    bytes: int = 0
    words: int = 0

    def add(self, text: str) -> None:
        self.documents += 1
        self.bytes += size_of(text)
        self.words += len(text.split())

    def __add__(self, other: "Size") -> "Size":
        return Size(self.documents + other.documents, self.bytes + other.bytes, self.words + other.words)

    def __sub__(self, other: "Size") -> "Size":
        return Size(self.documents - other.documents, self.bytes - other.bytes, self.words - other.words)

    def row(self) -> Row:
        tokens = round(self.bytes / BYTES_PER_TOKEN)
        return {"documents": self.documents, "bytes": self.bytes, "words": self.words, "tokens_estimated": tokens}


def size_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


class Sample:
    """A uniform sample of at most `size` items that depends on their keys alone: those with the smallest hashes."""

    def __init__(self, size: int):
        self.size, self.seen = size, 0
        # The largest hash first, negated.
        self.heap: list[tuple[int, int, Any]] = []

    def add(self, key: str, item: Any) -> None:
        self.seen += 1
        rank = -int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        if len(self.heap) < self.size:
            heapq.heappush(self.heap, (rank, self.seen, item))
        elif self.heap and rank > self.heap[0][0]:
            heapq.heapreplace(self.heap, (rank, self.seen, item))

    def items(self) -> list[Any]:
        return [item for *_, item in sorted(self.heap, key=lambda entry: (-entry[0], entry[1]))]


@dataclass
class Dropped:
    """What one block dropped: how much of what, and for each reason how often, some values, a few samples."""

    size: Size = field(default_factory=Size)
    page_bytes: int = 0
    reasons: Counter = field(default_factory=Counter)
    values: dict[str, Sample] = field(default_factory=lambda: defaultdict(lambda: Sample(MEASURED)))
    samples: dict[str, Sample] = field(default_factory=dict)


class Census:
    """Languages, domains and lengths of the texts that were kept, and of those that were dropped."""

    def __init__(self) -> None:
        self.languages: Counter[tuple[str, bool]] = Counter()
        self.domains: Counter[tuple[str, bool]] = Counter()
        self.lengths: Counter[tuple[int, bool]] = Counter()

    def add(self, language: str, domain: str, text: str, kept: bool) -> None:
        if language:  # what is dropped before anyone asks has none
            self.languages[language, kept] += 1
        if domain:
            self.domains[domain, kept] += 1
        if text:
            self.lengths[len(text.split()).bit_length(), kept] += 1
        if len(self.domains) > DOMAINS_IN_MEMORY:
            self.domains = Counter(dict(self.domains.most_common(DOMAINS_IN_MEMORY // 2)))

    def rows(self, name: str, counts: Counter) -> list[Row]:
        """Kept and dropped documents by `name`, the most frequent first."""
        found = [
            {name: key, "kept": counts[key, True], "dropped": counts[key, False]}
            for key in sorted({key for key, _ in counts})
        ]
        return sorted(found, key=lambda row: (-row["kept"] - row["dropped"], row[name]))

    def length_rows(self) -> list[Row]:
        """Documents by number of words, in bins that double."""
        longest = max((bits for bits, _ in self.lengths), default=-1)
        return [
            {"words_from": 2**bits // 2 if bits else 0, "words_to": 2**bits}
            | {"kept": self.lengths[bits, True], "dropped": self.lengths[bits, False]}
            for bits in range(longest + 1)
        ]


def read_extracted(folder: Path) -> tuple[Size, Size]:
    """Size of the main texts, and of the pages they came from."""
    size, pages, last = Size(), Size(), None
    for document in documents_in(folder):
        size.add(document["text"])
        metadata = document["metadata"]
        record = metadata.get("file"), metadata.get("offset")
        if record != last:  # the parts of a long text follow each other
            pages += Size(1, metadata.get("page_bytes", 0))
        last = record
    return size, pages


def values_of(document: Row) -> dict[str, float]:
    """What the filters measured on a document, and how sure its language is."""
    metadata = document["metadata"]
    return {"language_score": metadata.get("language_score"), **metadata.get("measured", {})}


def read_removed(folder: Path, census: Census, params: ReportParams) -> Dropped:
    """What a block dropped."""
    removed = Dropped()
    for document in documents_in(folder):
        metadata, text = document["metadata"], document.get("text", "")
        reason, value = metadata["reason"], metadata.get("value")
        removed.size.add(text)
        removed.page_bytes += metadata.get("page_bytes", 0)
        removed.reasons[reason] += 1
        removed.values[reason].add(document["id"], values_of(document))
        if folder.name == "address":  # still HTML
            text = title_of(text)
        sample = {"value": value, "detail": metadata.get("detail"), "url": metadata.get("url", "")}
        sample |= {"id": document["id"], "text": clip(text, params.characters)}
        removed.samples.setdefault(reason, Sample(params.samples)).add(document["id"], sample)
        if folder.name not in EXTRACT:
            census.add(metadata.get("language", ""), metadata.get("domain", ""), text, kept=False)
    return removed
