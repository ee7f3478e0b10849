"""What a reward model learns from: the probability of a person's ranking under its scores.

In: scores of candidates and how people ordered them. Out: scalars. All pairs of a ranking stand in one batch element
and share its weight, so that a prompt with many candidates counts no more than one with few. Sources: Ouyang et al.
2022, Plackett 1975, Eisenstein et al. 2023 (centering), Rafailov et al. 2023 (DPO, which needs no reward model).
"""

from torch import Tensor
from torch.nn.functional import logsigmoid


def bradley_terry(scores: Tensor, better: Tensor, worse: Tensor, weights: Tensor) -> Tensor:
    """−Σ w log σ(s_better − s_worse). scores (n,); better, worse (P,) index them; weights (P,) carry the mean."""
    return -(weights * logsigmoid(scores[better] - scores[worse])).sum()


def plackett_luce(scores: Tensor) -> Tensor:
    """−log P(ranking) / (n − 1), where each place is a softmax over what is left. scores (n,), best first.

    log P = Σ_i [s_i − log Σ_{j ≥ i} exp s_j]; the last factor is 1 and is no choice. With n = 2: Bradley–Terry.
    """
    rest = scores.flip(0).logcumsumexp(dim=0).flip(0)
    return (rest - scores)[:-1].mean()


def centering(scores: Tensor, better: Tensor, worse: Tensor, weights: Tensor) -> Tensor:
    """Σ w (s_better + s_worse)²: keeps scores near zero, which differences alone leave undetermined."""
    return (weights * (scores[better] + scores[worse]).square()).sum()


def dpo(margins: Tensor, reference_margins: Tensor, weights: Tensor, beta: float) -> Tensor:
    """−Σ w log σ(β (Δ − Δ_ref)), Δ = log π(better) − log π(worse) of whole answers. margins, reference_margins,
    weights (P,); β is the strength of the KL penalty that the loss stands for."""
    return -(weights * logsigmoid(beta * (margins - reference_margins))).sum()
