"""How much better than expected each token or each answer was.

In: rewards, value estimates, the grouping of answers by prompt. Out: advantages of the same shape, without gradient.
Sources: Schulman et al. 2016 (GAE), Ziegler et al. 2019 (whitening), Shao et al. 2024 (GRPO), Liu et al. 2025
(Dr. GRPO: centred), Ahmadian et al. 2024 (RLOO).
"""

from typing import Literal

import torch
from torch import Tensor

GroupAdvantage = Literal["centred", "normalised", "rloo"]


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float = 1.0, lam: float = 0.95) -> Tensor:
    """Generalised advantage estimation, from the last token backwards.

    δ_t = r_t + γ V_{t+1} − V_t;  A_t = δ_t + γ λ A_{t+1};  V and A are 0 behind the last real token.

    rewards, values, mask: (B, T). Where mask is False, behind an answer or at a tool's result inside it, nothing is
    estimated: the token before a gap looks at the one behind it. Returns (B, T), zero where mask is False.
    The returns a value head is trained on are A + V *before* any whitening.
    """
    rewards, values = rewards * mask, values * mask
    advantages = torch.zeros_like(rewards)
    following = next_value = torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        following = torch.where(mask[:, t], delta + gamma * lam * following, following)
        next_value = torch.where(mask[:, t], values[:, t], next_value)
        advantages[:, t] = following
    return advantages * mask


def whiten(x: Tensor, mask: Tensor, shift_mean: bool = True) -> Tensor:
    """(x − μ) · rsqrt(var + 1e-8) over the real tokens, var with n − 1; with shift_mean=False the mean is added back.

    Rewards are never whitened (found harmful); advantages are, and lose their mean.
    """
    count = mask.sum()
    mean = (x * mask).sum() / count
    variance = ((x - mean).square() * mask).sum() / (count - 1).clamp_min(1)
    whitened = (x - mean) * torch.rsqrt(variance + 1e-8)
    return (whitened if shift_mean else whitened + mean) * mask


def group_advantages(
    rewards: Tensor, kind: GroupAdvantage = "centred", unbiased: bool = True, epsilon: float = 0.0
) -> Tensor:
    """Advantages of K answers to the same prompt against each other.

    rewards: (prompts, K). centred: r − mean (Dr. GRPO); normalised: (r − mean) / (std + ε) (GRPO), 0 where all
    answers earn the same; rloo: r − mean of the *other* answers = (r − mean) · K / (K − 1).
    `unbiased` chooses the K − 1 standard deviation. Raises AssertionError for groups of one: that would silently
    be plain REINFORCE without a baseline.
    """
    size = rewards.shape[1]
    assert size > 1, f"a group needs at least 2 answers to one prompt, found {size}"
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if kind == "centred":
        return centred
    if kind == "rloo":
        return centred * size / (size - 1)
    deviation = rewards.std(dim=1, keepdim=True, unbiased=unbiased)
    equal = (rewards == rewards[:, :1]).all(dim=1, keepdim=True)  # rounding must not become an advantage
    return torch.where(equal, torch.zeros_like(centred), centred / (deviation + epsilon))
