"""The learning rate's course, point by point."""

import pytest

from crawl2chat.training.settings import learning_rate_factor


@pytest.mark.parametrize(
    ("step", "factor"), [(0, 0.1), (4, 0.5), (9, 1.0), (10, 1.0), (39, 1.0), (40, 1.0), (70, 0.5), (99, 1 / 60)]
)
def test_warm_up_stable_decay(step: int, factor: float) -> None:
    assert learning_rate_factor(step, 100, warmup=0.1, decay=0.6) == pytest.approx(factor)


def test_without_warm_up_and_decay_the_rate_is_constant() -> None:
    assert {learning_rate_factor(step, 50, 0.0, 0.0) for step in range(50)} == {1.0}


def test_the_decay_ends_at_zero() -> None:
    assert learning_rate_factor(100, 100, 0.0, 0.6) == 0.0
