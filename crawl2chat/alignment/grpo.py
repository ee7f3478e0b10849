"""Reinforcement learning with verifiable rewards: answers to one prompt compete with each other, no value network.

In: a policy, prompts with a reward function, replay. Out: the trained policy and its curve. A step: sample K answers to
each prompt, reward them, take advantages within each group, one or several clipped policy-gradient updates, replay
in the same update. Several processes share sampling, rewards and gradients; advantages are those of the whole step.
Sources: Shao et al. 2024 (GRPO), Liu et al. 2025 (Dr. GRPO), Yu et al. 2025 (DAPO).
"""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from crawl2chat.alignment.advantages import GroupAdvantage, group_advantages
from crawl2chat.alignment.losses import Denominator, kl_estimate, policy_loss, token_weights
from crawl2chat.alignment.policy_loop import PolicyLoop, adamw
from crawl2chat.alignment.replay import Replay
from crawl2chat.alignment.rollouts import (
    Judged,
    Rollout,
    answer_hidden,
    batches,
    derived_seed,
    rollout_difference,
    sample,
    score,
    table_of,
    token_entropies,
    token_logprobs,
)
from crawl2chat.errors import UserError
from crawl2chat.model.network import Transformer
from crawl2chat.parameters import Params
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tracking import Tracker
from crawl2chat.training.progress import Progress
from crawl2chat.training.ranks import rank_and_world, share_out

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class GRPOParams(Params):
    """The dials of the loop."""

    # Prompts of a step, and answers to each of them.
    prompts: int = Field(28, ge=1)
    samples: int = Field(8, ge=2)
    steps: int = Field(40, ge=1)
    # Trials collapsed at 1e-3.
    learning_rate: float = Field(5e-4, gt=0)
    # Steps.
    warmup: int = Field(5, ge=0)
    max_new_tokens: int = Field(96, ge=1)
    temperature: float = Field(1.0, gt=0)
    advantage: GroupAdvantage = "centred"
    denominator: Denominator = "constant"
    clip_low: float = Field(0.2, gt=0)
    clip_high: float = Field(0.28, gt=0)
    # Passes over the rollouts of a step, and updates in a pass.
    epochs: int = Field(1, ge=1)
    minibatches: int = Field(1, ge=1)
    # To the start policy; k1 as a reward, k2 and k3 as a loss.
    kl: Literal["none", "k1", "k2", "k3"] = "none"
    kl_weight: float = Field(0.02, ge=0)
    # Conversations and windows of pretraining text in an update; tokens of a window.
    replay_conversations: int = Field(24, ge=0)
    replay_windows: int = Field(4, ge=0)
    replay_width: int = Field(255, ge=8)
    replay_weight: float = Field(1.0, ge=0)
    # Steps between states on disk.
    save_every: int = Field(10, ge=1)


RewardFunction = Callable[[int, Rollout], Judged]  # (index of the prompt, answer)


def train(
    fabric: "Fabric",
    policy: Transformer,
    prompts: Sequence[list[int]],
    reward: RewardFunction,
    tokenizer: Tokenizer,
    replay: Replay,
    params: GRPOParams,
    seed: int,
    tracker: Tracker,
    work: Path,
) -> list[dict[str, float]]:
    """Trains `policy` in place and returns the curve, one row a step. Resumes from the newest checkpoint in `work`."""
    loop = GRPO(fabric, policy, prompts, reward, tokenizer, replay, params, seed, tracker, work)
    loop.run()
    return loop.progress.curve


class GRPO(PolicyLoop):
    """A step: rollouts, their rewards, and epochs × minibatches of updates."""

    def __init__(
        self,
        fabric: "Fabric",
        policy: Transformer,
        prompts: Sequence[list[int]],
        reward: RewardFunction,
        tokenizer: Tokenizer,
        replay: Replay,
        params: GRPOParams,
        seed: int,
        tracker: Tracker,
        work: Path,
    ) -> None:
        reference = copy.deepcopy(policy).requires_grad_(False) if params.kl != "none" else None
        optimizer = adamw(policy, params.learning_rate)
        super().__init__(fabric, policy, optimizer, Progress(), params.steps, replay, params, seed, tracker, work)
        self.policy, self.reference, self.prompts, self.reward = policy, reference, prompts, reward
        self.tokenizer = tokenizer

    def step(self, step: int) -> None:
        p = self.params
        generator = np.random.default_rng(derived_seed(self.seed, "prompts", step))
        chosen = generator.choice(len(self.prompts), min(p.prompts, len(self.prompts)), replace=False)
        rollouts = sample(
            self.policy,
            [self.prompts[i] for i in chosen],
            p.samples,
            self.tokenizer,
            max_new_tokens=p.max_new_tokens,
            seed=derived_seed(self.seed, "rollouts", step),
            temperature=p.temperature,
        )
        answered = [(int(chosen[i // p.samples]), rollout) for i, rollout in enumerate(rollouts)]
        judged = share_out(answered, lambda part: [self.reward(i, rollout) for i, rollout in part])
        rewards = torch.tensor([each.reward for each in judged]).view(-1, p.samples)
        if not rewards.isfinite().all():
            raise UserError(f"step {step}: a reward is not a finite number: check the verifier of this skill.")
        advantages = group_advantages(rewards, p.advantage).flatten()
        varied = (rewards != rewards[:, :1]).any(dim=1)
        # A group that agrees has no gradient of its own: it is left out, unless a KL penalty pulls at it.
        used = list(range(len(rollouts)))
        if self.reference is None:
            used = [i for i in used if varied[i // p.samples]]
        statistics = self.learn([rollouts[i] for i in used], advantages[used], len(rollouts), step)
        self.log(
            {
                "step": step,
                "reward": float(rewards.mean()),
                "accuracy": float(np.mean([each.correct for each in judged])),
                "format": float(np.mean([each.formatted for each in judged])),
                "length": float(np.mean([len(rollout.answer) for rollout in rollouts])),
                "finished": float(np.mean([rollout.finished for rollout in rollouts])),
                "zero_variance": float(1 - varied.float().mean()),
                **statistics,
            }
        )

    def learn(self, rollouts: list[Rollout], advantages: Tensor, sequences: int, step: int) -> dict[str, float]:
        """The step's updates, each with a global denominator and its share of replay; the means of their statistics.
        `sequences` counts all sampled answers, also those left out for having no gradient."""
        # With a single update the sampled policy is the trained one, and its log-probabilities come for free.
        several = self.params.epochs * self.params.minibatches > 1
        old = score(self.policy, rollouts, self.tokenizer.pad, self.params.temperature) if several else None
        found = [
            self.learn_from(
                self.gradient(rollouts, rows, advantages, old, sequences * len(rows) / max(1, len(rollouts))),
                self.policy,
                number,
            )
            for number, rows in self.minibatches(len(rollouts), step)
        ]
        return {key: sum(each[key] for each in found) / len(found) for key in found[0]}

    def gradient(
        self, rollouts: list[Rollout], rows: list[int], advantages: Tensor, old: list[Tensor] | None, sequences: float
    ) -> dict[str, float]:
        """Adds the gradient of this process's share of these rollouts' policy loss (and KL); returns its part of the means
        over their tokens."""
        p, device = self.params, next(self.policy.parameters()).device
        tokens = sum(len(rollouts[i].answer) for i in rows)
        rank, world = rank_and_world()
        rows = rows[rank::world]
        chosen = [(rollouts[i].prompt, rollouts[i].answer) for i in rows]
        sums = {"entropy": 0.0, "rollout_difference": 0.0, "kl": 0.0, "clipped": 0.0, "approx_kl": 0.0}
        for batch in batches(chosen, self.tokenizer.pad, device):
            hidden = answer_hidden(self.policy, batch)
            logprobs = token_logprobs(self.policy, hidden, batch, p.temperature)
            here = [rows[row] for row in batch.rows]
            before = logprobs.detach() if old is None else table_of([old[i] for i in here], batch.mask)
            weights = token_weights(batch.mask, p.denominator, sequences, tokens, p.max_new_tokens)
            a = advantages[here].to(device)[:, None].expand_as(logprobs)
            kl = torch.zeros_like(logprobs)
            if self.reference is not None:
                with torch.no_grad():
                    start = token_logprobs(self.reference, answer_hidden(self.reference, batch), batch, p.temperature)
                kl = kl_estimate(logprobs, start, p.kl)
                if p.kl == "k1":  # its own gradient is zero on average: it belongs into the reward
                    a = a - p.kl_weight * kl.detach()
            loss, statistics = policy_loss(logprobs, before, a, weights, p.clip_low, p.clip_high)
            if p.kl in ("k2", "k3"):
                loss = loss + p.kl_weight * (weights * kl).sum()
            loss.backward()
            count = int(batch.mask.sum())
            sums["entropy"] += float(token_entropies(self.policy, hidden, p.temperature).sum())
            sums["kl"] += float(kl.detach().sum())
            sums["clipped"] += statistics["clipped"] * count
            sums["approx_kl"] += statistics["approx_kl"] * count
            found = [logprobs[row, : len(chosen[i][1])].detach().cpu() for row, i in enumerate(batch.rows)]
            sums["rollout_difference"] += rollout_difference([rollouts[i] for i in here], found) * count
        return {key: value / max(1, tokens) for key, value in sums.items()}
