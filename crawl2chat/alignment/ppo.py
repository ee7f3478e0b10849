"""Proximal policy optimisation against a learned reward, held near the start policy by a KL penalty.

In: a policy, prompts, a reward function over rollouts, replay, and an evaluation that is called every few steps. Out: the
curve and the best weights by a rule that sees only the held-out proxy reward and the KL. A plain loop, as in grpo.py.
Sources: Ziegler et al. 2019, Ouyang et al. 2022, "The N implementation details of RLHF with PPO" (2023).
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from tqdm import tqdm

from crawl2chat.alignment.advantages import gae, whiten
from crawl2chat.alignment.grpo import learning_rate
from crawl2chat.alignment.losses import AdaptiveKL, policy_loss, token_weights, value_loss
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
from crawl2chat.training.checkpoints import load_newest, save_checkpoint


class PPOParams(Params):
    """The dials of the loop."""

    episodes: int = Field(128, ge=2)  # answers a step, each to its own prompt
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
    kl_coefficient: float = Field(0.05, ge=0)  # at the start
    kl_target: float = Field(4.0, gt=0)  # nats an answer
    kl_horizon: float = Field(400.0, gt=0)  # episodes; a small fraction of the run's, or the coefficient never moves
    missing_end_reward: float = -3.0  # instead of the proxy, for an answer that does not end
    replay_conversations: int = Field(16, ge=0)  # an update
    replay_windows: int = Field(2, ge=0)
    replay_width: int = Field(255, ge=8)
    replay_weight: float = Field(0.5, ge=0)
    evaluate_every: int = Field(5, ge=1)
    kl_limit: float = Field(8.0, gt=0)  # further from the start policy no checkpoint is chosen
    save_every: int = Field(5, ge=1)

    @model_validator(mode="after")
    def _moves_gently(self) -> "PPOParams":
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


def train(
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
    reference = copy.deepcopy(policy).requires_grad_(False)
    actor = ActorCritic(policy).to(next(policy.parameters()).device)
    optimizer = torch.optim.AdamW(
        actor.parameters(), lr=params.learning_rate, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.0, fused=True
    )
    kl = AdaptiveKL(params.kl_coefficient, params.kl_target, params.kl_horizon)
    best = copy.deepcopy(reference)
    kept = nn.ModuleDict({"actor": actor, "best": best})
    state = {"step": 0, "curve": [], "coefficient": kl.coefficient, "best_proxy": None, "best_step": 0}
    state |= load_newest(work / "checkpoints", kept, [optimizer]) or {}
    curve, kl.coefficient = state["curve"], state["coefficient"]
    steps = range(state["step"], params.steps + 1)
    for step in tqdm(steps, initial=state["step"], total=params.steps + 1, disable=None):
        row: dict[str, float] = {"step": step}
        if step % params.evaluate_every == 0 or step == params.steps:
            held_out = evaluate(policy)
            row |= {f"held_out_{key}": value for key, value in held_out.items()}
            row["root_kl"] = max(held_out["kl"], 0.0) ** 0.5
            better = state["best_proxy"] is None or held_out["proxy"] > state["best_proxy"]
            if keep_last or better and (step == 0 or held_out["kl"] <= params.kl_limit):
                state["best_proxy"], state["best_step"] = held_out["proxy"], step
                best.load_state_dict(policy.state_dict())
        if step < params.steps:
            experience, found = collect(actor, reference, prompts, scores, tokenizer, params, kl, seed, step)
            row |= found | learn(actor, optimizer, experience, tokenizer, replay, params, seed, step)
        curve.append(row)
        tracker.metrics({key: value for key, value in row.items() if key != "step"}, step)
        if (step + 1) % params.save_every == 0 and step < params.steps:
            facts = {key: state[key] for key in ("best_proxy", "best_step")}
            facts |= {"curve": curve, "coefficient": kl.coefficient}
            save_checkpoint(work / "checkpoints", step + 1, kept, [optimizer], facts, keep=2)
    policy.load_state_dict(best.state_dict())
    return curve, state["best_step"]


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
        raise UserError(f"step {step}: the reward is {float(proxy[~proxy.isfinite()][0])}, not a number: retrain it.")
    finished = torch.tensor([rollout.finished for rollout in rollouts])
    earned = torch.where(finished, proxy, torch.full_like(proxy, params.missing_end_reward))

    sequences = [(rollout.prompt, rollout.answer) for rollout in rollouts]
    lengths = torch.tensor([len(answer) for _, answer in sequences])
    mask = torch.arange(int(lengths.max()))[None] < lengths[:, None]
    logprobs, values = torch.zeros(mask.shape), torch.zeros(mask.shape)
    entropy = 0.0
    for batch in batches(sequences, tokenizer.pad, actor.value.weight.device):
        *parts, hidden = actor(batch, params.temperature)
        for table, part in zip((logprobs, values), parts, strict=True):
            table[batch.rows, : part.shape[1]] = part.cpu()
        entropy += float(token_entropies(actor.policy, hidden, params.temperature).sum())
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
        "entropy": entropy / int(mask.sum()),
        "value_error": float(((returns - values).square() * mask).sum() / mask.sum()),
        "rollout_difference": rollout_difference(rollouts, [row[:n] for row, n in zip(logprobs, lengths, strict=True)]),
    }
    kl.update(measured, params.episodes)
    return Experience(rollouts, mask, logprobs, values, whiten(advantages, mask), returns), found


def learn(
    actor: ActorCritic,
    optimizer: torch.optim.Optimizer,
    experience: Experience,
    tokenizer: Tokenizer,
    replay: Replay,
    params: PPOParams,
    seed: int,
    step: int,
) -> dict[str, float]:
    """Epochs × minibatches of clipped updates; returns the mean of their statistics."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(step, params.learning_rate, params.warmup, params.steps)
    totals: dict[str, float] = {}
    number, count = 0, params.epochs * params.minibatches
    for epoch in range(params.epochs):
        order = np.random.default_rng(derived_seed(seed, "order", step, epoch)).permutation(len(experience.rollouts))
        for part in np.array_split(order, params.minibatches):
            optimizer.zero_grad(set_to_none=True)
            found = gradient(actor, experience, sorted(int(i) for i in part), tokenizer.pad, params)
            found |= replay.backward(actor.policy, step * count + number, params.replay_weight)
            found["gradient_norm"] = float(nn.utils.clip_grad_norm_(actor.parameters(), 1.0))
            optimizer.step()
            number += 1
            totals = {key: totals.get(key, 0.0) + value / count for key, value in found.items()}
    return totals


def gradient(
    actor: ActorCritic, experience: Experience, rows: list[int], pad: int, params: PPOParams
) -> dict[str, float]:
    """Adds the gradient of one minibatch: policy loss + value_weight · value loss, each a mean over its tokens."""
    device = actor.value.weight.device
    sequences = [(experience.rollouts[i].prompt, experience.rollouts[i].answer) for i in rows]
    tokens = sum(len(answer) for _, answer in sequences)
    sums = {"policy_loss": 0.0, "value_loss": 0.0, "clipped": 0.0, "approx_kl": 0.0}
    for batch in batches(sequences, pad, device):
        here, width = [rows[row] for row in batch.rows], batch.mask.shape[1]
        old, old_values, advantages, returns = (
            table[here, :width].to(device)
            for table in (experience.logprobs, experience.values, experience.advantages, experience.returns)
        )
        logprobs, values, _ = actor(batch, params.temperature)
        weights = token_weights(batch.mask, "token", len(rows), tokens, params.max_new_tokens)
        loss, statistics = policy_loss(logprobs, old, advantages, weights, params.clip, params.clip)
        error = value_loss(values, old_values, returns, weights, params.value_clip)
        (loss + params.value_weight * error).backward()
        share = int(batch.mask.sum()) / tokens
        sums["policy_loss"] += float(loss.detach())
        sums["value_loss"] += float(error.detach())
        sums["clipped"] += statistics["clipped"] * share
        sums["approx_kl"] += statistics["approx_kl"] * share
    return sums
