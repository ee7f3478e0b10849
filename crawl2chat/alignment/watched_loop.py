"""What every way of learning from a reward model shares: looks at held-out prompts on the way, and the best weights by
a rule that sees only a validation reward and the KL.

In: an evaluation that is called every few steps. Out: the curve, and the policy with the weights of the best look. What
is learnt in a step is the subclass's: PPO (ppo.py), or the methods of preference_methods.py.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from pydantic import Field
from torch import Tensor, nn

from crawl2chat.alignment.policy_loop import PolicyLoop, PolicyParams
from crawl2chat.alignment.rollouts import Rollout
from crawl2chat.model.network import Transformer
from crawl2chat.training.progress import Progress


class WatchedParams(PolicyParams):
    """The dials that all methods share."""

    # Answers a step; for DPO twice its pairs.
    episodes: int = Field(ge=2)
    warmup: int = Field(3, ge=0)
    temperature: float = Field(1.0, gt=0)
    # Instead of the proxy, for an answer that does not end.
    missing_end_reward: float
    evaluate_every: int = Field(ge=1)
    # Further from the start policy no checkpoint is chosen.
    kl_limit: float = Field(gt=0)


Scores = Callable[[list[Rollout]], Tensor]  # proxy rewards (n,)
Evaluation = Callable[[Transformer], dict[str, float]]  # must hold "validation" and "kl"


def earned(proxy: Tensor, rollouts: list[Rollout], missing_end_reward: float) -> Tensor:
    """The reward (n,) of each answer: its score, or what an answer that does not end gets instead."""
    finished = torch.tensor([rollout.finished for rollout in rollouts])
    return torch.where(finished, proxy, torch.full_like(proxy, missing_end_reward))


@dataclass
class WatchedProgress(Progress):
    """Adds what the best weights were chosen by."""

    best: float | None = None
    best_step: int = 0


@dataclass(kw_only=True, eq=False)
class WatchedLoop(PolicyLoop):
    """Trains `policy` in place and leaves it with the best weights. A step: an evaluation where it is due, then
    `train_step`.

    The row of step s holds what was measured *before* its update; a last row measures the end. Best is the highest
    score of the validation reward model, which is never optimised, on held-out prompts and within kl_limit; the start
    policy, with KL 0, always qualifies. `keep_last` leaves the last weights instead, for a run without a reward to
    choose by.
    """

    params: WatchedParams
    progress: WatchedProgress = field(init=False)
    evaluate: Evaluation
    keep_last: bool = False

    def watch(self, trained: nn.Module, progress: WatchedProgress, eps: float = 1e-8) -> None:
        """Sets what the shared loop wants, the reference policy, and where the best weights are kept."""
        self.reference = copy.deepcopy(self.policy).requires_grad_(False)
        self.best = copy.deepcopy(self.reference)
        kept = nn.ModuleDict({"actor": trained, "best": self.best})
        self.prepare(kept, trained, progress, self.params.steps + 1, eps)

    def train_step(self, step: int) -> dict[str, float]:
        """Learns from one step's answers or pairs; the row of the curve."""
        raise NotImplementedError

    def run(self) -> None:
        super().run()
        self.policy.load_state_dict(self.best.state_dict())

    def step(self, step: int) -> None:
        p, row = self.params, {"step": step}
        if step % p.evaluate_every == 0 or step == p.steps:
            row |= self.held_out(step)
        if step < p.steps:
            row |= self.train_step(step)
        self.log(row)

    def held_out(self, step: int) -> dict[str, float]:
        """Evaluates the policy, and keeps its weights where they are the best so far."""
        progress, found = self.progress, self.evaluate(self.policy)
        better = progress.best is None or found["validation"] > progress.best
        if self.keep_last or better and (step == 0 or found["kl"] <= self.params.kl_limit):
            progress.best, progress.best_step = found["validation"], step
            self.best.load_state_dict(self.policy.state_dict())
        row = {f"held_out_{key}": value for key, value in found.items()}
        return row | {"root_kl": max(found["kl"], 0.0) ** 0.5}
