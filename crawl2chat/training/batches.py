"""Which tokens a training step sees: a pure function of (seed, step, rank), so that nothing about the data has to be
saved to resume exactly, and any number of devices works off the same global batches.

Documents are packed whole into rows of the context's length by best fit (Ding et al. 2024, "Fewer Truncations"), each
from its bos on; only documents longer than a row are cut. What remains of a row is padding, numbered document 0 and
without weight. The other packing, windows, cuts the stream every `width` tokens wherever documents begin: no padding,
but most rows begin in the middle of a document. Either way each token is an input once per epoch. Conversations take
the same road, with weight only on what the assistant says.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from crawl2chat.errors import UserError
from crawl2chat.tokens.reading import read_split


@dataclass
class Stream:
    """Documents end to end. Position i is trained to predict `ids[i + 1]`; after the very last comes `closing`."""

    # (tokens,) any integer type; may be a memory map.
    ids: np.ndarray
    # (documents,) where each begins.
    starts: np.ndarray
    # The id that follows the last token: bos, as after every document.
    closing: int
    # (tokens,) bool: is position i's target trained on? None: all are.
    supervised: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not len(self.ids):
            raise UserError("there are no tokens to train on: the split is empty")

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.starts, append=len(self.ids))

    def piece(self, start: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """ids, targets and supervised of `length` positions from `start`."""
        ids = np.asarray(self.ids[start : start + length], dtype=np.int64)
        targets = np.asarray(self.ids[start + 1 : start + length + 1], dtype=np.int64)
        if len(targets) < length:
            targets = np.append(targets, self.closing)
        trained = np.ones(length, bool) if self.supervised is None else self.supervised[start : start + length]
        return ids, targets, trained


def read_tokens(folder: Path, split: str, vocab_size: int, bos: int) -> Stream:
    """A split of token shards. UserError where they and the tokenizer disagree."""
    tokens = read_split(folder, split)
    if tokens.vocab_size != vocab_size:
        raise UserError(
            f"{folder} has tokens of a vocabulary of {tokens.vocab_size:,} ids and the tokenizer has {vocab_size:,}: "
            "encode the corpus again"
        )
    return Stream(tokens.ids, tokens.starts, bos)


def pack(lengths: Sequence[int], width: int, rng: np.random.Generator) -> list[list[int]]:
    """Rows of items, each row's lengths summing to at most `width`: every item, in random order, goes to the fullest
    row that still has room for it. Items longer than `width` are an error of the caller."""
    rows: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(width + 1)]
    open_rooms = 0  # bit r is set while some row has exactly r places left
    for item in rng.permutation(len(lengths)):
        length = int(lengths[item])
        fitting = open_rooms >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            row = by_room[room].pop()
            if not by_room[room]:
                open_rooms &= ~(1 << room)
        else:
            room, row = width, len(rows)
            rows.append([])
        rows[row].append(int(item))
        left = room - length
        if left:
            by_room[left].append(row)
            open_rooms |= 1 << left
    return rows


class Rows:
    """A stream packed into rows of `width` positions, with an endless order: a fresh permutation every epoch."""

    def __init__(
        self, stream: Stream, width: int, seed: int, packing: Literal["documents", "windows"] = "documents"
    ) -> None:
        self.stream, self.width, self.seed = stream, width, seed
        self._epoch, self._order = -1, np.empty(0, np.int64)
        if packing == "windows":
            self.starts = np.union1d(stream.starts, np.arange(0, len(stream.ids), width))
            self.sizes = np.diff(self.starts, append=len(stream.ids))
            borders = np.flatnonzero(self.starts % width == 0)[1:]
            self.rows = [part.tolist() for part in np.split(np.arange(len(self.starts)), borders)]
            return
        lengths = stream.lengths
        pieces = -(-lengths // width)  # long documents are cut into pieces of at most `width`
        owner = np.repeat(np.arange(len(lengths)), pieces)
        number = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        self.starts = stream.starts[owner] + number * width
        self.sizes = np.minimum(lengths[owner] - number * width, width)
        self.rows = pack(self.sizes, width, np.random.default_rng([seed, 0]))

    def __len__(self) -> int:
        """Rows in one epoch."""
        return len(self.rows)

    def row(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """ids, targets, supervised, documents, each (width,), of the index-th row in the endless order."""
        epoch, place = divmod(index, len(self.rows))
        if epoch != self._epoch:
            self._epoch, self._order = (epoch, np.random.default_rng([self.seed, 1, epoch]).permutation(len(self.rows)))
        return self.fill(self.rows[self._order[place]])

    def fill(self, pieces: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The row that these pieces make."""
        ids, targets, documents = np.zeros((3, self.width), np.int64)
        supervised = np.zeros(self.width, bool)
        at = 0
        for number, piece in enumerate(pieces, start=1):
            end = at + int(self.sizes[piece])
            part = self.stream.piece(int(self.starts[piece]), end - at)
            ids[at:end], targets[at:end], supervised[at:end] = part
            documents[at:end] = number
            at = end
        return ids, targets, supervised, documents


@dataclass(frozen=True)
class Part:
    """A source of rows in every batch: how many of the batch's rows, and its share of the loss beside the others'."""

    rows: Rows
    count: int
    share: float = 1.0


Batch = dict[str, Tensor]


@dataclass
class Batches:
    """The global batches of a training run.

    A batch holds ids, targets, documents (B, T) and weights (B, T): the loss is the weighted sum of the token losses.
    Weights add up to 1 over the global batch, so that the mean over tokens is the same on any number of devices.
    """

    parts: Sequence[Part]
    document_mask: bool = True
    steps_per_epoch: int = field(init=False)

    def __post_init__(self) -> None:
        first = self.parts[0]
        self.steps_per_epoch = max(1, round(len(first.rows) / first.count))

    def __call__(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """What device `rank` of `world` sees at `step`."""
        rows, weights = [], []
        total = sum(part.share for part in self.parts)
        for part in self.parts:
            mine = [part.rows.row(step * part.count + i) for i in range(part.count)]
            trained = np.stack([row[2] for row in mine])
            weights.append(trained * (part.share / total / max(1, trained.sum())))
            rows += mine
        weight = np.concatenate(weights)[rank::world] * world  # devices average their gradients
        chosen = rows[rank::world]
        batch = {
            "ids": torch.from_numpy(np.stack([row[0] for row in chosen])),
            "targets": torch.from_numpy(np.stack([row[1] for row in chosen])),
            "weights": torch.from_numpy(weight.astype(np.float32)),
        }
        if self.document_mask:
            batch["documents"] = torch.from_numpy(np.stack([row[3] for row in chosen]))
        return batch


def weighted_loss(model: torch.nn.Module, batch: Batch) -> Tensor:
    """The loss of a batch, a scalar: 0, not NaN, where nothing is supervised."""
    hidden = model(batch["ids"], batch.get("documents"))
    return (model.token_losses(hidden, batch["targets"]) * batch["weights"]).sum()
