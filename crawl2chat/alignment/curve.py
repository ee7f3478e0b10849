"""Training curves as CSV: a row a step, a column a number, empty where nothing was measured."""

import csv
from collections.abc import Sequence
from pathlib import Path


def write_curve(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Columns in the order of their first appearance, floats to six significant digits; `step` is the first."""
    columns = list(dict.fromkeys(["step", *(key for row in rows for key in row)]))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row.get(column)) for column in columns])


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
