"""The few numbers of a run that stand at the top: what `dvc metrics show` prints, and MLflow's columns and charts.

Each stage says in its `HEADLINE` which of its metrics they are, and under which of a few common names: a row, a common
name, and the key of the metric behind it. In: a stage's metrics. Out: `metrics/headline/<row>.json` for each row. All
other metrics stay in `metrics/<stage>.json`.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path("metrics") / "headline"

Rows = dict[str, dict[str, Any]]


def rows_of(stage: str, metrics: Mapping[str, Any]) -> Rows:
    """Row → common name → number. What the input cannot tell (truth about real pages) is left out of a row."""
    wanted = getattr(importlib.import_module(f"stages.{stage}"), "HEADLINE", {})
    return {
        row: {name: value for name, key in names.items() if (value := number_at(metrics, key)) is not None}
        for row, names in wanted.items()
    }


def number_at(metrics: Mapping[str, Any], key: str) -> int | float | None:
    """The number at a dotted key; None where there is none."""
    value: Any = metrics
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def path_of(row: str) -> Path:
    return FOLDER / f"{row}.json"
