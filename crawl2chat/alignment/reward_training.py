"""Rankings as training batches of a reward model, and how good it is on prompts it never saw.

In: prompts with candidates and rankings of them (crawl2chat/alignment/preferences.py). Out: a batch function and a loss
for the shared training loop; metrics on held-out prompts: accuracy on clean and on noisy pairs, what length alone and
style alone would reach, Kendall's τ, calibration, correlation with length. Source: Ouyang et al. 2022.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from crawl2chat.alignment.preferences import Order, Pair, gold_pairs, pairs
from crawl2chat.alignment.ranking_losses import bradley_terry, centering, plackett_luce
from crawl2chat.alignment.reward_model import RewardModel
from crawl2chat.alignment.rollouts import answer_ids
from crawl2chat.evaluation.statistics import RESAMPLES, Estimate, as_metrics, calibration_error, kendall_tau
from crawl2chat.tokens.tokenizer import Tokenizer

Sequences = list[tuple[list[int], list[int]]]  # (prompt, answer) ids


@dataclass(frozen=True)
class Ranked:
    """One ranking with its candidates as token ids, what their style is worth, and their gold where it is known."""

    sequences: Sequences
    order: Order
    gold: list[float | None]
    style: list[float]


def tokenise(
    prompts: dict[str, dict], rankings: list[dict], tokenizer: Tokenizer, context: int, style: Callable[[str], float]
) -> list[Ranked]:
    """Rankings ready to train on. Where prompt and answer exceed the context, the prompt loses its beginning and then
    the answer its end: what is judged stays as whole as it can."""
    found = []
    for ranking in rankings:
        prompt = prompts[ranking["prompt_id"]]
        sequences = []
        for candidate in prompt["candidates"]:
            prompt_tokens, answer = answer_ids(
                prompt["messages"], candidate["text"], candidate.get("finished", True), tokenizer
            )
            answer = answer[: context - 8]
            sequences.append((prompt_tokens[max(0, len(prompt_tokens) + len(answer) - context) :], answer))
        gold = [candidate.get("gold") for candidate in prompt["candidates"]]
        styles = [style(candidate["text"]) for candidate in prompt["candidates"]]
        found.append(Ranked(sequences, ranking["order"], gold, styles))
    return found


def make_batch(examples: Sequence[Ranked], pad: int, scale: float = 1.0) -> dict[str, Tensor]:
    """Rankings as one batch: ids (S, T), last (S,), better, worse, weights (P,), orders (R, K) padded with −1.

    Each ranking weighs scale / R, divided evenly among its pairs. Of tied candidates, `orders` names the first.
    """
    whole = [prompt + answer for example in examples for prompt, answer in example.sequences]
    ids = torch.full((len(whole), max(map(len, whole))), pad)
    for row, sequence in enumerate(whole):
        ids[row, : len(sequence)] = torch.tensor(sequence)
    better, worse, weights, orders, offset = [], [], [], [], 0
    for example in examples:
        implied = pairs(example.order)
        better += [offset + a for a, _ in implied]
        worse += [offset + b for _, b in implied]
        weights += [scale / len(examples) / len(implied)] * len(implied)
        orders.append([offset + (place[0] if isinstance(place, list) else place) for place in example.order])
        offset += len(example.sequences)
    most = max(map(len, orders))
    return {
        "ids": ids,
        "last": torch.tensor([len(sequence) - 1 for sequence in whole]),
        "better": torch.tensor(better),
        "worse": torch.tensor(worse),
        "weights": torch.tensor(weights),
        "orders": torch.tensor([order + [-1] * (most - len(order)) for order in orders]),
    }


def ranking_loss(
    model: RewardModel,
    batch: dict[str, Tensor],
    loss: Literal["bradley_terry", "plackett_luce"],
    centering_weight: float,
) -> Tensor:
    """The batch's loss, a scalar: mean over rankings."""
    scores = model(batch["ids"], batch["last"])
    pair = (scores, batch["better"], batch["worse"], batch["weights"])
    if loss == "bradley_terry":
        value = bradley_terry(*pair)
    else:
        each = [plackett_luce(scores[order[order >= 0]]) for order in batch["orders"]]
        value = torch.stack(each).mean() * batch["weights"].sum()
    return value + centering_weight * centering(*pair)


class Epochs:
    """Rankings in a fresh order every epoch; the batch of a step is a pure function of (seed, step)."""

    def __init__(self, examples: Sequence[Ranked], size: int, pad: int, seed: int) -> None:
        self.examples, self.size, self.pad, self.seed = examples, min(size, len(examples)), pad, seed
        self.steps_per_epoch = max(1, len(examples) // self.size)

    def __call__(self, step: int, rank: int = 0, world: int = 1) -> dict[str, Tensor]:
        """Device `rank`'s part of the step's batch; devices average gradients, hence the scale."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.examples))
        chosen = order[place * self.size : (place + 1) * self.size]
        mine = [self.examples[i] for i in chosen[rank::world]]
        return make_batch(mine, self.pad, scale=len(mine) * world / len(chosen))


def judge(model: RewardModel, train: Sequence[Ranked], test: Sequence[Ranked], pad: int, seed: int) -> dict[str, Any]:
    """Metrics on held-out rankings. Pairs count as gold orders them where gold is known, else as people did; intervals
    draw whole prompts, since pairs of one prompt share their candidates."""
    scores = candidate_scores(model, test, pad)
    lengths = [[float(len(answer)) for _, answer in example.sequences] for example in test]
    clean = [gold_pairs(example.gold) or labelled_pairs(example) for example in test]
    noisy = [pairs(example.order) for example in test]
    longer_preferred = np.mean([share_right(answer_lengths(e), true_pairs(e)) for e in train if true_pairs(e)])
    signed = [[length if longer_preferred >= 0.5 else -length for length in row] for row in lengths]
    metrics = pair_accuracy("pair_accuracy", scores, clean, seed)
    metrics |= pair_accuracy("length_baseline_accuracy", signed, clean, seed)
    # A rival that sees all of style and nothing of what is right; and the pairs that it cannot order.
    styles = [example.style for example in test]
    metrics |= pair_accuracy("style_baseline_accuracy", styles, clean, seed)
    alike = [[(a, b) for a, b in pairs if s[a] == s[b]] for s, pairs in zip(styles, clean, strict=True)]
    metrics |= pair_accuracy("correctness_pair_accuracy", scores, alike, seed)
    # Of noisy pairs nobody can foretell more than those in which the labeler agrees with gold.
    metrics |= pair_accuracy("noisy_pair_accuracy", scores, noisy, seed)
    truth_scores = [example.gold if None not in example.gold else None for example in test]
    foretold = [(g, p) for g, p in zip(truth_scores, noisy, strict=True) if g is not None]
    metrics |= pair_accuracy("noisy_pair_ceiling", [g for g, _ in foretold], [p for _, p in foretold], seed)
    truth = [example.gold if None not in example.gold else places_as_scores(example) for example in test]
    ordered = [(s, t) for s, t in zip(scores, truth, strict=True) if len(set(t)) > 1]
    metrics["kendall_tau"] = float(np.mean([kendall_tau(s, t) for s, t in ordered])) if ordered else None
    margins = np.concatenate([[s[a] - s[b] for a, b in p] for s, p in zip(scores, noisy, strict=True)])
    # σ(|margin|) is the stated chance that the higher-scored answer is the preferred one.
    metrics["ece"] = calibration_error(1 / (1 + np.exp(-np.abs(margins))), margins > 0)
    flat_scores, flat_lengths = np.concatenate(scores), np.concatenate(lengths)
    varied = flat_scores.std() > 0 and flat_lengths.std() > 0
    metrics["length_correlation"] = float(np.corrcoef(flat_scores, flat_lengths)[0, 1]) if varied else 0.0
    return metrics


def candidate_scores(model: RewardModel, examples: Sequence[Ranked], pad: int) -> list[list[float]]:
    flat = model.raw_scores([sequence for example in examples for sequence in example.sequences], pad).tolist()
    found, at = [], 0
    for example in examples:
        found.append(flat[at : at + len(example.sequences)])
        at += len(example.sequences)
    return found


def models_agree(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]], seed: int) -> dict[str, Any]:
    """Share of held-out pairs that two reward models, trained apart, order alike; intervals as for accuracy."""
    return pair_accuracy("models_agree", first, [gold_pairs(scores) for scores in second], seed)


def labelled_pairs(example: Ranked) -> list[Pair]:
    return pairs(example.order) if None in example.gold else []


def true_pairs(example: Ranked) -> list[Pair]:
    return gold_pairs(example.gold) or pairs(example.order)


def answer_lengths(example: Ranked) -> list[float]:
    return [float(len(answer)) for _, answer in example.sequences]


def places_as_scores(example: Ranked) -> list[float]:
    """Ranks as scores, the best the highest; candidates left out count as last."""
    places = [0.0] * len(example.sequences)
    for height, place in enumerate(reversed(example.order), 1):
        for i in place if isinstance(place, list) else [place]:
            places[i] = float(height)
    return places


def share_right(scores: Sequence[float], truth: Sequence[Pair]) -> float:
    """Share of pairs in the right order; equal scores are half right."""
    return float(np.mean([(np.sign(scores[a] - scores[b]) + 1) / 2 for a, b in truth]))


def pair_accuracy(
    name: str, scores: Sequence[Sequence[float]], truth: Sequence[Sequence[Pair]], seed: int
) -> dict[str, Any]:
    """Pair accuracy with a bootstrap over prompts, n in pairs."""
    kept = [(s, t) for s, t in zip(scores, truth, strict=True) if t]
    if not kept:
        return {name: None, f"{name}_n": 0, f"{name}_low": None, f"{name}_high": None}
    counts = np.array([len(t) for _, t in kept], dtype=np.float64)
    right = np.array([share_right(s, t) for s, t in kept]) * counts
    drawn = np.random.default_rng(seed).integers(0, len(kept), (RESAMPLES, len(kept)))
    shares = right[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return as_metrics(name, Estimate(float(right.sum() / counts.sum()), float(low), float(high), int(counts.sum())))
