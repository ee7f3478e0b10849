"""What a reward model learns from: the probability of a person's ranking under its scores.

In: scores of the candidates of *one* prompt. Out: a scalar per ranking, averaged over its pairs, so that a prompt
with many candidates weighs no more than one with few. Sources: Ouyang et al. 2022 (all pairs of a ranking in one
batch element), Luce 1959 / Plackett 1975, Eisenstein et al. 2023 (centering).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def bradley_terry(scores: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """−mean log σ(s_better − s_worse) over the pairs (better, worse), which index scores (n,)."""
    better, worse = torch.tensor(pairs, device=scores.device).T
    return -logsigmoid(scores[better] - scores[worse]).mean()


def plackett_luce(scores: Tensor) -> Tensor:
    """−log P(ranking): each place is a softmax over what is left. scores (n,), best first; mean per choice.

    log P = Σ_i [s_i − log Σ_{j ≥ i} exp s_j]; the last factor is 1 and is not counted as a choice.
    """
    rest = torch.logcumsumexp(scores.flip(0), dim=0).flip(0)
    return (rest - scores)[:-1].mean()


def centering(scores: Tensor, pairs: Sequence[tuple[int, int]]) -> Tensor:
    """mean (s_better + s_worse)²: keeps scores near zero, which differences alone leave undetermined."""
    better, worse = torch.tensor(pairs, device=scores.device).T
    return (scores[better] + scores[worse]).square().mean()
