"""Known numbers of the RL and preference maths, in float64."""

import math

import numpy as np
import pytest
import torch

from crawl2chat.alignment import advantages, losses, overoptimisation, ranking_losses

torch.manual_seed(0)
F64 = torch.float64


def test_gae_worked_example():
    r = torch.tensor([[-0.05, -0.02, -0.03, 1.0]], dtype=F64)
    v = torch.tensor([[0.1, 0.2, 0.4, 0.5]], dtype=F64)
    a = advantages.gae(r, v, torch.ones_like(r, dtype=torch.bool), gamma=1.0, lam=0.95)
    assert a[0].tolist() == pytest.approx([0.7128625, 0.69775, 0.545, 0.5], abs=1e-12)


def test_gae_equals_the_sum_written_out_and_ignores_padding():
    generator = torch.Generator().manual_seed(1)
    lengths, gamma, lam = [7, 3, 1], 0.97, 0.9
    r, v = (torch.randn(3, 7, generator=generator, dtype=F64) for _ in range(2))
    mask = torch.arange(7)[None] < torch.tensor(lengths)[:, None]
    found = advantages.gae(r, v, mask, gamma, lam)
    for row, length in enumerate(lengths):
        deltas = [r[row, t] + gamma * (v[row, t + 1] if t + 1 < length else 0) - v[row, t] for t in range(length)]
        for t in range(7):
            expected = sum((gamma * lam) ** (u - t) * deltas[u] for u in range(t, length)) if t < length else 0.0
            assert float(found[row, t]) == pytest.approx(float(expected), abs=1e-12)


def test_gae_looks_across_a_tool_result():
    """What stands in the gap, values and rewards of tokens that nobody chose, changes nothing."""
    r = torch.tensor([[-0.05, 7.0, 8.0, -0.02, -0.03, 1.0]], dtype=F64)
    v = torch.tensor([[0.1, 9.0, 9.0, 0.2, 0.4, 0.5]], dtype=F64)
    mask = torch.tensor([[True, False, False, True, True, True]])
    found = advantages.gae(r, v, mask, gamma=1.0, lam=0.95)
    assert found[mask].tolist() == pytest.approx([0.7128625, 0.69775, 0.545, 0.5], abs=1e-12)
    assert (found[~mask] == 0).all()


def test_whitening_by_hand():
    x = torch.tensor([[1.0, 2.0, 99.0], [3.0, 4.0, 5.0]], dtype=F64)
    mask = torch.tensor([[True, True, False], [True, True, True]])
    white = advantages.whiten(x, mask)
    assert float(white[0, 0]) == pytest.approx(-2 / math.sqrt(2.5 + 1e-8)) and float(white[0, 2]) == 0
    kept = advantages.whiten(x, mask, shift_mean=False)
    assert float(kept[mask].mean()) == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("kind", "unbiased", "expected"),
    [("normalised", True, 1.2076), ("normalised", False, 1.2910), ("centred", True, 0.625), ("rloo", True, 0.7143)],
)
def test_three_of_eight_correct(kind, unbiased, expected):
    rewards = torch.tensor([[1, 1, 1, 0, 0, 0, 0, 0]], dtype=F64)
    assert float(advantages.group_advantages(rewards, kind, unbiased)[0, 0]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["centred", "normalised", "rloo"])
@pytest.mark.parametrize("size", [4, 7])
def test_equal_rewards_give_no_advantage(kind, size):
    """Also where the mean of equal numbers in float32 is another number: seven times .7."""
    assert advantages.group_advantages(torch.full((2, size), 0.7), kind).abs().max() < 1e-6


def test_groups_of_one_are_refused():
    with pytest.raises(AssertionError, match="found 1"):
        advantages.group_advantages(torch.ones(3, 1))


def test_kl_estimators_against_the_exact_divergence():
    p = torch.tensor([0.5, 0.3, 0.2], dtype=F64)
    q = torch.tensor([0.4, 0.4, 0.2], dtype=F64)
    exact = float((p * (p / q).log()).sum())
    for kind in ("k1", "k3"):  # unbiased under the policy's own distribution
        assert float((p * losses.kl_estimate(p.log(), q.log(), kind)).sum()) == pytest.approx(exact, abs=1e-12)
    assert (losses.kl_estimate(p.log(), q.log(), "k3") >= 0).all()
    assert float(losses.kl_estimate(p.log(), q.log(), "k2")[0]) == pytest.approx(math.log(0.8) ** 2 / 2)


def test_k3_keeps_its_digits_for_nearly_equal_policies():
    a, b = torch.tensor([-1.0]), torch.tensor([-1.0001])
    assert float(losses.kl_estimate(a, b, "k3")) == pytest.approx(5e-9, rel=1e-2)


def test_denominators():
    mask = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
    size = {"sequences": 3, "tokens": 5, "longest": 10}
    assert float(losses.token_weights(mask, "constant", **size)[0, 0]) == pytest.approx(1 / 30)
    assert float(losses.token_weights(mask, "token", **size).sum()) == pytest.approx(1)
    per_sequence = losses.token_weights(mask, "sequence", **size).sum(1)
    assert per_sequence.tolist() == pytest.approx([1 / 3, 1 / 3, 0])


@pytest.mark.parametrize("kind", ["constant", "token", "sequence"])
def test_splitting_a_batch_leaves_the_gradient_unchanged(kind):
    generator = torch.Generator().manual_seed(2)
    new = torch.randn(6, 5, generator=generator, dtype=F64, requires_grad=True)
    old = new.detach() + 0.3 * torch.randn(6, 5, generator=generator, dtype=F64)
    a = torch.randn(6, 5, generator=generator, dtype=F64)
    mask = torch.arange(5)[None] < torch.tensor([5, 1, 3, 2, 4, 5])[:, None]
    size = {"sequences": 6, "tokens": int(mask.sum()), "longest": 5}

    def gradient(parts):
        new.grad = None
        for rows in parts:
            weights = losses.token_weights(mask[rows], kind, **size).to(F64)
            losses.policy_loss(new[rows], old[rows], a[rows], weights)[0].backward()
        return new.grad.clone()

    assert torch.allclose(gradient([slice(0, 6)]), gradient([slice(0, 1), slice(1, 4), slice(4, 6)]), atol=1e-15)


def test_clipping_stops_the_gradient_only_where_the_step_went_too_far():
    log_ratio = torch.log(torch.tensor([[1.5, 0.5, 1.25, 1.5]], dtype=F64)).requires_grad_()
    a = torch.tensor([[1.0, -1.0, 1.0, -1.0]], dtype=F64)
    loss, statistics = losses.policy_loss(
        log_ratio, torch.zeros(1, 4, dtype=F64), a, torch.ones(1, 4, dtype=F64), clip_low=0.2, clip_high=0.28
    )
    assert loss.item() == pytest.approx(-1.28 + 0.8 - 1.25 + 1.5)
    loss.backward()
    assert (log_ratio.grad[0] != 0).tolist() == [False, False, True, True]
    assert statistics["clipped"] == pytest.approx(0.5)


def test_dual_clip_bounds_what_one_bad_token_costs():
    """verl's case: ρ = e³ at A = −1 costs 20, and 3 with its bound; a good token is left alone."""
    log_ratio, a = torch.tensor([[3.0, 3.0]], dtype=F64), torch.tensor([[-1.0, 1.0]], dtype=F64)
    weights = torch.tensor([[1.0, 0.0]], dtype=F64)
    costs = [float(losses.policy_loss(log_ratio, torch.zeros(1, 2), a, weights, dual_clip=c)[0]) for c in (0.0, 3.0)]
    assert costs == pytest.approx([math.exp(3), 3.0])
    good = weights.flip(1)
    assert float(losses.policy_loss(log_ratio, torch.zeros(1, 2), a, good, dual_clip=3.0)[0]) == pytest.approx(-1.2)


def test_first_epoch_has_ratio_one_and_no_kl():
    logprobs = torch.randn(2, 3, dtype=F64)
    _, statistics = losses.policy_loss(logprobs, logprobs, torch.ones(2, 3), torch.ones(2, 3))
    assert statistics == {"approx_kl": 0.0, "clipped": 0.0, "ratio": 1.0}


def test_value_loss_takes_the_worse_of_clipped_and_plain():
    v, old, target = (torch.tensor([[x]], dtype=F64) for x in (1.0, 0.0, 2.0))
    assert float(losses.value_loss(v, old, target, torch.ones(1, 1, dtype=F64))) == pytest.approx(1.8**2 / 2)


def test_kl_coefficient_follows_the_target():
    controller = losses.AdaptiveKL(0.15, target=6.0, horizon=1000)
    controller.update(12.0, episodes=100)
    assert controller.coefficient == pytest.approx(0.15 * 1.02)
    controller.update(5.4, episodes=100)
    assert controller.coefficient == pytest.approx(0.15 * 1.02 * 0.99)


def test_bradley_terry_and_plackett_luce_by_hand():
    scores = torch.tensor([2.0, 1.0, 0.0], dtype=F64)
    better, worse = torch.tensor([[0, 0, 1], [1, 2, 2]])
    thirds = torch.full((3,), 1 / 3, dtype=F64)

    def nls(x):
        return math.log1p(math.exp(-x))

    loss = ranking_losses.bradley_terry(scores, better, worse, thirds)
    assert float(loss) == pytest.approx((2 * nls(1) + nls(2)) / 3)
    first = math.log(math.exp(2) + math.exp(1) + 1) - 2
    assert float(ranking_losses.plackett_luce(scores)) == pytest.approx((first + nls(1)) / 2)
    assert float(ranking_losses.plackett_luce(scores[:2])) == pytest.approx(nls(1))  # two candidates: the same model
    assert float(ranking_losses.centering(scores, better, worse, thirds)) == pytest.approx((9 + 4 + 1) / 3)


def test_gold_fits_return_what_they_were_made_from():
    d = np.linspace(0.2, 4, 12)
    fit = overoptimisation.fit_gold(d, d * (1.0 - 0.2 * d), "best_of_n")
    assert (fit.alpha, fit.beta, fit.peak) == pytest.approx((1.0, 0.2, 2.5))
    fit = overoptimisation.fit_gold(d, d * (1.0 - 0.5 * np.log(d)), "rl")
    assert (fit.alpha, fit.beta, fit.peak) == pytest.approx((1.0, 0.5, math.e))
    assert fit(np.array([fit.peak]))[0] >= fit(d).max()
    assert math.isnan(overoptimisation.fit_gold(d, d * d, "best_of_n").peak)


def test_best_of_n_equals_the_mean_over_all_subsets():
    from itertools import combinations

    generator = np.random.default_rng(0)
    proxy, gold = generator.normal(size=7), generator.normal(size=7)
    for n in (1, 3, 7):
        brute = np.mean([gold[max(s, key=lambda i: proxy[i])] for s in combinations(range(7), n)])
        assert overoptimisation.best_of_n(proxy, gold, n) == pytest.approx(brute)
    assert overoptimisation.best_of_n_kl(1) == 0


def test_pass_at_k():
    assert overoptimisation.pass_at_k(3, 8, 8) == 1 and overoptimisation.pass_at_k(0, 8, 8) == 0
    assert overoptimisation.pass_at_k(3, 8, 1) == pytest.approx(3 / 8)


def test_dpo_by_hand():
    """−log σ(.1 · (.5 − .1)) = log(1 + e^−.04), and log 2 where policy and reference agree."""
    one = torch.ones(1, dtype=F64)
    assert float(ranking_losses.dpo(0.5 * one, 0.1 * one, one, 0.1)) == pytest.approx(math.log1p(math.exp(-0.04)))
    margins = torch.tensor([0.3, -2.0], dtype=F64)
    weights = torch.full((2,), 0.5, dtype=F64)
    assert float(ranking_losses.dpo(margins, margins, weights, 0.1)) == pytest.approx(math.log(2))


def test_the_gradient_of_dpo_is_that_of_the_paper():
    """−β σ(β (Δ_ref − Δ)) on the better answer's log-probability."""
    margin = torch.tensor([1.5], dtype=F64, requires_grad=True)
    ranking_losses.dpo(margin, torch.tensor([0.5], dtype=F64), torch.ones(1, dtype=F64), 0.2).backward()
    assert float(margin.grad) == pytest.approx(-0.2 / (1 + math.exp(0.2)))


def test_a_clamp_bounds_k3_and_its_gradient():
    far = torch.tensor([-30.0, -0.1], dtype=F64, requires_grad=True)
    k3 = losses.kl_estimate(far, torch.zeros(2, dtype=F64), "k3", clamp=10.0)
    k3.sum().backward()
    assert k3.tolist() == pytest.approx([10.0, math.expm1(0.1) - 0.1])
    assert far.grad.tolist() == pytest.approx([0.0, 1 - math.exp(0.1)])


def test_the_best_of_n_divergence_is_an_upper_bound():
    """Of two equally likely answers the better one is the best of two in 3 of 4 cases: .1308 nats, below the bound."""
    assert overoptimisation.best_of_n_kl(2) == pytest.approx(math.log(2) - 0.5)
    chosen = [0.25, 0.75]  # the worse and the better of two, best of 2
    exact = sum(p * math.log(p / 0.5) for p in chosen)
    assert exact == pytest.approx(0.1308, abs=1e-4) and exact < overoptimisation.best_of_n_kl(2)
