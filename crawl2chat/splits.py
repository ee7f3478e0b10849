"""Which split something belongs to: one function for entities, problems, prompts, documents and conversations."""

import hashlib
import zlib
from collections.abc import Mapping
from itertools import accumulate


def split_of(key: str, shares: Mapping[str, float], buckets: int = 0) -> str:
    """The split of an entity, a problem, a wording, a prompt or a document, decided by its key alone.

    `shares` are taken in order, the last split takes the rest. What must not straddle splits shares a key; a seed or
    the kind of thing stands in the key. `buckets`: see `position`.
    """
    place, ends = position(key, buckets), accumulate(shares.values())
    *_, last = shares
    return next((split for split, end in zip(shares, ends, strict=True) if place < round(end, 12)), last)


def position(key: str, buckets: int = 0) -> float:
    """A number in [0, 1) that only the key decides: SHA-256 or, with `buckets`, CRC-32 modulo so many.

    CRC-32 stays where the tiny web, questions from a corpus and held-out conversations have used it from the start:
    every trained model follows from these splits. What is new takes SHA-256.
    """
    if buckets:
        return zlib.crc32(key.encode()) % buckets / buckets
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
