"""How far a run has come, and its training curve as CSV: a row a step, a column a number, empty where nothing was
measured."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Progress:
    """A run's state beside weights and optimizers, as it stands in a checkpoint; a kind of training may add fields."""

    # Steps done.
    step: int = 0
    # Rows of the training curve.
    curve: list[dict[str, float]] = field(default_factory=list)
    # Spent writing checkpoints; times are for people and enter no out.
    checkpoint_seconds: float = 0.0


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
