"""How far a run has come: its state, what it says about itself while it works, and its training curve as CSV, a row a
step, a column a number, empty where nothing was measured.

On a terminal a bar moves. Anywhere else (a file, a pipe, a page) lines come through the logger, so few that they can be
read: after ten seconds or a twentieth of the way, whichever is later.
"""

import csv
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

# Between two lines: this many seconds and this share of all steps.
SECONDS, SHARE = 10.0, 0.05

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """A run's state beside weights and optimizers, as it stands in a checkpoint; a kind of training may add fields."""

    # Steps done.
    step: int = 0
    # Rows of the training curve.
    curve: list[dict[str, float]] = field(default_factory=list)
    # Spent writing checkpoints; times are for people and enter no out.
    checkpoint_seconds: float = 0.0


def watched(progress: Progress, steps: int, quiet: bool) -> Iterator[int]:
    """The numbers of the steps that are left, shown with the latest loss or reward and the time left."""
    first = progress.step
    if quiet:
        yield from range(first, steps)
        return
    if sys.stderr.isatty():
        bar = tqdm(range(first, steps), initial=first, total=steps, unit="step")
        for step in bar:
            yield step
            bar.set_postfix_str(newest_numbers(progress.curve), refresh=False)
        return
    began = told_at = time.monotonic()
    told = first
    for step in range(first, steps):
        yield step
        done, now = step + 1, time.monotonic()
        if done < steps and now - told_at >= SECONDS and done - told >= SHARE * steps:
            left = (now - began) / (done - first) * (steps - done)
            parts = [f"step {done:,} of {steps:,}", newest_numbers(progress.curve), f"{duration(left)} left"]
            logger.info(" · ".join(part for part in parts if part))
            told, told_at = done, now


def newest_numbers(curve: Sequence[dict[str, float]]) -> str:
    """What the training is about, from the curve's newest row that has it."""
    found = ((key, row[key]) for row in reversed(curve) for key in ("train_loss", "reward", "proxy") if key in row)
    return next((f"{key.removeprefix('train_')} {value:.4g}" for key, value in found), "")


def duration(seconds: float) -> str:
    """`40 s`, `5 min` or `2 h 5 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def write_curve(path: Path, rows: Sequence[dict[str, float]], digits: int | None = None) -> None:
    """Columns in the order of their first appearance; floats to so many significant digits, or as they are."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: shortened(value, digits) for key, value in row.items()})


def shortened(value: float, digits: int | None) -> float | str:
    return f"{value:.{digits}g}" if digits and isinstance(value, float) else value
