"""Replay: what the policy already knows, mixed into every step of reinforcement learning so that it stays.

In: SFT conversations (train.jsonl) and pretraining token shards. Out: batches whose plain next-token loss is added to
the policy loss. Conversations are drawn kind by kind in equal numbers, so that a rare skill is replayed as often as a
frequent one: trials lost 0.15 of neighbouring skills otherwise (Ouyang et al. 2022 call the same mix PPO-ptx).
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from crawl2chat.alignment.rollouts import derived_seed
from crawl2chat.chat.conversation import render
from crawl2chat.errors import UserError
from crawl2chat.jsonl import read_jsonl
from crawl2chat.model.network import IGNORED, Transformer
from crawl2chat.parameters import Params
from crawl2chat.tokens.reading import read_split
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.training.ranks import rank_and_world


class ReplayParams(Params):
    """What is mixed into each update; the kinds of reinforcement learning add theirs."""

    # Conversations and windows of pretraining text in an update; tokens of a window.
    replay_conversations: int = Field(ge=0)
    replay_windows: int = Field(ge=0)
    replay_width: int = Field(255, ge=8)
    replay_weight: float = Field(ge=0)


class Replay:
    """Draws dialogues and windows of pretraining tokens for an update; `params` says how many, and how wide."""

    def __init__(
        self,
        conversations_folder: Path,
        tokens_folder: Path,
        tokenizer: Tokenizer,
        params: ReplayParams,
        context: int,
        seed: int,
    ) -> None:
        self.tokenizer, self.seed, self.width = tokenizer, seed, min(params.replay_width, context)
        self.conversations, self.windows = params.replay_conversations, params.replay_windows
        self.kinds = read_by_kind(conversations_folder / "train.jsonl") if self.conversations else {}
        if self.windows:
            self.stream = read_split(tokens_folder, "train").ids
            if len(self.stream) <= self.width:
                raise UserError(f"{tokens_folder}/train.bin holds {len(self.stream)} tokens: shorten replay_width.")

    def backward(self, model: Transformer, step: int, weight: float) -> dict[str, float]:
        """Adds the gradient of weight · (mean conversation loss + mean pretraining loss); returns both losses. Of
        several processes each takes its share of the rows: gradients and losses are then parts of a sum."""
        losses = {}
        device = next(model.parameters()).device
        rank, world = rank_and_world()
        for name, batch in self.batches(step).items():
            trained_on = (batch[1] != IGNORED).sum().clamp(min=1)
            ids, targets, documents = (t[rank::world].to(device) for t in batch)
            losses[f"replay_{name}"] = 0.0
            if len(ids):
                loss = model.token_losses(model(ids, document_ids=documents), targets).sum() / trained_on.to(device)
                (weight * loss).backward()
                losses[f"replay_{name}"] = float(loss.detach())
        return losses

    def batches(self, step: int) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
        """(ids, targets, document ids), each (B, T), of this step: a pure function of (seed, step)."""
        generator = np.random.default_rng(derived_seed(self.seed, "replay", step))
        found = {}
        if self.conversations:
            found["conversations"] = self.dialogues(generator)
        if self.windows:
            starts = generator.integers(0, len(self.stream) - self.width, self.windows)
            rows = np.stack([self.stream[s : s + self.width + 1].astype(np.int64) for s in starts])
            ids = torch.from_numpy(rows)
            documents = (ids[:, :-1] == self.tokenizer.bos).cumsum(1)
            # The token that opens the next document cannot be predicted: it is not trained on.
            targets = ids[:, 1:].where(ids[:, 1:] != self.tokenizer.bos, IGNORED)
            found["text"] = (ids[:, :-1], targets, documents)
        return found

    def dialogues(self, generator: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        kinds = sorted(self.kinds)
        drawn = [kinds[i] for i in generator.permutation(max(self.conversations, len(kinds))) % len(kinds)]
        rows: list[list[tuple[int, int, int]]] = [[]]
        for number, kind in enumerate(drawn[: self.conversations]):
            record = self.kinds[kind][generator.integers(len(self.kinds[kind]))]
            ids, mask = render(record["messages"], self.tokenizer)
            targets = [token if supervised else IGNORED for token, supervised in zip(ids[1:], mask[1:], strict=True)]
            part = [(token, target, number) for token, target in zip(ids, targets, strict=False)][: self.width]
            if len(rows[-1]) + len(part) > self.width:
                rows.append([])
            rows[-1] += part
        filler = (self.tokenizer.pad, IGNORED, -1)
        longest = max(map(len, rows))
        table = torch.tensor([row + [filler] * (longest - len(row)) for row in rows])  # (B, T, 3)
        return table[..., 0], table[..., 1], table[..., 2]


def read_by_kind(path: Path) -> dict[str, list[dict]]:
    kinds = defaultdict(list)
    for record in read_jsonl(path):
        kinds[record.get("kind", "")].append(record)
    if not kinds:
        raise UserError(f"{path} holds no conversation: set replay_conversations to 0, or add some.")
    return dict(kinds)
