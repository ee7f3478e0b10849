"""The exam's numbers as a table of text: a row for each number, a column for each model, intervals in brackets."""

from collections.abc import Sequence
from typing import Any

MODELS = ("base", "sft", "reasoner", "chat")


def is_scalar(value: Any) -> bool:
    return isinstance(value, (int, float, str)) and not isinstance(value, bool)


def number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def interval(metrics: dict[str, Any], key: str) -> str:
    low, high = metrics.get(f"{key}_low"), metrics.get(f"{key}_high")
    return f" ({number(low)}–{number(high)})" if is_scalar(low) and is_scalar(high) else ""


def evaluation_table(evaluation: dict[str, Any]) -> list[list[str]]:
    """A row for each number, a column for each model; the first row is the head."""
    columns = {name: evaluation[name] for name in MODELS if isinstance(evaluation.get(name), dict)}
    keys = [key for key in next(iter(columns.values()), {}) if not key.endswith(("_n", "_low", "_high"))]
    rows = [["", *columns]]
    for key in keys:
        cells = [
            number(model[key]) + interval(model, key) if is_scalar(model.get(key)) else "–"
            for model in columns.values()
        ]
        sample = next((model.get(f"{key}_n") for model in columns.values() if model.get(f"{key}_n")), None)
        rows.append([key.replace("_", " ") + (f" (n = {sample:,})" if sample else ""), *cells])
    return rows


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """The first row is the head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])
