"""The simulated exams of the benchmark of promotion: as much better as they claim to be."""

import numpy as np

from benchmarks.promotion import QUESTIONS, exams


def test_the_second_model_is_better_by_the_gain() -> None:
    rng = np.random.default_rng(3)
    gains = []
    for _ in range(20):
        before, after = exams(rng, 0.05)
        assert list(before) == list(after) and len(before) == QUESTIONS
        gains.append(sum(after.values()) - sum(before.values()))
    assert abs(np.mean(gains) / QUESTIONS - 0.05) < 0.01
