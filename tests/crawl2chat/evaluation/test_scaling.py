"""Scaling laws on planted numbers: the law is found, its intervals hold what they promise."""

import numpy as np
import pytest

from crawl2chat.evaluation.scaling import fit_law

FLOPS = np.array([1e12, 8e12, 4e13, 1.2e14, 3e14, 7e14])


def planted(floor: float, scale: float, exponent: float) -> np.ndarray:
    return floor + scale * FLOPS**-exponent


def test_a_planted_law_is_found() -> None:
    law = fit_law(FLOPS[:5], planted(0.6, 600.0, 0.18)[:5])
    assert (law.floor, law.scale, law.exponent) == pytest.approx((0.6, 600.0, 0.18), rel=1e-4)
    assert law.predict(FLOPS[5]).value == pytest.approx(planted(0.6, 600.0, 0.18)[5], rel=1e-6)


def test_few_points_give_a_law_without_floor() -> None:
    law = fit_law(FLOPS[:3], planted(0.0, 50.0, 0.1)[:3])
    assert law.floor == 0 and law.n == 3
    assert (law.scale, law.exponent) == pytest.approx((50.0, 0.1), rel=1e-6)


def test_hoffmanns_law_of_parameters() -> None:
    """Chinchilla's L(N) at unlimited data: 1.69 + 406.4 N^-.34 (Hoffmann et al. 2022, equation 10)."""
    sizes = np.geomspace(4e7, 1.6e10, 8)
    law = fit_law(sizes, 1.69 + 406.4 * sizes**-0.34)
    assert (law.floor, law.scale, law.exponent) == pytest.approx((1.69, 406.4, 0.34), rel=1e-3)


@pytest.mark.parametrize(("points", "floor"), [(3, 0.0), (4, 0.0), (5, 0.6)])
def test_the_next_run_lies_in_the_interval_19_times_in_20(points: int, floor: float) -> None:
    rng, true, held, trials = np.random.default_rng(1), planted(floor, 600.0, 0.18), 0, 300
    for _ in range(trials):
        seen = true * np.exp(0.01 * rng.standard_normal(len(true)))
        guess = fit_law(FLOPS[:points], seen[:points]).predict(FLOPS[points])
        held += guess.low <= seen[points] <= guess.high
    assert 0.9 < held / trials < 0.99


def test_the_law_itself_is_known_better_than_a_run() -> None:
    law = fit_law(FLOPS, planted(0.6, 600.0, 0.18) * [1.01, 0.99, 1.005, 1.0, 0.995, 1.0])
    run, curve = law.predict(1e14), law.predict(1e14, run=False)
    assert run.low < curve.low < run.value < curve.high < run.high


def test_one_outlier_bends_the_law_less_than_least_squares() -> None:
    spoilt = planted(0.0, 50.0, 0.1)[:4] * [1.0, 1.0, 1.0, 1.5]
    least_squares = -np.polyfit(np.log(FLOPS[:4]), np.log(spoilt), 1)[0]
    assert least_squares < 0.06
    assert fit_law(FLOPS[:4], spoilt).exponent == pytest.approx(0.1, abs=(0.1 - least_squares) / 2)


def test_without_points_left_over_nothing_is_promised() -> None:
    guess = fit_law(FLOPS[:2], planted(0.0, 50.0, 0.1)[:2]).predict(FLOPS[2])
    assert (guess.low, guess.high) == (0.0, float("inf"))


def test_one_size_is_no_series() -> None:
    with pytest.raises(ValueError, match="two sizes or more: found 1"):
        fit_law([1e12, 1e12], [2.0, 2.1])
