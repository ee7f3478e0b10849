"""What both kinds of reinforcement learning add to the shared loop: minibatches of a step's rollouts, and updates that mix
their gradient with replay and add up what several processes found."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from crawl2chat.alignment.replay import Replay
from crawl2chat.alignment.rollouts import derived_seed
from crawl2chat.model.network import Transformer
from crawl2chat.tracking import Tracker
from crawl2chat.training.loop import Loop
from crawl2chat.training.progress import Progress
from crawl2chat.training.ranks import total_gradients, total_numbers

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def adamw(model: nn.Module, learning_rate: float, eps: float = 1e-8) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        model.parameters(), lr=learning_rate, betas=(0.9, 0.95), eps=eps, weight_decay=0.0, fused=True
    )


def learning_rate(step: int, peak: float, warmup: int, steps: int) -> float:
    """Linear warmup, then linearly down to a tenth at the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 - 0.9 * (step - warmup) / max(1, steps - warmup))


class PolicyLoop(Loop):
    """`params` are those of GRPO or PPO, which share the names used here."""

    def __init__(
        self,
        fabric: "Fabric",
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        progress: Progress,
        steps: int,
        replay: Replay,
        params: Any,
        seed: int,
        tracker: Tracker,
        work: Path,
    ) -> None:
        super().__init__(
            fabric,
            model,
            [optimizer],
            progress,
            steps=steps,
            rate=lambda step, peak: learning_rate(step, peak, params.warmup, params.steps),
            clip=1.0,
            checkpoint_every=params.save_every,
            keep=2,
            work=work,
            tracker=tracker,
        )
        self.replay, self.params, self.seed = replay, params, seed

    def minibatches(self, rollouts: int, step: int) -> Iterator[tuple[int, list[int]]]:
        """(number of the update since the beginning, rows of its rollouts) for each update of a step."""
        p = self.params
        number = step * p.epochs * p.minibatches
        for epoch in range(p.epochs):
            order = np.random.default_rng(derived_seed(self.seed, "order", step, epoch)).permutation(rollouts)
            for part in np.array_split(order, p.minibatches):
                yield number, sorted(int(i) for i in part)
                number += 1

    def learn_from(self, statistics: dict[str, float], policy: Transformer, number: int) -> dict[str, float]:
        """Update `number`, after the gradient of its rollouts and with that of its replay; the statistics of all."""
        statistics |= self.replay.backward(policy, number, self.params.replay_weight)
        total_gradients(self.model.parameters())
        return total_numbers(statistics) | {"gradient_norm": float(self.update())}
