"""The corpus as one long row of ids a split, ready for memory-mapped training.

In: documents (text and the key that decides their split). Out: `train.bin`, `val.bin` (uint16, or uint32 for vocabularies
over 65,536), `train.idx.npy`, `val.idx.npy` (where each document starts, int64), `meta.json`. Every document starts with
bos. Documents come in the order of a seeded hash, so that neighbours in the stream have nothing to do with each other.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crawl2chat.tokens.tokenizer import Tokenizer

BATCH = 1_024  # documents encoded at a time


@dataclass(frozen=True)
class Entry:
    """A document: `key` names it or, among near-duplicates, its cluster, so that copies never straddle the splits."""

    id: str
    key: str
    text: str


def chance(seed: int, purpose: str, name: str) -> float:
    """A number in [0, 1) that depends on its arguments only."""
    return int.from_bytes(hashlib.sha256(f"{seed} {purpose} {name}".encode()).digest()[:8], "big") / 2**64


def split_of(entry: Entry, seed: int, val_share: float) -> str:
    return "val" if chance(seed, "split", entry.key) < val_share else "train"


def write(
    entries: Iterable[Entry], tokenizer: Tokenizer, out: Path, seed: int, val_share: float
) -> dict[str, dict[str, int]]:
    """Write the shards; returns {split: {documents, tokens, bytes}}."""
    out.mkdir(parents=True, exist_ok=True)
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32)
    ordered = sorted(entries, key=lambda entry: (chance(seed, "order", entry.id), entry.id))
    counts = {}
    for split in ("train", "val"):
        chosen = [entry for entry in ordered if split_of(entry, seed, val_share) == split]
        starts, tokens, size = [], 0, 0
        with (out / f"{split}.bin").open("wb") as file:
            for begin in range(0, len(chosen), BATCH):
                texts = [entry.text for entry in chosen[begin : begin + BATCH]]
                for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
                    starts.append(tokens)
                    np.array([tokenizer.bos, *ids], dtype).tofile(file)
                    tokens += len(ids) + 1
                    size += len(text.encode())
        np.save(out / f"{split}.idx.npy", np.array(starts, np.int64))
        counts[split] = {"documents": len(chosen), "tokens": tokens, "bytes": size}
    meta = {"vocab_size": tokenizer.vocab_size, "dtype": dtype.name, **counts}
    (out / "meta.json").write_text(json.dumps(meta, indent=2, sort_keys=True) + "\n")
    return counts
