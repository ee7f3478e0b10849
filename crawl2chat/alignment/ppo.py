"""Proximal policy optimisation against a learned reward, held near the start policy by a KL penalty.

In: a policy, prompts, a reward function over rollouts, replay, and an evaluation that is called every few steps. Out:
the curve and the best weights (watched_loop.py). Several processes share sampling, rewards and gradients; advantages
are whitened over the whole step. Sources: Ziegler et al. 2019, Ouyang et al. 2022, "The N implementation details of
RLHF with PPO" (2023); Yuan et al. 2025 (VC-PPO: a value head that learns before the policy does).
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from crawl2chat.alignment.advantages import gae, whiten
from crawl2chat.alignment.losses import AdaptiveKL, policy_loss, token_weights, value_loss
from crawl2chat.alignment.rollouts import (
    Batch,
    Rollout,
    answer_hidden,
    derived_seed,
    rollout_difference,
    score,
    spread,
    table_of,
    token_entropies,
    token_logprobs,
)
from crawl2chat.alignment.watched_loop import Scores, WatchedLoop, WatchedParams, WatchedProgress, earned
from crawl2chat.errors import UserError
from crawl2chat.model.network import Transformer
from crawl2chat.training.ranks import rank_and_world, total, total_gradients, total_numbers


class PPOParams(WatchedParams):
    """The dials of the loop."""

    gamma: float = Field(1.0, gt=0, le=1)
    gae_lambda: float = Field(ge=0, le=1)
    clip: float = Field(gt=0)
    value_clip: float = Field(0.2, gt=0)
    value_weight: float = Field(ge=0)
    # At the start.
    kl_coefficient: float = Field(ge=0)
    # Nats an answer.
    kl_target: float = Field(gt=0)
    # Episodes; a small fraction of the run's, or the coefficient never moves.
    kl_horizon: float = Field(gt=0)
    # First steps in which only the value head learns.
    value_warmup: int = Field(0, ge=0)
    # Rewards with mean 0 and deviation 1 over the answers of the first step (Ziegler et al. 2019), in place of the
    # reward model's own scale, which is that of the answers that were ranked.
    normalise_reward: bool = False

    @model_validator(mode="after")
    def coefficient_stays_positive(self) -> "PPOParams":
        if self.episodes / self.kl_horizon >= 5:
            raise ValueError(f"kl_horizon {self.kl_horizon} must exceed a fifth of episodes ({self.episodes})")
        return self


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
class PPOProgress(WatchedProgress):
    """Adds the KL coefficient, and the zero and unit of rewards."""

    coefficient: float = 0.0
    reward_mean: float = 0.0
    reward_deviation: float = 1.0


@dataclass(kw_only=True, eq=False)
class PPO(WatchedLoop):
    """A step: experience, and epochs × minibatches of updates."""

    params: PPOParams
    progress: PPOProgress = field(init=False)
    scores: Scores

    def __post_init__(self) -> None:
        self.actor = ActorCritic(self.policy).to(next(self.policy.parameters()).device)
        self.watch(self.actor, PPOProgress(coefficient=self.params.kl_coefficient), eps=1e-5)

    def train_step(self, step: int) -> dict[str, float]:
        experience, measured = self.collect(step)
        return measured | self.learn(experience, step)

    def learn(self, experience: Experience, step: int) -> dict[str, float]:
        """Epochs × minibatches of clipped updates; returns the mean of their statistics."""
        found = []
        for number, rows in self.minibatches(len(experience.rollouts), step):
            if step < self.params.value_warmup:
                found.append(self.learn_values(experience, rows))
            else:
                found.append(self.learn_from(self.gradient(experience, rows), number))
        return {key: sum(each[key] / len(found) for each in found) for key in found[0]}

    def learn_values(self, experience: Experience, rows: list[int]) -> dict[str, float]:
        """An update of the value head alone: the policy stays what it is."""
        statistics = self.gradient(experience, rows)
        for weight in self.policy.parameters():
            weight.grad = None
        total_gradients(self.model.parameters())
        return total_numbers(statistics) | {"gradient_norm": float(self.update())}

    @torch.no_grad()
    def collect(self, step: int) -> tuple[Experience, dict[str, float]]:
        """Samples, rewards, and compares with value head and start policy; moves the KL coefficient."""
        p = self.params
        generator = np.random.default_rng(derived_seed(self.seed, "prompts", step))
        chosen = generator.choice(len(self.prompts), p.episodes, replace=p.episodes > len(self.prompts))
        rollouts = self.sample(chosen, 1, step)
        proxy = self.scores(rollouts)
        if not proxy.isfinite().all():
            wrong = float(proxy[~proxy.isfinite()][0])
            raise UserError(f"step {step}: the reward is {wrong}, not a number: train the reward model again.")
        if p.normalise_reward and step == 0:
            self.progress.reward_mean = float(proxy.mean())
            self.progress.reward_deviation = max(float(proxy.std()), 1e-6)
        scaled = (proxy - self.progress.reward_mean) / self.progress.reward_deviation

        mask = pad_sequence([torch.tensor(rollout.sampled) for rollout in rollouts], batch_first=True)
        logprobs, values, entropy = (total(part) for part in self.forward(rollouts, mask))
        start = table_of(score(self.reference, rollouts, self.tokenizer.pad, p.temperature), mask)

        kl = AdaptiveKL(self.progress.coefficient, p.kl_target, p.kl_horizon)
        divergence = (logprobs - start) * mask
        rewards = -kl.coefficient * divergence
        last = (mask * torch.arange(1, mask.shape[1] + 1)).argmax(dim=1)  # of the sampled tokens
        rewards[torch.arange(len(rollouts)), last] += earned(scaled, rollouts, p.missing_end_reward)
        advantages = gae(rewards, values, mask, p.gamma, p.gae_lambda)
        returns = advantages + values  # before whitening
        measured = float(divergence.sum(1).mean())
        of_answers = [row[: len(one.answer)] for row, one in zip(logprobs, rollouts, strict=True)]
        found = {
            "proxy": float(proxy.mean()),
            "kl": measured,
            "kl_coefficient": kl.coefficient,
            "length": float(mask.sum(1).float().mean()),
            "finished": float(np.mean([one.finished for one in rollouts])),
            "entropy": float(entropy) / int(mask.sum()),
            "value_error": float(((returns - values).square() * mask).sum() / mask.sum()),
            "rollout_difference": rollout_difference(rollouts, of_answers),
        }
        kl.update(measured, p.episodes)
        self.progress.coefficient = kl.coefficient
        return Experience(rollouts, mask, logprobs, values, whiten(advantages, mask), returns), found

    def forward(self, rollouts: list[Rollout], mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities (B, A), values (B, A) and the sum of all tokens' entropies, of this process's share of the
        rollouts; zero for all others."""
        rank, world = rank_and_world()
        rows = range(rank, len(rollouts), world)
        logprobs, values = torch.zeros(mask.shape), torch.zeros(mask.shape)
        entropy = torch.zeros((), dtype=torch.float64)
        for batch, here in self.batches(rollouts, rows):
            *parts, hidden = self.actor(batch, self.params.temperature)
            for table, part in zip((logprobs, values), parts, strict=True):
                table[here, : part.shape[1]] = part.cpu()
            entropy += float(token_entropies(self.policy, hidden, self.params.temperature).sum())
        return logprobs, values, entropy

    def gradient(self, experience: Experience, rows: list[int]) -> dict[str, float]:
        """Adds this process's share of the gradient of one minibatch: policy loss + value_weight · value loss, each a
        mean over its tokens; returns its parts of the means."""
        p = self.params
        tokens = sum(experience.rollouts[i].tokens for i in rows)
        rank, world = rank_and_world()
        sums = {"policy_loss": 0.0, "value_loss": 0.0, "clipped": 0.0, "approx_kl": 0.0}
        for batch, here in self.batches(experience.rollouts, rows[rank::world]):
            old, old_values, advantages, returns = (
                table[here, : batch.mask.shape[1]].to(batch.mask.device)
                for table in (experience.logprobs, experience.values, experience.advantages, experience.returns)
            )
            logprobs, values, _ = self.actor(batch, p.temperature)
            weights = token_weights(batch.mask, "token", len(rows), tokens, p.max_new_tokens)
            loss, statistics = policy_loss(logprobs, old, advantages, weights, p.clip, p.clip, p.dual_clip)
            error = value_loss(values, old_values, returns, weights, p.value_clip)
            (loss + p.value_weight * error).backward()
            share = int(batch.mask.sum()) / tokens
            sums["policy_loss"] += float(loss.detach())
            sums["value_loss"] += float(error.detach())
            sums["clipped"] += statistics["clipped"] * share
            sums["approx_kl"] += statistics["approx_kl"] * share
        return sums
