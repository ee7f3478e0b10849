"""The corpus as one long row of ids a split, ready for memory-mapped training.

In: documents (text and the key that decides their split). Out: `train.bin`, `val.bin` (uint16, or uint32 for
vocabularies over 65,536), `train.idx.npy`, `val.idx.npy` (where each document starts, int64), `meta.json`. Every
document starts with bos. Documents come in the order of a seeded hash, so that neighbours in the stream have nothing to
do with each other. They are encoded as they come, then put in order on disk: memory holds ids and positions of
documents, never their text.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from crawl2chat import splits
from crawl2chat.tokens.tokenizer import Tokenizer

# Documents encoded at a time.
BATCH = 1_024

T = TypeVar("T")


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """Lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


@dataclass(frozen=True)
class Entry:
    """A document: `key` names it or, among near-duplicates, its cluster, so that copies never straddle the splits."""

    id: str
    key: str
    text: str


def chance(seed: int, purpose: str, name: str) -> float:
    """A number in [0, 1) that depends on its arguments only."""
    return splits.position(f"{seed} {purpose} {name}")


def split_of(entry: Entry, seed: int, val_share: float) -> str:
    return splits.split_of(f"{seed} split {entry.key}", {"val": val_share, "train": 1 - val_share})


def write(
    entries: Iterable[Entry], tokenizer: Tokenizer, out: Path, seed: int, val_share: float
) -> dict[str, dict[str, int]]:
    """Write the shards; returns {split: {documents, tokens, bytes}}."""
    out.mkdir(parents=True, exist_ok=True)
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32)
    # Of each document: its place in the order, its id, and where its tokens lie in the unordered file.
    places: dict[str, list[tuple[float, str, int, int]]] = {"train": [], "val": []}
    sizes = {"train": 0, "val": 0}
    position = 0
    unordered = out / "unordered.bin"
    with unordered.open("wb") as file:
        for batch in batches(entries):
            for entry, ids in zip(batch, tokenizer.encode_batch(entry.text for entry in batch), strict=True):
                split = split_of(entry, seed, val_share)
                np.array([tokenizer.bos, *ids], dtype).tofile(file)
                places[split].append((chance(seed, "order", entry.id), entry.id, position, len(ids) + 1))
                position += len(ids) + 1
                sizes[split] += len(entry.text.encode())
    counts = {}
    with unordered.open("rb") as source:
        for split, documents in places.items():
            documents.sort()
            with (out / f"{split}.bin").open("wb") as file:
                for _, _, start, length in documents:
                    source.seek(start * dtype.itemsize)
                    file.write(source.read(length * dtype.itemsize))
            ends = np.cumsum([0, *(length for *_, length in documents)], dtype=np.int64)
            np.save(out / f"{split}.idx.npy", ends[:-1])
            counts[split] = {"documents": len(documents), "tokens": int(ends[-1]), "bytes": sizes[split]}
    unordered.unlink()
    meta = {"vocab_size": tokenizer.vocab_size, "dtype": dtype.name, **counts}
    (out / "meta.json").write_text(json.dumps(meta, indent=2, sort_keys=True) + "\n")
    return counts
