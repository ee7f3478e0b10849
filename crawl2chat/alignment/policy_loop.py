"""What both kinds of reinforcement learning add to the shared loop: minibatches of a step's rollouts, and updates that
mix their gradient with replay and add up what several processes found."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from crawl2chat.alignment.replay import Replay, ReplayParams
from crawl2chat.alignment.rollouts import Batch, Rollout, batches, derived_seed, sample
from crawl2chat.chat.tools import FAILED, Tool
from crawl2chat.errors import UserError
from crawl2chat.model.network import Transformer
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.training.loop import Loop
from crawl2chat.training.progress import Progress
from crawl2chat.training.ranks import total_gradients, total_numbers

MANY_CALLS = 20
"""Calls in a step from which on it is the tool and not the policy's spelling that failed, where none worked."""


class PolicyParams(ReplayParams):
    """The dials that both kinds share."""

    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    max_new_tokens: int = Field(ge=1)
    # Passes over the rollouts of a step, and updates in a pass.
    epochs: int = Field(ge=1)
    minibatches: int = Field(ge=1)
    # Bounds the loss of a bad answer's token that became this much likelier; 0 for no bound.
    dual_clip: float = Field(0.0, ge=0)
    # Steps between states on disk.
    save_every: int = Field(ge=1)


def learning_rate(step: int, peak: float, warmup: int, steps: int) -> float:
    """Linear warmup, then linearly down to a tenth at the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 - 0.9 * (step - warmup) / max(1, steps - warmup))


@dataclass(kw_only=True, eq=False)
class PolicyLoop(Loop):
    """`params` are those of GRPO or PPO, which share the names used here."""

    policy: Transformer
    prompts: Sequence[list[int]]
    tokenizer: Tokenizer
    replay: Replay
    params: Any
    seed: int
    tools: Mapping[str, Tool] | None = None
    # Where an answer ends, if not with its turn (prompts.py: `Harness`).
    finish: Callable[[Rollout], Rollout] | None = None

    def prepare(self, model: nn.Module, trained: nn.Module, progress: Progress, steps: int, eps: float) -> None:
        """Sets what the shared loop wants: AdamW for `trained`, which is `model` or a part of it."""
        rate = self.params.learning_rate
        self.model, self.progress, self.steps = model, progress, steps
        self.optimizers = [
            torch.optim.AdamW(trained.parameters(), lr=rate, betas=(0.9, 0.95), eps=eps, weight_decay=0.0, fused=True)
        ]
        self.clip, self.checkpoint_every = 1.0, self.params.save_every

    def learning_rate(self, peak: float) -> float:
        return learning_rate(self.progress.step, peak, self.params.warmup, self.params.steps)

    def sample(self, chosen: Sequence[int], count: int, step: int) -> list[Rollout]:
        """The step's rollouts: `count` answers to each of the chosen prompts. Raises UserError where tools were called
        and not one of them worked."""
        rollouts = sample(
            self.policy,
            [self.prompts[i] for i in chosen],
            count,
            self.tokenizer,
            max_new_tokens=self.params.max_new_tokens,
            seed=derived_seed(self.seed, "rollouts", step),
            temperature=self.params.temperature,
            tools=self.tools,
        )
        results = [result for rollout in rollouts for result in rollout.results]
        if len(results) >= MANY_CALLS and all(result.startswith(FAILED) for result in results):
            raise UserError(
                f"step {step}: all {len(results)} calls of tools failed, the first with {results[0]!r}: repair the "
                "tool, or the policy learns to do without it."
            )
        return list(map(self.finish, rollouts)) if self.finish else rollouts

    def batches(self, rollouts: Sequence[Rollout], rows: Sequence[int]) -> Iterator[tuple[Batch, list[int]]]:
        """These rows of the rollouts in batches on the policy's device, each with its own rows."""
        for batch in batches([rollouts[i] for i in rows], self.tokenizer.pad, next(self.policy.parameters()).device):
            yield batch, [rows[row] for row in batch.rows]

    def minibatches(self, rollouts: int, step: int) -> Iterator[tuple[int, list[int]]]:
        """(number of the update since the beginning, rows of its rollouts) for each update of a step."""
        p = self.params
        number = step * p.epochs * p.minibatches
        for epoch in range(p.epochs):
            order = np.random.default_rng(derived_seed(self.seed, "order", step, epoch)).permutation(rollouts)
            for part in np.array_split(order, p.minibatches):
                yield number, sorted(int(i) for i in part)
                number += 1

    def learn_from(self, statistics: dict[str, float], number: int) -> dict[str, float]:
        """Update `number`, after the gradient of its rollouts and with that of its replay; the statistics of all."""
        statistics |= self.replay.backward(self.policy, number, self.params.replay_weight)
        total_gradients(self.model.parameters())
        return total_numbers(statistics) | {"gradient_norm": float(self.update())}
