"""Shards of documents on disk, `<shard>.jsonl.zst`: read as a stream, published whole."""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from crawl2chat.curation.reading.files import open_binary


def documents_in(folder: Path) -> Iterator[dict[str, Any]]:
    """All documents of a folder of shards, in shard order, one at a time."""
    for path in sorted(folder.rglob("*.jsonl.zst")):
        yield from documents_of(path)


def documents_of(shard: Path) -> Iterator[dict[str, Any]]:
    """The documents of one shard, one at a time."""
    import orjson

    yield from map(orjson.loads, lines_of(shard))


def lines_of(shard: Path) -> Iterator[bytes]:
    """The lines of one shard, not yet parsed."""
    with open_binary(shard) as file:
        yield from file


def publish(shards: Path, out: Path) -> None:
    """Make `out` from finished shards by hard links (copies across file systems), whatever a killed run left there."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for path in sorted(p for p in shards.rglob("*") if p.is_file()):
        target = out / path.relative_to(shards)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:
            shutil.copy2(path, target)


def samples_by_reason(documents: Iterable[dict[str, Any]], each: int = 5) -> list[dict[str, Any]]:
    """The first few dropped documents of every reason, as rows a person can read."""
    rows, seen = [], defaultdict(int)
    for document in documents:
        metadata = document["metadata"]
        key = (metadata["block"], metadata["reason"])
        seen[key] += 1
        if seen[key] <= each:
            row = {name: metadata.get(name) for name in ("block", "reason", "value", "url")}
            rows.append(row | {"text": document.get("text", "")[:600]})
    return rows
