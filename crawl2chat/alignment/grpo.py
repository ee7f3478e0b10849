"""Reinforcement learning with verifiable rewards: answers to one prompt compete with each other, no value network.

In: a policy, prompts with a reward function, replay. Out: the trained policy and its curve. A step: sample K answers to
each prompt, reward them, take advantages within each group, one or several clipped policy-gradient updates, replay
in the same update. Several processes share sampling, rewards and gradients; advantages are those of the whole step.
Sources: Shao et al. 2024 (GRPO), Liu et al. 2025 (Dr. GRPO), Yu et al. 2025 (DAPO).
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from crawl2chat.alignment.advantages import GroupAdvantage, group_advantages
from crawl2chat.alignment.losses import Denominator, kl_estimate, policy_loss, token_weights
from crawl2chat.alignment.policy_loop import PolicyLoop, PolicyParams
from crawl2chat.alignment.rollouts import (
    Judged,
    Rollout,
    answer_hidden,
    derived_seed,
    rollout_difference,
    score,
    table_of,
    token_entropies,
    token_logprobs,
)
from crawl2chat.errors import UserError
from crawl2chat.model.network import Transformer
from crawl2chat.training.progress import Progress
from crawl2chat.training.ranks import rank_and_world, share_out


class GRPOParams(PolicyParams):
    """The dials of the loop."""

    # What earns a reward. Two are controls: form alone, right or wrong; and `shuffled`, the step's rewards for being
    # right, dealt out anew among its answers.
    reward: Literal["correct", "form", "shuffled"] = "correct"
    # Prompts of a step, and answers to each of them.
    prompts: int = Field(ge=1)
    samples: int = Field(ge=2)
    # Steps.
    warmup: int = Field(5, ge=0)
    temperature: float = Field(gt=0)
    advantage: GroupAdvantage
    denominator: Denominator
    clip_low: float = Field(gt=0)
    clip_high: float = Field(gt=0)
    # To the start policy; k1 as a reward, k2 and k3 as a loss.
    kl: Literal["none", "k1", "k2", "k3"]
    kl_weight: float = Field(ge=0)
    # Bounds k3 of a token, whose eˡ may explode where the policy left the start far behind; 0 for no bound (verl: 10).
    kl_clamp: float = Field(0.0, ge=0)


RewardFunction = Callable[[int, Rollout], Judged]  # (index of the prompt, answer)
Answered = list[tuple[int, Rollout]]  # (index of the prompt, answer)


@dataclass(kw_only=True, eq=False)
class GroupLoop(PolicyLoop):
    """Learns from groups of answers, whatever rewards them. A step: rollouts, their rewards, and epochs × minibatches
    of updates."""

    params: GRPOParams
    reference: Transformer | None = field(init=False)

    def rewarded(self, answered: Answered) -> tuple[Tensor, dict[str, float]]:
        """Rewards (n,) of a step's answers, and what else the curve should say of them. Several processes share
        them."""
        raise NotImplementedError

    def train_step(self, step: int) -> dict[str, float]:
        """Learns from one step's answers; the row of the curve."""
        p = self.params
        generator = np.random.default_rng(derived_seed(self.seed, "prompts", step))
        chosen = generator.choice(len(self.prompts), min(p.prompts, len(self.prompts)), replace=False)
        rollouts = self.sample(chosen, p.samples, step)
        rewards, facts = self.rewarded([(int(chosen[i // p.samples]), each) for i, each in enumerate(rollouts)])
        if p.reward == "shuffled":
            rewards = rewards[generator.permutation(len(rewards))]
        rewards = rewards.view(-1, p.samples)
        if not rewards.isfinite().all():
            raise UserError(f"step {step}: a reward is not a finite number: check the verifier of this skill.")
        advantages = group_advantages(rewards, p.advantage).flatten()
        varied = (rewards != rewards[:, :1]).any(dim=1)
        # A group that agrees has no gradient of its own: it is left out, unless a KL penalty pulls at it.
        used = list(range(len(rollouts)))
        if self.reference is None:
            used = [i for i in used if varied[i // p.samples]]
        row = {
            "reward": float(rewards.mean()),
            **facts,
            "length": float(np.mean([rollout.tokens for rollout in rollouts])),
            "finished": float(np.mean([rollout.finished for rollout in rollouts])),
            "zero_variance": float(1 - varied.float().mean()),
        }
        return row | self.learn([rollouts[i] for i in used], advantages[used], len(rollouts), step)

    def learn(self, rollouts: list[Rollout], advantages: Tensor, sequences: int, step: int) -> dict[str, float]:
        """The step's updates, each with a global denominator and its share of replay; the means of their statistics.
        `sequences` counts all sampled answers, also those left out for having no gradient."""
        # With a single update the sampled policy is the trained one, and its log-probabilities come for free.
        several = self.params.epochs * self.params.minibatches > 1
        old = score(self.policy, rollouts, self.tokenizer.pad, self.params.temperature) if several else None
        found = [
            self.learn_from(
                self.gradient(rollouts, rows, advantages, old, sequences * len(rows) / max(1, len(rollouts))), number
            )
            for number, rows in self.minibatches(len(rollouts), step)
        ]
        return {key: sum(each[key] for each in found) / len(found) for key in found[0]}

    def gradient(
        self, rollouts: list[Rollout], rows: list[int], advantages: Tensor, old: list[Tensor] | None, sequences: float
    ) -> dict[str, float]:
        """Adds the gradient of this process's share of these rollouts' policy loss (and KL); returns its part of the
        means over their tokens."""
        p = self.params
        tokens = sum(rollouts[i].tokens for i in rows)
        rank, world = rank_and_world()
        sums = {"entropy": 0.0, "rollout_difference": 0.0, "kl": 0.0, "clipped": 0.0, "approx_kl": 0.0}
        for batch, here in self.batches(rollouts, rows[rank::world]):
            hidden = answer_hidden(self.policy, batch)
            logprobs = token_logprobs(self.policy, hidden, batch, p.temperature)
            before = logprobs.detach() if old is None else table_of([old[i] for i in here], batch.mask)
            weights = token_weights(batch.mask, p.denominator, sequences, tokens, p.max_new_tokens)
            a = advantages[here].to(logprobs.device)[:, None].expand_as(logprobs)
            kl = torch.zeros_like(logprobs)
            if self.reference is not None:
                with torch.no_grad():
                    start = token_logprobs(self.reference, answer_hidden(self.reference, batch), batch, p.temperature)
                kl = kl_estimate(logprobs, start, p.kl, p.kl_clamp)
                if p.kl == "k1":  # its own gradient is zero on average: it belongs into the reward, from each token on
                    a = a - p.kl_weight * kl.detach().flip(1).cumsum(1).flip(1)
            loss, statistics = policy_loss(logprobs, before, a, weights, p.clip_low, p.clip_high, p.dual_clip)
            if p.kl in ("k2", "k3"):
                loss = loss + p.kl_weight * (weights * kl).sum()
            loss.backward()
            count = int(batch.mask.sum())
            sums["entropy"] += float(token_entropies(self.policy, hidden, p.temperature).sum())
            sums["kl"] += float(kl.detach().sum())
            sums["clipped"] += statistics["clipped"] * count
            sums["approx_kl"] += statistics["approx_kl"] * count
            sampled = [rollouts[i] for i in here]
            now = [row[: len(rollout.answer)] for row, rollout in zip(logprobs.detach().cpu(), sampled, strict=True)]
            sums["rollout_difference"] += rollout_difference(sampled, now) * count
        return {key: value / max(1, tokens) for key, value in sums.items()}


@dataclass(kw_only=True, eq=False)
class GRPO(GroupLoop):
    """Trains `policy` in place on rewards that a verifier gives."""

    reward: RewardFunction

    def __post_init__(self) -> None:
        self.reference = copy.deepcopy(self.policy).requires_grad_(False) if self.params.kl != "none" else None
        self.prepare(self.policy, self.policy, Progress(), self.params.steps, eps=1e-8)

    def step(self, step: int) -> None:
        self.log({"step": step} | self.train_step(step))

    def rewarded(self, answered: Answered) -> tuple[Tensor, dict[str, float]]:
        judged = share_out(answered, lambda part: [self.reward(i, rollout) for i, rollout in part])
        form = self.params.reward == "form"
        return torch.tensor([each.formatted if form else each.reward for each in judged]).float(), {
            "accuracy": float(np.mean([each.correct for each in judged])),
            "format": float(np.mean([each.formatted for each in judged])),
        }
