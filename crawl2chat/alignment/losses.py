"""The losses of policy-gradient training as pure functions, each of which can be checked alone in float64.

In: log-probabilities (B, T) of sampled tokens, advantages, masks, and weights that carry the *global* denominator,
so that splitting a batch never changes the gradient. Out: scalars (to be summed over splits) and plain statistics.
Sources: Schulman et al. 2017 (PPO) and 2020 (KL estimators), Ziegler et al. 2019, Ye et al. 2020 (dual clip), Yu et al.
2025 (DAPO).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

KLEstimator = Literal["k1", "k2", "k3"]
Denominator = Literal["constant", "token", "sequence"]


def kl_estimate(logprobs: Tensor, reference: Tensor, kind: KLEstimator = "k3", clamp: float = 0.0) -> Tensor:
    """KL(policy ‖ reference) per token, from tokens the policy sampled; any shape.

    With l = reference − logprobs: k1 = −l (unbiased, may be negative), k2 = l²/2, k3 = (eˡ − 1) − l (unbiased,
    never negative; by expm1, because eˡ − 1 loses all digits where the two policies nearly agree).
    A `clamp` c > 0 keeps k3 within c, without gradient beyond it; verl takes 10, most others none.
    Source: Schulman 2020, "Approximating KL divergence".
    """
    log_ratio = reference - logprobs
    if kind == "k1":
        return -log_ratio
    if kind == "k2":
        return log_ratio.square() / 2
    k3 = torch.expm1(log_ratio) - log_ratio
    return k3.clamp(max=clamp) if clamp else k3


def token_weights(mask: Tensor, kind: Denominator, sequences: int, tokens: int, longest: int) -> Tensor:
    """What each token counts for, given the sizes of the *whole* batch, of which mask (B, T) may be a part.

    constant: 1 / (sequences · longest), where longest is the fixed generation limit (Dr. GRPO);
    token: 1 / tokens (DAPO); sequence: 1 / (own length · sequences) (GRPO). A row without tokens weighs 0.
    """
    mask = mask.to(torch.get_default_dtype())
    if kind == "constant":
        return mask / (sequences * longest)
    if kind == "token":
        return mask / tokens
    return mask / mask.sum(dim=1, keepdim=True).clamp_min(1) / sequences


def policy_loss(
    logprobs: Tensor,
    old: Tensor,
    advantages: Tensor,
    weights: Tensor,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float = 0.0,
) -> tuple[Tensor, dict[str, float]]:
    """Σ weights · max(−A ρ, −A clip(ρ, 1 − clip_low, 1 + clip_high)), ρ = exp(logprobs − old).

    A `dual_clip` c > 1 bounds the loss of a bad token that became likelier: at most −A c where A < 0 (Ye et al. 2020;
    verl takes 3).
    All (B, T). Statistics: approx_kl = Σ w ½(logprobs − old)² and clipped, the share of tokens where the clip bit.
    """
    log_ratio = logprobs - old
    ratio = log_ratio.exp()
    plain = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - clip_low, 1 + clip_high)
    worst = torch.maximum(plain, clipped)
    if dual_clip:
        worst = torch.where(advantages < 0, torch.minimum(worst, -advantages * dual_clip), worst)
    loss = (weights * worst).sum()
    with torch.no_grad():
        real = weights > 0
        count = real.sum().clamp_min(1)
        statistics = {
            "approx_kl": float((log_ratio.square() / 2 * real).sum() / count),
            "clipped": float(((clipped > plain) & real).sum() / count),
            "ratio": float((ratio * real).sum() / count),
        }
    return loss, statistics


def value_loss(values: Tensor, old: Tensor, returns: Tensor, weights: Tensor, clip: float = 0.2) -> Tensor:
    """½ Σ weights · max((V − R)², (V_clip − R)²) with V_clip within ± clip of the rollout's value. All (B, T)."""
    near = old + (values - old).clamp(-clip, clip)
    return (weights * torch.maximum((values - returns).square(), (near - returns).square())).sum() / 2


@dataclass
class AdaptiveKL:
    """A KL coefficient that steers the measured KL to a target: β *= 1 + clip(KL/target − 1, ±0.2) · n / horizon.

    Source: Ziegler et al. 2019. Units: KL in nats per answer, horizon in episodes. Their horizon of 10,000 hardly
    moves β in a run of some thousand episodes: choose about a hundredth of the run.
    """

    coefficient: float
    target: float
    horizon: float

    def update(self, kl: float, episodes: int) -> None:
        error = min(max(kl / self.target - 1, -0.2), 0.2)
        self.coefficient *= 1 + error * episodes / self.horizon
