"""The blocks that change or drop documents for what stands in them: personal data and evaluation items."""

from collections.abc import Iterator
from typing import Any, Literal

from datatrove.data import Document

from crawl2chat.curation import personal
from crawl2chat.curation.blocks import Block, Removed
from crawl2chat.curation.contamination import Overlap, without
from crawl2chat.curation.drop import Drop
from crawl2chat.curation.words import words_of


class Personal(Block):
    """Replaces personal data, and counts it by kind; drops nothing."""

    def __init__(self) -> None:
        super().__init__("personal")

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

    def __init__(self, overlap: Overlap, remove: Literal["document", "span"], removed: Removed):
        super().__init__("contamination", removed)
        self.overlap, self.remove = overlap, remove
        self.cut = removed.writer("spans")  # apart, since these documents stay

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
                metadata = dict(document.metadata) | self.removed.marks("spans", Drop("evaluation_span", item.id))
                self.cut.write(Document(cut, document.id, metadata=metadata), rank)
                document.text = rest
                document.metadata["words"] = len(words_of(rest))
            self.stat_update("forwarded")
            yield document
        self.close()
        self.cut.close()
