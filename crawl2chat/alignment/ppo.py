"""Proximal policy optimisation against a learned reward, held near the start policy by a KL penalty.

In: a policy, prompts, a reward function over rollouts, replay, and an evaluation that is called every few steps. Out: the
curve and the best weights by a rule that sees only the held-out proxy reward and the KL. Several processes share sampling,
rewards and gradients; advantages are whitened over the whole step.
Sources: Ziegler et al. 2019, Ouyang et al. 2022, "The N implementation details of RLHF with PPO" (2023).
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from crawl2chat.alignment.advantages import gae, whiten
from crawl2chat.alignment.losses import AdaptiveKL, policy_loss, token_weights, value_loss
from crawl2chat.alignment.policy_loop import PolicyLoop, adamw
from crawl2chat.alignment.replay import Replay
from crawl2chat.alignment.rollouts import (
    Batch,
    Rollout,
    answer_hidden,
    batches,
    derived_seed,
    rollout_difference,
    sample,
    score,
    spread,
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
from crawl2chat.training.ranks import rank_and_world, total

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class PPOParams(Params):
    """The dials of the loop."""

    # Answers a step, each to its own prompt.
    episodes: int = Field(128, ge=2)
    steps: int = Field(30, ge=1)
    learning_rate: float = Field(2e-4, gt=0)
    warmup: int = Field(3, ge=0)
    max_new_tokens: int = Field(64, ge=1)
    temperature: float = Field(1.0, gt=0)
    gamma: float = Field(1.0, gt=0, le=1)
    gae_lambda: float = Field(0.95, ge=0, le=1)
    epochs: int = Field(2, ge=1)
    minibatches: int = Field(2, ge=1)
    clip: float = Field(0.2, gt=0)
    value_clip: float = Field(0.2, gt=0)
    value_weight: float = Field(0.1, ge=0)
    # At the start.
    kl_coefficient: float = Field(0.05, ge=0)
    # Nats an answer.
    kl_target: float = Field(4.0, gt=0)
    # Episodes; a small fraction of the run's, or the coefficient never moves.
    kl_horizon: float = Field(400.0, gt=0)
    # Instead of the proxy, for an answer that does not end.
    missing_end_reward: float = -3.0
    # Conversations and windows of pretraining text in an update; tokens of a window.
    replay_conversations: int = Field(16, ge=0)
    replay_windows: int = Field(2, ge=0)
    replay_width: int = Field(255, ge=8)
    replay_weight: float = Field(0.5, ge=0)
    evaluate_every: int = Field(5, ge=1)
    # Further from the start policy no checkpoint is chosen.
    kl_limit: float = Field(8.0, gt=0)
    # Steps between states on disk.
    save_every: int = Field(5, ge=1)

    @model_validator(mode="after")
    def coefficient_stays_positive(self) -> "PPOParams":
        if self.episodes / self.kl_horizon >= 5:
            raise ValueError(f"kl_horizon {self.kl_horizon} must exceed a fifth of episodes ({self.episodes})")
        return self


Scores = Callable[[list[Rollout]], Tensor]  # proxy rewards (n,)
Evaluation = Callable[[Transformer], dict[str, float]]  # must hold "proxy" and "kl"


class ActorCritic(nn.Module):
    """The policy and, on its last hidden state, a value head that is zero at the start."""

    def __init__(self, policy: Transformer) -> None:
        super().__init__()
        self.policy = policy
        self.value = nn.Linear(policy.config.hidden_size, 1)
        nn.init.zeros_(self.value.weight)
        nn.init.zeros_(self.value.bias)

    def forward(self, batch: Batch, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities (B, A), values (B, A) of the states before each token, and the hidden states (N, d)."""
        hidden = answer_hidden(self.policy, batch)
        logprobs = token_logprobs(self.policy, hidden, batch, temperature)
        return logprobs, spread(self.value(hidden).squeeze(-1), batch.mask), hidden


@dataclass(frozen=True)
class Experience:
    """One step's rollouts with everything that stays fixed while they are learnt from; tensors (B, A) on the CPU."""

    rollouts: list[Rollout]
    mask: Tensor
    logprobs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


@dataclass
class PPOProgress(Progress):
    """Adds the KL coefficient and what the best weights were chosen by."""

    coefficient: float = 0.0
    best_proxy: float | None = None
    best_step: int = 0


def train(
    fabric: "Fabric",
    policy: Transformer,
    prompts: Sequence[list[int]],
    scores: Scores,
    evaluate: Evaluation,
    tokenizer: Tokenizer,
    replay: Replay,
    params: PPOParams,
    seed: int,
    tracker: Tracker,
    work: Path,
    keep_last: bool = False,
) -> tuple[list[dict[str, float]], int]:
    """Trains `policy` in place, leaves it with the best weights, and returns the curve and the best weights' step.
    Resumes from the newest checkpoint in `work`.

    The row of step s holds what was measured *before* its update; a last row measures the end. Best is the highest
    held-out proxy among evaluations within kl_limit; the start policy, with KL 0, always qualifies. `keep_last` leaves
    the last weights instead, for a run without a reward to choose by.
    """
    loop = PPO(fabric, policy, prompts, scores, evaluate, tokenizer, replay, params, seed, tracker, work, keep_last)
    loop.run()
    policy.load_state_dict(loop.best.state_dict())
    return loop.progress.curve, loop.progress.best_step


class PPO(PolicyLoop):
    """A step: an evaluation where it is due, then experience, and epochs × minibatches of updates."""

    progress: PPOProgress

    def __init__(
        self,
        fabric: "Fabric",
        policy: Transformer,
        prompts: Sequence[list[int]],
        scores: Scores,
        evaluate: Evaluation,
        tokenizer: Tokenizer,
        replay: Replay,
        params: PPOParams,
        seed: int,
        tracker: Tracker,
        work: Path,
        keep_last: bool,
    ) -> None:
        self.reference = copy.deepcopy(policy).requires_grad_(False)
        self.actor = ActorCritic(policy).to(next(policy.parameters()).device)
        self.best = copy.deepcopy(self.reference)
        kept = nn.ModuleDict({"actor": self.actor, "best": self.best})
        optimizer = adamw(self.actor, params.learning_rate, eps=1e-5)
        progress = PPOProgress(coefficient=params.kl_coefficient)
        super().__init__(fabric, kept, optimizer, progress, params.steps + 1, replay, params, seed, tracker, work)
        self.prompts, self.scores, self.evaluate = prompts, scores, evaluate
        self.tokenizer, self.keep_last = tokenizer, keep_last

    def step(self, step: int) -> None:
        p, row = self.params, {"step": step}
        if step % p.evaluate_every == 0 or step == p.steps:
            row |= self.held_out(step)
        if step < p.steps:
            kl = AdaptiveKL(self.progress.coefficient, p.kl_target, p.kl_horizon)
            experience, measured = collect(
                self.actor, self.reference, self.prompts, self.scores, self.tokenizer, p, kl, self.seed, step
            )
            self.progress.coefficient = kl.coefficient
            row |= measured | self.learn(experience, step)
        self.log(row)

    def held_out(self, step: int) -> dict[str, float]:
        """Evaluates the policy, and keeps its weights where they are the best so far."""
        progress, found = self.progress, self.evaluate(self.actor.policy)
        better = progress.best_proxy is None or found["proxy"] > progress.best_proxy
        if self.keep_last or better and (step == 0 or found["kl"] <= self.params.kl_limit):
            progress.best_proxy, progress.best_step = found["proxy"], step
            self.best.load_state_dict(self.actor.policy.state_dict())
        row = {f"held_out_{key}": value for key, value in found.items()}
        return row | {"root_kl": max(found["kl"], 0.0) ** 0.5}

    def learn(self, experience: Experience, step: int) -> dict[str, float]:
        """Epochs × minibatches of clipped updates; returns the mean of their statistics."""
        found = [
            self.learn_from(
                gradient(self.actor, experience, rows, self.tokenizer.pad, self.params), self.actor.policy, number
            )
            for number, rows in self.minibatches(len(experience.rollouts), step)
        ]
        return {key: sum(each[key] / len(found) for each in found) for key in found[0]}


@torch.no_grad()
def collect(
    actor: ActorCritic,
    reference: Transformer,
    prompts: Sequence[list[int]],
    scores: Scores,
    tokenizer: Tokenizer,
    params: PPOParams,
    kl: AdaptiveKL,
    seed: int,
    step: int,
) -> tuple[Experience, dict[str, float]]:
    """Samples, rewards, and compares with value head and start policy; moves the KL coefficient."""
    generator = np.random.default_rng(derived_seed(seed, "prompts", step))
    chosen = generator.choice(len(prompts), params.episodes, replace=params.episodes > len(prompts))
    rollouts = sample(
        actor.policy,
        [prompts[i] for i in chosen],
        1,
        tokenizer,
        max_new_tokens=params.max_new_tokens,
        seed=derived_seed(seed, "rollouts", step),
        temperature=params.temperature,
    )
    proxy = scores(rollouts)
    if not proxy.isfinite().all():
        raise UserError(
            f"step {step}: the reward is {float(proxy[~proxy.isfinite()][0])}, not a number: train the reward model again."
        )
    finished = torch.tensor([rollout.finished for rollout in rollouts])
    earned = torch.where(finished, proxy, torch.full_like(proxy, params.missing_end_reward))

    sequences = [(rollout.prompt, rollout.answer) for rollout in rollouts]
    lengths = torch.tensor([len(answer) for _, answer in sequences])
    mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    logprobs, values, entropy = (total(part) for part in forward(actor, sequences, mask, tokenizer.pad, params))
    start = table_of(score(reference, rollouts, tokenizer.pad, params.temperature), mask)

    divergence = (logprobs - start) * mask
    rewards = -kl.coefficient * divergence
    rewards[torch.arange(len(rollouts)), lengths - 1] += earned
    advantages = gae(rewards, values, mask, params.gamma, params.gae_lambda)
    returns = advantages + values  # before whitening
    measured = float(divergence.sum(1).mean())
    found = {
        "proxy": float(proxy.mean()),
        "kl": measured,
        "kl_coefficient": kl.coefficient,
        "length": float(lengths.float().mean()),
        "finished": float(finished.float().mean()),
        "entropy": float(entropy) / int(mask.sum()),
        "value_error": float(((returns - values).square() * mask).sum() / mask.sum()),
        "rollout_difference": rollout_difference(rollouts, [row[:n] for row, n in zip(logprobs, lengths, strict=True)]),
    }
    kl.update(measured, params.episodes)
    return Experience(rollouts, mask, logprobs, values, whiten(advantages, mask), returns), found


def forward(
    actor: ActorCritic, sequences: list[tuple[list[int], list[int]]], mask: Tensor, pad: int, params: PPOParams
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities (B, A), values (B, A) and the sum of all tokens' entropies, of this process's share of the sequences;
    zero for all others."""
    rank, world = rank_and_world()
    rows = range(rank, len(sequences), world)
    logprobs, values = torch.zeros(mask.shape), torch.zeros(mask.shape)
    entropy = torch.zeros((), dtype=torch.float64)
    for batch in batches([sequences[i] for i in rows], pad, actor.value.weight.device):
        here = [rows[row] for row in batch.rows]
        *parts, hidden = actor(batch, params.temperature)
        for table, part in zip((logprobs, values), parts, strict=True):
            table[here, : part.shape[1]] = part.cpu()
        entropy += float(token_entropies(actor.policy, hidden, params.temperature).sum())
    return logprobs, values, entropy


def gradient(
    actor: ActorCritic, experience: Experience, rows: list[int], pad: int, params: PPOParams
) -> dict[str, float]:
    """Adds this process's share of the gradient of one minibatch: policy loss + value_weight · value loss, each a mean over
    its tokens; returns its parts of the means."""
    device = actor.value.weight.device
    whole, tokens = len(rows), sum(len(experience.rollouts[i].answer) for i in rows)
    rank, world = rank_and_world()
    rows = rows[rank::world]
    sequences = [(experience.rollouts[i].prompt, experience.rollouts[i].answer) for i in rows]
    sums = {"policy_loss": 0.0, "value_loss": 0.0, "clipped": 0.0, "approx_kl": 0.0}
    for batch in batches(sequences, pad, device):
        here, width = [rows[row] for row in batch.rows], batch.mask.shape[1]
        old, old_values, advantages, returns = (
            table[here, :width].to(device)
            for table in (experience.logprobs, experience.values, experience.advantages, experience.returns)
        )
        logprobs, values, _ = actor(batch, params.temperature)
        weights = token_weights(batch.mask, "token", whole, tokens, params.max_new_tokens)
        loss, statistics = policy_loss(logprobs, old, advantages, weights, params.clip, params.clip)
        error = value_loss(values, old_values, returns, weights, params.value_clip)
        (loss + params.value_weight * error).backward()
        share = int(batch.mask.sum()) / tokens
        sums["policy_loss"] += float(loss.detach())
        sums["value_loss"] += float(error.detach())
        sums["clipped"] += statistics["clipped"] * share
        sums["approx_kl"] += statistics["approx_kl"] * share
    return sums
