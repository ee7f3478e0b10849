"""Intervals and ratings against numbers known from tables, other implementations or symmetry."""

import numpy as np
import pytest

from crawl2chat.evaluation import statistics


def test_wilson_interval_has_the_textbook_values() -> None:
    assert statistics.wilson(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    assert statistics.wilson(0, 10) == pytest.approx((0.0, 0.277533), abs=1e-6)
    assert statistics.wilson(0, 0) == (0.0, 1.0)


def test_accuracy_carries_n_and_interval() -> None:
    assert statistics.accuracy("recall", [True] * 8 + [False] * 2) == {
        "recall": 0.8,
        "recall_n": 10,
        "recall_low": 0.4902,
        "recall_high": 0.9433,
    }
    assert statistics.accuracy("recall", [])["recall"] is None


def test_bootstrap_interval_of_a_mean_agrees_with_the_normal_one() -> None:
    scores = np.random.default_rng(3).normal(2.0, 1.0, size=400)
    found = statistics.mean(scores, seed=1)
    assert found.value == pytest.approx(scores.mean())
    half = 1.96 * scores.std() / 20
    assert (found.low, found.high) == pytest.approx((scores.mean() - half, scores.mean() + half), abs=0.015)
    assert found == statistics.mean(scores, seed=1)
    with pytest.raises(ValueError, match="at least one score"):
        statistics.mean([])


def test_bootstrap_draws_the_same_resamples_in_blocks_as_at_once() -> None:
    scores = np.random.default_rng(2).normal(size=1_500_000)
    found = statistics.mean(scores, seed=4, resamples=5)
    rng = np.random.default_rng(4)
    means = [scores[rng.integers(0, scores.size, scores.size)].mean() for _ in range(5)]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_one_score_or_equal_scores_have_an_interval_of_one_point() -> None:
    for scores in ([2.5], [2.5] * 3):
        found = statistics.mean(scores)
        assert (found.value, found.low, found.high, found.n) == (2.5, 2.5, 2.5, len(scores))


def test_paired_difference_is_narrower_than_the_scores_spread() -> None:
    before = np.random.default_rng(0).normal(0, 10, size=200)
    found = statistics.paired_difference(before, before + 1)
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="same items"):
        statistics.paired_difference([1, 2], [1])


def test_bradley_terry_of_two_players_is_the_log_odds() -> None:
    ratings = statistics.bradley_terry([[0, 30], [10, 0]], prior=0)
    assert ratings[0] - ratings[1] == pytest.approx(np.log(3), abs=1e-6)
    assert ratings.sum() == pytest.approx(0, abs=1e-9)


def test_bradley_terry_recovers_strengths_and_stays_finite() -> None:
    true = np.array([1.0, 0.2, -0.3, -0.9])
    wins = 1000 / (1 + np.exp(true[None, :] - true[:, None]))
    np.fill_diagonal(wins, 0)
    assert statistics.bradley_terry(wins, prior=0) == pytest.approx(true, abs=1e-5)
    assert np.isfinite(statistics.bradley_terry([[0, 5], [0, 0]])).all()


def test_arena_orders_players_and_its_intervals_tell_them_apart() -> None:
    rng = np.random.default_rng(5)
    true = np.array([-1.0, 0.0, 1.0])
    pairs = [(i, j) for i in range(3) for j in range(i) for _ in range(150)]
    games = [(i, j, float(rng.random() < 1 / (1 + np.exp(true[j] - true[i])))) for i, j in pairs]
    weak, middle, strong = statistics.arena(games, players=3, seed=0)
    assert weak.high < middle.low and middle.high < strong.low
    assert weak.n == 300
    assert statistics.arena(games, players=3, seed=0)[0] == weak


def test_arena_resamples_whole_prompts() -> None:
    games = [(0, 1, float(prompt % 4 != 0)) for prompt in range(40) for _ in range(10)]
    prompts = [prompt for prompt in range(40) for _ in range(10)]
    alone, grouped = (statistics.arena(games, 2, groups)[0] for groups in (None, prompts))
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_kendall_tau_has_the_known_values() -> None:
    assert statistics.kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert statistics.kendall_tau([1, 2, 3], [3, 2, 1]) == -1
    assert statistics.kendall_tau([12, 2, 1, 12, 2], [1, 4, 7, 1, 0]) == pytest.approx(-0.4714045)  # scipy's example
    assert statistics.kendall_tau([1, 1, 1], [1, 2, 3]) == 0


def test_calibration_error_is_the_weighted_gap() -> None:
    assert statistics.calibration_error([0.95] * 10, [1] * 9 + [0]) == pytest.approx(0.05)
    assert statistics.calibration_error([0.0, 1.0], [0, 1]) == 0
    assert statistics.calibration_error([0.25] * 4 + [0.75] * 4, [1, 0, 0, 0, 1, 1, 1, 1]) == pytest.approx(0.125)


def test_each_model_is_compared_with_the_one_before_on_the_same_questions():
    def row(model, kind, number, correct):
        return {"model": model, "kind": kind, "id": str(number), "correct": correct, "gold": 2.0 * correct}

    rows = [row("sft", "sum", i, i < 10) for i in range(40)] + [row("sft", "talk", 0, True)]
    rows += [row("chat", "sum", i, i < 30) for i in range(40)] + [row("chat", "fact", 0, True)]
    found = {(one["kind"], one["score"]): one for one in statistics.paired_differences(rows, ["sft", "chat"], seed=1)}
    assert set(found) == {(kind, score) for kind in ("sum", "all") for score in ("correct", "gold")}
    gain = found["sum", "correct"]
    assert gain["difference"] == 0.5 and gain["n"] == 40
    assert 0.3 < gain["low"] < 0.5 < gain["high"] < 0.7
    assert found["sum", "gold"]["difference"] == 1.0


def test_equal_answers_differ_by_nothing():
    rows = [{"model": m, "kind": "sum", "id": str(i), "correct": i % 2, "gold": i} for m in "ab" for i in range(9)]
    assert all(one["low"] == one["high"] == 0 for one in statistics.paired_differences(rows, ["a", "b"]))
