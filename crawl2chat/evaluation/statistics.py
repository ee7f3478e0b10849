"""The statistics that give every number its interval: proportions, means, paired differences, ratings, calibration.

In: hits, scores, wins as plain sequences or arrays. Out: numbers with 95 % intervals. Bootstraps are seeded, so that
the same scores give the same interval. Sources: Wilson 1927; Efron 1979; Bradley and Terry 1952 with Hunter's 2004
iteration; Kendall 1938; Guo et al. 2017 (expected calibration error).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A number, its 95 % interval and how many observations it rests on."""

    value: float
    low: float
    high: float
    n: int


def accuracy(name: str, hits: Sequence[bool]) -> dict[str, Any]:
    """Share of hits with Wilson's interval as metrics: {name, name_n, name_low, name_high}, rounded to 4 places.

    Without observations the three numbers are None and n is 0.
    """
    if not len(hits):
        return {name: None, f"{name}_n": 0, f"{name}_low": None, f"{name}_high": None}
    low, high = wilson(sum(map(bool, hits)), len(hits))
    return as_metrics(name, Estimate(sum(map(bool, hits)) / len(hits), low, high, len(hits)))


def as_metrics(name: str, estimate: Estimate) -> dict[str, Any]:
    """An estimate under the names every accuracy has in metrics/: {name, name_n, name_low, name_high}."""
    return {
        name: round(estimate.value, 4),
        f"{name}_n": estimate.n,
        f"{name}_low": round(estimate.low, 4),
        f"{name}_high": round(estimate.high, 4),
    }


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of a proportion: honest near 0 and 1 and for few observations. (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    # By hand: importing scipy.stats takes two seconds, and nearly every stage counts something.
    z, share = NormalDist().inv_cdf(0.975), hits / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def mean(scores: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Mean of scores (n,) with a percentile bootstrap interval. Raises ValueError without scores."""
    values = np.asarray(scores, dtype=np.float64)
    if values.size == 0:
        raise ValueError("a mean needs at least one score")
    if values.size == 1:
        return Estimate(float(values[0]), float(values[0]), float(values[0]), 1)
    from scipy.stats import bootstrap

    batch = max(1, 4_000_000 // values.size)  # about 32 MB of indices
    rng = np.random.default_rng(seed)
    found = bootstrap((values,), np.mean, n_resamples=resamples, batch=batch, method="percentile", rng=rng)
    low, high = found.confidence_interval
    return Estimate(float(values.mean()), float(low), float(high), values.size)


def paired_difference(before: ArrayLike, after: ArrayLike, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """Mean of after − before (n,) on the same items with a paired bootstrap interval: items are drawn, not scores."""
    a, b = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"paired scores must be of the same items: found {a.size} before and {b.size} after")
    return mean(b - a, seed, resamples)


def paired_differences(
    rows: Sequence[dict[str, Any]], models: Sequence[str], seed: int = 0
) -> list[dict[str, str | float | int]]:
    """How each model differs from the one before it, on the questions that both answered: one row for each pair of
    neighbours, kind of question and score (`correct`, `gold`), and one over all kinds.

    rows: {model, kind, id, correct, gold}. Intervals draw questions, as `paired_difference`; a difference whose
    interval holds 0 is none that these questions show.
    """
    by_model: dict[str, dict[tuple[str, str], dict[str, Any]]] = {model: {} for model in models}
    for row in rows:
        if row["model"] in by_model:
            by_model[row["model"]][row["kind"], row["id"]] = row
    found: list[dict[str, str | float | int]] = []
    for before, after in pairwise(models):
        common = [key for key in by_model[before] if key in by_model[after]]
        kinds = [(kind, [key for key in common if key[0] == kind]) for kind in dict.fromkeys(key[0] for key in common)]
        for kind, keys in [*kinds, ("all", common)]:
            for score in ("correct", "gold") if keys else ():
                old, new = ([float(by_model[model][key][score]) for key in keys] for model in (before, after))
                gap = paired_difference(old, new, seed)
                numbers = {"difference": gap.value, "low": gap.low, "high": gap.high}
                found.append(
                    {"before": before, "after": after, "kind": kind, "score": score}
                    | {name: round(value, 4) for name, value in numbers.items()}
                    | {"n": gap.n}
                )
    return found


def paired_t(before: ArrayLike, after: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean of after − before (n,), such as runs over the same seeds, with Student's interval, which is honest for few
    pairs too: a bootstrap of three knows too few worlds. A single pair has the interval (−∞, ∞)."""
    difference = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    value, n = float(difference.mean()), difference.size
    if n < 2 or not difference.any():
        half = math.inf if n < 2 else 0.0
        return Estimate(value, value - half, value + half, n)
    from scipy.stats import ttest_1samp

    low, high = ttest_1samp(difference, 0.0).confidence_interval(level)
    return Estimate(value, float(low), float(high), n)


def bradley_terry(wins: ArrayLike, prior: float = 0.5, iterations: int = 10_000) -> np.ndarray:
    """Strengths s (m,) in log-odds, of mean 0, where P(i beats j) = σ(s_i − s_j).

    wins (m, m): wins[i, j] is how often i beat j; a tie counts half for each. `prior` adds that many wins to each side
    of every pair that met, so that a player who never lost has a finite strength; 0 gives the maximum likelihood.
    Hunter's minorise–maximise iteration.
    """
    counts = np.asarray(wins, dtype=np.float64)
    met = (counts + counts.T) > 0
    counts = counts + prior * met
    np.fill_diagonal(counts, 0.0)
    games, won = counts + counts.T, counts.sum(axis=1)
    strength = np.ones(len(counts))
    for _ in range(iterations):
        expected = (games / (strength[:, None] + strength[None, :])).sum(axis=1)
        new = np.divide(won, expected, out=np.ones_like(won), where=expected > 0)
        new = new / np.exp(np.log(np.maximum(new, 1e-300)).mean())
        converged = np.allclose(new, strength, rtol=1e-10, atol=0)
        strength = new
        if converged:
            break
    return np.log(np.maximum(strength, 1e-300))


def arena(
    games: Sequence[tuple[int, int, float]], players: int, groups: Sequence[int] | None = None, seed: int = 0
) -> list[Estimate]:
    """Bradley–Terry ratings of all players with bootstrap intervals, n being the player's games.

    games: (i, j, score of i), the score 1 for a win, 0 for a loss, 0.5 for a tie. `groups` names for each game what is
    drawn at random, normally the prompt: whole groups are resampled, since games on one prompt depend on each other.
    """
    rows = np.asarray([(i, j) for i, j, _ in games], dtype=np.int64).reshape(-1, 2)
    scores = np.asarray([score for *_, score in games], dtype=np.float64)
    group = np.unique(np.arange(len(games)) if groups is None else np.asarray(groups), return_inverse=True)[1]

    def rated(weights: np.ndarray) -> np.ndarray:  # weights (games,) -> ratings (players,)
        wins = np.zeros((players, players))
        np.add.at(wins, (rows[:, 0], rows[:, 1]), weights * scores)
        np.add.at(wins, (rows[:, 1], rows[:, 0]), weights * (1 - scores))
        return bradley_terry(wins)

    rng = np.random.default_rng(seed)
    count = int(group.max(initial=-1)) + 1
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=200) if count else np.zeros((1, 0))
    resampled = np.stack([rated(times[group].astype(np.float64)) for times in drawn])
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    played = np.bincount(rows.ravel(), minlength=players)
    ratings = rated(np.ones(len(games)))
    return [Estimate(float(ratings[i]), float(low[i]), float(high[i]), int(played[i])) for i in range(players)]


def kendall_tau(a: ArrayLike, b: ArrayLike) -> float:
    """Kendall's τ_b of two scorings (n,) of the same items: 1 same order, −1 reversed; 0 where one is constant."""
    from scipy.stats import kendalltau

    return float(np.nan_to_num(kendalltau(a, b).statistic))


def calibration_error(probabilities: ArrayLike, hits: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error: mean gap between stated probability (n,) and share of hits (n,) over equal bins,
    weighted by how many predictions fall into each."""
    stated, right = np.asarray(probabilities, dtype=np.float64), np.asarray(hits, dtype=np.float64)
    if stated.size == 0:
        raise ValueError("a calibration error needs at least one prediction")
    where = np.minimum((stated * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(where, weights=right - stated, minlength=bins)
    return float(np.abs(gaps).sum() / stated.size)
