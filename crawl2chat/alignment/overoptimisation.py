"""How a gold score rises and falls while a proxy of it is optimised.

In: d = √KL(policy ‖ start) and gold scores (numpy arrays), or N scored samples of a prompt. Out: fitted α, β, the
peak d*; and unbiased estimates of best-of-n, the rival that needs no training, and of pass@k.
Source: Gao et al. 2022, "Scaling laws for reward model overoptimization".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class GoldFit:
    """R(d) = d (α − β d) for best-of-n, d (α − β ln d) for RL; peak is d*, NaN where the fit never turns down."""

    method: Literal["best_of_n", "rl"]
    alpha: float
    beta: float
    peak: float

    def __call__(self, d: np.ndarray) -> np.ndarray:
        d = np.asarray(d, dtype=np.float64)
        bend = d if self.method == "best_of_n" else np.log(np.maximum(d, 1e-12))
        return d * (self.alpha - self.beta * bend)


def fit_gold(d: np.ndarray, gain: np.ndarray, method: Literal["best_of_n", "rl"]) -> GoldFit:
    """Least squares for α and β, in which both forms are linear. gain is gold minus gold at d = 0.

    Peaks: α / 2β (best-of-n), e^{α/β − 1} (RL). Raises ValueError for fewer than two points with d > 0.
    """
    d, gain = np.asarray(d, dtype=np.float64), np.asarray(gain, dtype=np.float64)
    d, gain = d[d > 0], gain[d > 0]
    if len(np.unique(d)) < 2:
        raise ValueError(f"a fit needs two different distances from the start policy, found {len(np.unique(d))}")
    bend = d * d if method == "best_of_n" else d * np.log(d)
    (alpha, beta), *_ = np.linalg.lstsq(np.stack([d, -bend], axis=1), gain, rcond=None)
    peak = math.nan
    if beta > 0:
        peak = alpha / (2 * beta) if method == "best_of_n" else math.exp(min(alpha / beta - 1, 700))
    return GoldFit(method, float(alpha), float(beta), float(peak))


def best_of_n_kl(n: int) -> float:
    """ln n − (n − 1)/n: an upper bound of the KL of best-of-n sampling (Beirami et al. 2024), in nats."""
    return math.log(n) - (n - 1) / n


def best_of_n(proxy: Sequence[float], gold: Sequence[float], n: int) -> float:
    """Expected gold of the best of n by proxy, without bias, from all N ≥ n samples of one prompt.

    Σ_i C(i − 1, n − 1) / C(N, n) · gold of the i-th smallest proxy: the share of n-subsets it is the best of.
    """
    total = len(proxy)
    assert 1 <= n <= total, f"best of {n} needs at least {n} samples, found {total}"
    ordered = [gold[i] for i in np.argsort(np.asarray(proxy), kind="stable")]
    return sum(math.comb(i, n - 1) / math.comb(total, n) * score for i, score in enumerate(ordered))


def pass_at_k(correct: int, samples: int, k: int) -> float:
    """Chance that k of the samples hold a correct one: 1 − C(N − c, k) / C(N, k) (Chen et al. 2021)."""
    return 1 - math.comb(samples - correct, k) / math.comb(samples, k)
