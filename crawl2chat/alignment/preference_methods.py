"""Three rivals of PPO that learn what people prefer: GRPO on the reward model's scores, DPO on the rankings themselves,
and fine-tuning on the best of n answers by the reward model.

In and out as for PPO; all are watched alike (watched_loop.py), so that one plot can hold their gold against √KL.
Sources: Shao et al. 2024 (GRPO), Rafailov et al. 2023 (DPO), Touvron et al. 2023 (rejection sampling in Llama 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from crawl2chat.alignment.grpo import Answered, GroupLoop, GRPOParams
from crawl2chat.alignment.ranking_losses import dpo
from crawl2chat.alignment.rollouts import (
    Rollout,
    Text,
    answer_hidden,
    collate,
    derived_seed,
    score,
    token_logprobs,
)
from crawl2chat.alignment.watched_loop import Scores, WatchedLoop, WatchedParams, WatchedProgress, earned
from crawl2chat.training.ranks import rank_and_world

PAIRS_AT_ONCE = 32  # both answers of a pair are scored in one batch

Pair = tuple[Text, Text]  # (better, worse) answer to one prompt


class WatchedGRPOParams(GRPOParams, WatchedParams):
    """The dials of GRPO against a reward model; `episodes` is prompts × samples."""


@dataclass(kw_only=True, eq=False)
class RewardModelGRPO(GroupLoop, WatchedLoop):
    """GRPO whose rewards are a reward model's scores."""

    params: WatchedGRPOParams
    scores: Scores

    def __post_init__(self) -> None:
        self.watch(self.policy, WatchedProgress())

    def rewarded(self, answered: Answered) -> tuple[Tensor, dict[str, float]]:
        rollouts = [rollout for _, rollout in answered]
        proxy = self.scores(rollouts)
        return earned(proxy, rollouts, self.params.missing_end_reward), {"proxy": float(proxy.mean())}


class DPOParams(WatchedParams):
    """The dials of DPO."""

    # How strongly the loss holds the policy at the start; at .1 it holds loosely.
    dpo_beta: float = Field(0.1, gt=0)


@dataclass(kw_only=True, eq=False)
class DPO(WatchedLoop):
    """Direct preference optimisation: the policy itself is the reward model. A step: pairs drawn from all, one update.

    Nothing is sampled, and so nothing is seen of what the policy says by now: that is what sets it apart."""

    params: DPOParams
    pairs: Sequence[Pair]

    def __post_init__(self) -> None:
        self.watch(self.policy, WatchedProgress())

    def train_step(self, step: int) -> dict[str, float]:
        count = max(1, self.params.episodes // 2)
        generator = np.random.default_rng(derived_seed(self.seed, "pairs", step))
        chosen = generator.choice(len(self.pairs), count, replace=count > len(self.pairs))
        pairs = [self.pairs[i] for i in chosen]
        reference = margins_of([score(self.reference, side, self.tokenizer.pad) for side in zip(*pairs, strict=True)])
        return self.learn_from(self.gradient(pairs, reference), step)

    def gradient(self, pairs: Sequence[Pair], reference: Tensor) -> dict[str, float]:
        """Adds this process's share of the gradient of the mean loss; its parts of the loss, of the share of pairs that
        the policy puts in their order by now, and of their mean margin over the reference."""
        rank, world = rank_and_world()
        device = next(self.policy.parameters()).device
        sums = {"dpo_loss": 0.0, "pairs_right": 0.0, "margin": 0.0}
        mine = range(rank, len(pairs), world)
        for start in range(0, len(mine), PAIRS_AT_ONCE):
            here = list(mine[start : start + PAIRS_AT_ONCE])
            texts = [pairs[i][0] for i in here] + [pairs[i][1] for i in here]
            batch = collate(texts, list(range(len(texts))), self.tokenizer.pad, device)
            totals = token_logprobs(self.policy, answer_hidden(self.policy, batch), batch).sum(1)
            margins, before = totals[: len(here)] - totals[len(here) :], reference[here].to(device)
            weights = torch.full_like(margins, 1 / len(pairs))
            loss = dpo(margins, before, weights, self.params.dpo_beta)
            loss.backward()
            sums["dpo_loss"] += float(loss.detach())
            sums["pairs_right"] += float((margins > before).sum()) / len(pairs)
            sums["margin"] += float((margins - before).detach().sum()) / len(pairs)
        return sums


def margins_of(sides: Sequence[Sequence[Tensor]]) -> Tensor:
    """log π(better) − log π(worse) (P,) from the token log-probabilities of both sides."""
    better, worse = (torch.stack([row.sum() for row in side]) for side in sides)
    return better - worse


class BestOfNParams(WatchedParams):
    """The dials of fine-tuning on the best of n."""

    # Answers to a prompt, of which the best is learnt; also GRPO's group.
    samples: int = Field(8, ge=2)


@dataclass(kw_only=True, eq=False)
class BestOfN(WatchedLoop):
    """Fine-tuning on one's own best answers. A step: `samples` answers to each prompt, and an update towards the one
    that the reward model scores highest."""

    params: BestOfNParams
    scores: Scores

    def __post_init__(self) -> None:
        self.watch(self.policy, WatchedProgress())

    def train_step(self, step: int) -> dict[str, float]:
        p = self.params
        count = max(1, p.episodes // p.samples)
        generator = np.random.default_rng(derived_seed(self.seed, "prompts", step))
        chosen = generator.choice(len(self.prompts), count, replace=count > len(self.prompts))
        rollouts = self.sample(chosen, p.samples, step)
        proxy = self.scores(rollouts)
        rewards = earned(proxy, rollouts, p.missing_end_reward).view(count, p.samples)
        best = [rollouts[group * p.samples + int(i)] for group, i in enumerate(rewards.argmax(1))]
        row = {
            "proxy": float(proxy.mean()),
            "best_proxy": float(rewards.max(1).values.mean()),
            "length": float(np.mean([one.tokens for one in rollouts])),
            "finished": float(np.mean([one.finished for one in rollouts])),
        }
        return row | self.learn_from(self.gradient(best), step)

    def gradient(self, answers: Sequence[Rollout]) -> dict[str, float]:
        """Adds this process's share of the gradient of the mean loss of the answers' tokens; its part of the loss."""
        rank, world = rank_and_world()
        tokens, found = sum(one.tokens for one in answers), 0.0
        for batch, _ in self.batches(answers, list(range(rank, len(answers), world))):
            logprobs = token_logprobs(self.policy, answer_hidden(self.policy, batch), batch, self.params.temperature)
            loss = -logprobs.sum() / tokens
            loss.backward()
            found += float(loss.detach())
        return {"imitation_loss": found}
