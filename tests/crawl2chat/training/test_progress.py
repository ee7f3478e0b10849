"""What a run says about itself where its output is no terminal: few lines, with step, loss and the time left."""

import logging

import pytest

from crawl2chat.training import progress
from crawl2chat.training.progress import Progress, duration, newest_numbers, watched


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def lines(clock: list[float], caplog: pytest.LogCaptureFixture, state: Progress, steps: int, seconds: float) -> list:
    with caplog.at_level(logging.INFO, "crawl2chat"):
        for step in watched(state, steps, quiet=False):
            clock[0] += seconds
            state.curve.append({"step": step, "train_loss": 1 / (step + 1), "learning_rate_factor": 1.0})
    return [record.getMessage() for record in caplog.records]


def test_a_long_run_says_some_twenty_times_where_it_is(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    said = lines(clock, caplog, Progress(), 1000, seconds=6.0)
    assert said[0] == "step 50 of 1,000 · loss 0.02 · 1 h 35 min left" and len(said) == 19
    assert said[-1].endswith("· 5 min left")


def test_a_quick_run_says_something_every_ten_seconds(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    said = lines(clock, caplog, Progress(), 100, seconds=0.5)
    assert [line.split(" of")[0] for line in said] == ["step 20", "step 40", "step 60", "step 80"]


def test_a_resumed_run_counts_from_where_it_goes_on(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    said = lines(clock, caplog, Progress(step=90), 100, seconds=10.0)
    assert said[0] == "step 95 of 100 · loss 0.01053 · 50 s left"


def test_other_processes_than_the_first_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "crawl2chat"):
        assert list(watched(Progress(step=2), 5, quiet=True)) == [2, 3, 4]
    assert not caplog.records


def test_the_newest_row_that_has_it_tells_the_loss_or_the_reward() -> None:
    assert newest_numbers([{"step": 1, "train_loss": 2.0}, {"step": 1, "val_loss": 3.0}]) == "loss 2"
    assert newest_numbers([{"step": 0, "held_out_gold": 3.0, "proxy": 0.25}]) == "proxy 0.25"
    assert newest_numbers([]) == ""


def test_durations_are_read_at_a_glance() -> None:
    assert [duration(seconds) for seconds in (4.4, 89, 120, 3600 * 2 + 310)] == ["4 s", "89 s", "2 min", "2 h 5 min"]
