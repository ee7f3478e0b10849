"""Token shards as `shards.py` writes them, memory-mapped: what training, replay and tracing read."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from crawl2chat.errors import UserError


class Split(NamedTuple):
    """One split of a corpus in tokens."""

    # All documents, one after the other.
    ids: np.ndarray
    # Where each of them begins, int64.
    starts: np.ndarray
    vocab_size: int


def read_split(folder: Path, split: str) -> Split:
    """The split `train` or `val`; a UserError where it holds no tokens."""
    meta = json.loads((folder / "meta.json").read_text())
    path = folder / f"{split}.bin"
    if not path.exists() or not path.stat().st_size:
        raise UserError(f"{path} holds no tokens: the corpus is too small for this split, or not encoded to its end")
    starts = np.load(folder / f"{split}.idx.npy", allow_pickle=False).astype(np.int64)
    return Split(np.memmap(path, dtype=meta["dtype"], mode="r"), starts, meta["vocab_size"])
