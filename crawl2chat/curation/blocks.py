"""What all datatrove blocks of curation share. A dropped document goes to its block's file with reason and value.

Each shard writes `<removed>/<block>/<shard>.jsonl.zst`. The decisions themselves are plain functions beside these
modules.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.jsonl import JsonlWriter

from crawl2chat.curation.drop import Drop

SHARD = "${rank}.jsonl.zst"


def reader(folder: Path) -> PipelineStep:
    """Documents of an earlier stage, shard by shard and in order."""
    from datatrove.pipeline.readers.jsonl import JsonlReader

    return JsonlReader(str(folder), glob_pattern="*.jsonl.zst", add_file_path=False)


class Writer(JsonlWriter):
    """One file of documents a shard."""

    name = "write"


def writer(folder: Path) -> Writer:
    return Writer(str(folder), SHARD, compression="zstd")


@dataclass(frozen=True)
class Removed:
    """Where dropped documents are kept, and the name of the stage, which each of them carries."""

    folder: Path
    stage: str

    def writer(self, block: str) -> Writer:
        return writer(self.folder / block)

    def marks(self, block: str, drop: Drop) -> dict[str, Any]:
        """What a dropped document says about its end."""
        return {"stage": self.stage, "block": block, "reason": drop.reason, "value": drop.value}


class Block(PipelineStep):
    """Base of all blocks: counts, and keeps what it drops. By itself it drops nothing."""

    type = "curation"

    def __init__(self, name: str, removed: Removed | None = None):
        self.name = name
        super().__init__()
        self.removed = removed
        self.removed_documents = removed.writer(name) if removed else None

    def drop(self, document: Document, drop: Drop, rank: int) -> None:
        self.stat_update("dropped", f"dropped_{drop.reason}")
        document.metadata |= self.removed.marks(self.name, drop)
        self.removed_documents.write(document, rank)

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        yield from data

    def close(self) -> None:
        self.removed_documents.close()


class Filter(Block):
    """Keeps a document when `judge` finds nothing against it. `judge` may change text and metadata."""

    def __init__(self, name: str, judge: Callable[[Document], Drop | None], removed: Removed):
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
