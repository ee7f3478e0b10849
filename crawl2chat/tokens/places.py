"""Where the tokens of a document lie, and which document a token belongs to.

In: the folders of the corpus, its tokens and their tokenizer, and the parameters by which the corpus was split and
ordered.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crawl2chat.errors import UserError
from crawl2chat.tokens.corpus import read
from crawl2chat.tokens.reading import read_split
from crawl2chat.tokens.shards import Entry, chance, split_of

SPLITS = ("train", "val")


@dataclass(frozen=True)
class TokenPlaces:
    """The places of all documents. The tokenizer's folder may be missing: then texts are not compared."""

    corpus: Path
    tokens: Path
    tokenizer: Path
    seed: int
    val_share: float

    def exist(self) -> bool:
        return (self.tokens / "meta.json").exists()

    def of(self, key: str, text: str) -> tuple[str, int, int, int, int] | None:
        """Split, start, end (not included) of a document, its number and how many there are; None in tokens of another
        corpus."""
        for split in SPLITS:
            ids, bounds = self.order(split), self.bounds(split)
            if key in ids and len(ids) + 1 == len(bounds):
                number = ids.index(key)
                start, end = int(bounds[number]), int(bounds[number + 1])
                if self.decoded(split, start, end) in (text, None):
                    return split, start, end, number, len(ids)
        return None

    def document_at(self, split: str, token: int) -> str:
        """The id of the document that a token of a split belongs to."""
        bounds = self.bounds(split)
        if token >= bounds[-1]:
            raise UserError(f"{split} has {int(bounds[-1]):,} tokens, numbered from 0; {token:,} is none of them.")
        return self.order(split)[int(np.searchsorted(bounds, token, "right")) - 1]

    def order(self, split: str) -> list[str]:
        """The ids of a split's documents in the order of its tokens, as `shards.py` put them."""
        entries = (
            Entry(key, key if cluster < 0 else f"cluster {cluster}", "")
            for key, cluster in read(self.corpus, "id", "cluster")
        )
        ids = (entry.id for entry in entries if split_of(entry, self.seed, self.val_share) == split)
        return [key for _, key in sorted((chance(self.seed, "order", key), key) for key in ids)]

    def bounds(self, split: str) -> np.ndarray:
        """Where each document of a split begins, and at the end where the last one ends."""
        ids, starts, _ = read_split(self.tokens, split)
        return np.append(starts, len(ids))

    def decoded(self, split: str, start: int, end: int) -> str | None:
        """The text that the tokens stand for, without the bos before it; None where there is no tokenizer."""
        from crawl2chat.tokens.tokenizer import Tokenizer

        if not self.tokenizer.is_dir():
            return None
        ids = read_split(self.tokens, split).ids[start + 1 : end]
        return Tokenizer.load(self.tokenizer).decode(ids.tolist())
