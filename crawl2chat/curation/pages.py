"""From archive records to main text: the blocks that read files, judge addresses and extract.

In: a folder of files. Out: documents with text, domain, title and date.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.utils.batching import batched

from crawl2chat.curation.addresses import AddressFilter, domain_of
from crawl2chat.curation.blocks import Block, Removed
from crawl2chat.curation.drop import Drop
from crawl2chat.curation.extraction import CANARY, Extractor, date_of, extract, split_text, title_of
from crawl2chat.curation.reading.any_file import read_file
from crawl2chat.curation.reading.records import Found, Lost

# Pages that cross to the extracting process at a time; one by one, a busy machine only switches.
BATCH = 32
# Tags that open an element, but for those that close themselves.
NESTING = re.compile(
    r"<(/?)(?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|p|li|d[td]|t[rdh]|option)\b)[a-z]",
    re.IGNORECASE,
)


class Records(Block):
    """Reads this shard's share of the files; drops what is no document and what harms a parser, with the reason."""

    def __init__(self, folder: Path, removed: Removed, max_bytes: int, max_html: int = 1 << 24, max_depth: int = 2_000):
        super().__init__("read", removed)
        self.folder, self.max_bytes = folder, max_bytes
        self.max_html, self.max_depth = max_html, max_depth

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
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
                    lost = Document("", found.id or f"{name}:{found.place}", metadata=metadata)
                    self.drop(lost, Drop(found.reason), rank)
                    continue
                self.stat_update("forwarded")
                size = len(found.text.encode("utf-8", "surrogatepass"))
                metadata = {**origin, "source": name.split("/")[0], "kind": found.kind, "page_bytes": size}
                metadata |= found.metadata
                yield Document(found.text, found.id, metadata=metadata)
        self.close()


def unparsable(found: Found, max_bytes: int, max_depth: int) -> Lost | None:
    """Why a page must not reach a parser: its size, or how deeply its tags are nested."""
    if found.kind != "html":
        return None
    reason, value = "", 0
    if len(found.text) > max_bytes:
        reason, value = "too_large", len(found.text)
    elif found.text.count("<") - 2 * found.text.count("</") > max_depth and (depth := depth_of(found.text)) > max_depth:
        reason, value = "too_deep", depth
    return Lost(reason, found.place, found.id, found.metadata.get("url", ""), str(value)) if reason else None


def depth_of(html: str) -> int:
    """The most tags open at a time, without those that close themselves."""
    depth = deepest = 0
    for match in NESTING.finditer(html):
        depth = max(0, depth - 1) if match.group(1) else depth + 1
        deepest = max(deepest, depth)
    return deepest


def judge_address(document: Document, addresses: AddressFilter) -> Drop | None:
    """The URL filter; documents without an address pass."""
    url = document.metadata.get("url", "")
    return addresses.judge(url) if url else None


class Extract(Block):
    """Main text instead of HTML, in a child process that may crash or hang without taking the shard along.

    Documents that came as text pass through; very long ones are cut into parts. A page that yields nothing is dropped
    with `no_text`, `timeout`, `crash` or `error`.
    """

    def __init__(self, extractor: Extractor, timeout: float, part_characters: int, removed: Removed):
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
        texts = dict(zip(map(id, pages), self._texts([page.text for page in pages], sandbox), strict=True))
        drops: list[Drop | None] = []
        for document in batch:
            text = texts.get(id(document), document.text)
            if id(document) in texts:
                html, metadata = document.text, document.metadata
                metadata |= {"title": title_of(html), "date": date_of(html) or metadata.get("date", "")}
            document.text = "" if isinstance(text, Drop) else text
            document.metadata["domain"] = domain_of(document.metadata.get("url", ""))
            drops.append(text if isinstance(text, Drop) else None if text.strip() else Drop("no_text"))
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
