"""Reinforcement learning with verifiable rewards: answers to one prompt compete with each other, no value network.

In: a policy, prompts with a reward function, replay. Out: the trained policy and its curve. A step: sample K answers to
each prompt, reward them, take advantages within each group, one or several clipped policy-gradient updates, replay
in the same update. A plain loop rather than Lightning's: data, generation and several updates alternate, which a trainer
built around a data loader only hides. Sources: Shao et al. 2024 (GRPO), Liu et al. 2025 (Dr. GRPO), Yu et al. 2025 (DAPO).
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from tqdm import tqdm

from crawl2chat.alignment.advantages import GroupAdvantage, group_advantages
from crawl2chat.alignment.losses import Denominator, kl_estimate, policy_loss, token_weights
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
from crawl2chat.training.checkpoints import load_newest, save_checkpoint


class GRPOParams(Params):
    """The dials of the loop."""

    prompts: int = Field(28, ge=1)  # a step
    samples: int = Field(8, ge=2)  # answers to each of them
    steps: int = Field(40, ge=1)
    learning_rate: float = Field(5e-4, gt=0)  # trials collapsed at 1e-3
    warmup: int = Field(5, ge=0)  # steps
    max_new_tokens: int = Field(96, ge=1)
    temperature: float = Field(1.0, gt=0)
    advantage: GroupAdvantage = "centred"
    denominator: Denominator = "constant"
    clip_low: float = Field(0.2, gt=0)
    clip_high: float = Field(0.28, gt=0)
    epochs: int = Field(1, ge=1)  # passes over the rollouts of a step
    minibatches: int = Field(1, ge=1)  # updates in a pass
    kl: Literal["none", "k1", "k2", "k3"] = "none"  # to the start policy; k1 as a reward, k2 and k3 as a loss
    kl_weight: float = Field(0.02, ge=0)
    replay_conversations: int = Field(24, ge=0)  # an update
    replay_windows: int = Field(4, ge=0)
    replay_width: int = Field(255, ge=8)  # tokens of a window
    replay_weight: float = Field(1.0, ge=0)
    save_every: int = Field(10, ge=1)  # steps between states on disk


RewardFunction = Callable[[int, Rollout], Judged]  # (index of the prompt, answer)


def learning_rate(step: int, peak: float, warmup: int, steps: int) -> float:
    """Linear warmup, then linearly down to a tenth at the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (1 - 0.9 * (step - warmup) / max(1, steps - warmup))


def train(
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
    optimizer = torch.optim.AdamW(
        policy.parameters(), lr=params.learning_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True
    )
    reference = copy.deepcopy(policy).requires_grad_(False) if params.kl != "none" else None
    state = load_newest(work / "checkpoints", policy, [optimizer]) or {"step": 0, "curve": []}
    curve = state["curve"]
    for step in tqdm(range(state["step"], params.steps), initial=state["step"], total=params.steps, disable=None):
        row = {
            "step": step,
            **_step(policy, reference, optimizer, prompts, reward, tokenizer, replay, params, seed, step),
        }
        curve.append(row)
        tracker.metrics({key: value for key, value in row.items() if key != "step"}, step)
        if (step + 1) % params.save_every == 0 and step + 1 < params.steps:
            save_checkpoint(work / "checkpoints", step + 1, policy, [optimizer], {"curve": curve}, keep=2)
    return curve


def _step(
    policy: Transformer,
    reference: Transformer | None,
    optimizer: torch.optim.Optimizer,
    prompts: Sequence[list[int]],
    reward: RewardFunction,
    tokenizer: Tokenizer,
    replay: Replay,
    params: GRPOParams,
    seed: int,
    step: int,
) -> dict[str, float]:
    generator = np.random.default_rng(derived_seed(seed, "prompts", step))
    chosen = generator.choice(len(prompts), min(params.prompts, len(prompts)), replace=False)
    rollouts = sample(
        policy,
        [prompts[i] for i in chosen],
        params.samples,
        tokenizer,
        max_new_tokens=params.max_new_tokens,
        seed=derived_seed(seed, "rollouts", step),
        temperature=params.temperature,
    )
    judged = [reward(int(chosen[i // params.samples]), rollout) for i, rollout in enumerate(rollouts)]
    rewards = torch.tensor([each.reward for each in judged]).view(-1, params.samples)
    if not rewards.isfinite().all():
        raise UserError(f"step {step}: a reward is not a finite number: check the verifier of this skill.")
    advantages = group_advantages(rewards, params.advantage).flatten()
    varied = (rewards != rewards[:, :1]).any(dim=1)
    # A group that agrees has no gradient of its own: it is left out, unless a KL penalty pulls at it.
    used = list(range(len(rollouts)))
    if reference is None:
        used = [i for i in used if varied[i // params.samples]]
    update = Update(policy, reference, optimizer, tokenizer, replay, params)
    statistics = update.run([rollouts[i] for i in used], advantages[used], len(rollouts), seed, step)
    return {
        "reward": float(rewards.mean()),
        "accuracy": float(np.mean([each.correct for each in judged])),
        "format": float(np.mean([each.formatted for each in judged])),
        "length": float(np.mean([len(rollout.answer) for rollout in rollouts])),
        "finished": float(np.mean([rollout.finished for rollout in rollouts])),
        "zero_variance": float(1 - varied.float().mean()),
        **statistics,
    }


@dataclass
class Update:
    """One step's updates: epochs × minibatches, each with a global denominator and its share of replay."""

    policy: Transformer
    reference: Transformer | None
    optimizer: torch.optim.Optimizer
    tokenizer: Tokenizer
    replay: Replay
    params: GRPOParams

    def run(
        self, rollouts: list[Rollout], advantages: Tensor, sequences: int, seed: int, step: int
    ) -> dict[str, float]:
        """`sequences` counts all sampled answers, also those left out for having no gradient."""
        p = self.params
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, p.learning_rate, p.warmup, p.steps)
        # With a single update the sampled policy is the trained one, and its log-probabilities come for free.
        several = p.epochs * p.minibatches > 1
        old = score(self.policy, rollouts, self.tokenizer.pad, p.temperature) if several else None
        statistics: dict[str, float] = {}
        number = 0
        for epoch in range(p.epochs):
            order = np.random.default_rng(derived_seed(seed, "order", step, epoch)).permutation(len(rollouts))
            for part in np.array_split(order, p.minibatches):
                rows = sorted(int(i) for i in part)
                share = sequences * len(rows) / max(1, len(rollouts))
                self.optimizer.zero_grad(set_to_none=True)
                found = self.gradient(rollouts, rows, advantages, old, share)
                found |= self.replay.backward(self.policy, step * p.epochs * p.minibatches + number, p.replay_weight)
                found["gradient_norm"] = float(torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 1.0))
                self.optimizer.step()
                number += 1
                statistics = {key: statistics.get(key, 0.0) + value for key, value in found.items()}
        return {key: value / number for key, value in statistics.items()}

    def gradient(
        self, rollouts: list[Rollout], rows: list[int], advantages: Tensor, old: list[Tensor] | None, sequences: float
    ) -> dict[str, float]:
        """Adds the gradient of these rollouts' policy loss (and KL); returns means over their tokens."""
        p, device = self.params, next(self.policy.parameters()).device
        chosen = [(rollouts[i].prompt, rollouts[i].answer) for i in rows]
        tokens = sum(len(answer) for _, answer in chosen)
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
