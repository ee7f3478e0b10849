"""Charts of a run: training curves, shares with their intervals, proxy against gold, counts by kind.

In: columns or rows of the tables that a run wrote, as CSV. Out: SVG for a page; an empty string where nothing was
measured.
"""

import csv
from pathlib import Path
from typing import Any

from crawl2chat.page import COLOURS, Canvas, words

# Column of a table → its values; None where a number was not measured.
Curve = dict[str, list[float | None]]


def read_curve(path: Path) -> Curve:
    """Columns of a CSV; None where a number was not measured. Empty without the file."""
    rows = read_table(path)
    return {name: [float(row[name]) if row[name] else None for row in rows] for name in (rows[0] if rows else {})}


def points(curve: Curve, x: str, y: str) -> tuple[list[float], list[float]]:
    """The points at which both columns have a number."""
    pairs = [
        (a, b) for a, b in zip(curve.get(x, []), curve.get(y, []), strict=False) if a is not None and b is not None
    ]
    return [a for a, _ in pairs], [b for _, b in pairs]


def training_chart(curve: Curve, title: str) -> str:
    """Training loss as a line, what was held out as dots."""
    steps, losses = points(curve, "step", "train_loss")
    if not steps:
        return ""
    canvas = Canvas(title=title)
    canvas.axes.plot(steps, losses, color=COLOURS["blue"], linewidth=1.6, label="training loss")
    names = {"val_loss": "held out", "val_bpb": "held out, bits per byte", "text_bpb": "web text, bits per byte"}
    for (column, label), colour in zip(names.items(), ("orange", "green", "purple"), strict=True):
        x, y = points(curve, "step", column)
        if x:
            canvas.axes.plot(x, y, "o-", color=COLOURS[colour], markersize=3.5, linewidth=1.2, label=label)
    canvas.axes.set_xlabel("step")
    canvas.axes.legend(fontsize=9)
    return canvas.svg()


def intervals_chart(folder: Path, tables: dict[str, str], title: str, x: str = "") -> str:
    """Shares with their 95 % intervals: a line for each of the tables {file name: label} that exists and has rows."""
    lines = {label: read_table(folder / f"{name}.csv") for name, label in tables.items()}
    lines = {label: rows for label, rows in lines.items() if rows}
    if not lines:
        return ""
    canvas = Canvas(title=title)
    for (label, rows), colour in zip(lines.items(), ("blue", "orange"), strict=False):
        numbers = ([float(row[key]) for row in rows] for key in ("value", "low", "high"))
        canvas.intervals(*numbers, fmt="o-", color=COLOURS[colour], label=label)
    # The tables of one drawing have the same rows.
    rows = next(iter(lines.values()))
    canvas.axes.set_xticks(range(len(rows)), [f"{row['what']}\nn {row['n']}" for row in rows], fontsize=8)
    canvas.axes.set(ylim=(-0.03, 1.03), xlabel=x)
    if len(lines) > 1:
        canvas.axes.legend(fontsize=9, loc="lower right")
    return canvas.svg()


def read_table(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reason_chart(curve: Curve) -> str:
    """The reward of sampled answers while the policy learns from verified results."""
    lines = {"accuracy": "right answers", "format": "well formed", "reward": "reward"}
    if not any(column in curve for column in lines):
        return ""
    canvas = Canvas(title="answers sampled while training")
    for (column, label), colour in zip(lines.items(), ("blue", "green", "orange"), strict=True):
        x, y = points(curve, "step", column)
        if x:
            canvas.axes.plot(x, y, color=COLOURS[colour], alpha=0.25, linewidth=1)
            canvas.axes.plot(x, moving_average(y), color=COLOURS[colour], linewidth=1.8, label=label)
    canvas.axes.set_xlabel("step")
    canvas.axes.legend(fontsize=9)
    return canvas.svg()


def moving_average(values: list[float], weight: float = 0.8) -> list[float]:
    """Exponential moving average, started at the first value."""
    result: list[float] = []
    for value in values:
        result.append(value if not result else weight * result[-1] + (1 - weight) * value)
    return result


def over_optimisation_chart(curve: Curve, numbers: dict[str, Any]) -> str:
    """Proxy and gold against the distance from the start policy: where they part, the reward is being hacked."""
    distance, gold = points(curve, "root_kl", "held_out_gold")
    reached, proxy = points(curve, "root_kl", "held_out_proxy")
    if not reached:
        return ""
    canvas = Canvas(title="what the reward model says and what is true, by distance from the start")
    canvas.axes.plot(
        *sort_points(reached, proxy), "o-", color=COLOURS["orange"], markersize=4, label="reward model (proxy)"
    )
    canvas.axes.plot(
        *sort_points(*points(curve, "root_kl", "held_out_validation")),
        "o-",
        color=COLOURS["blue"],
        markersize=4,
        label="second reward model, never optimised",
    )
    if distance:
        canvas.axes.plot(*sort_points(distance, gold), "o-", color=COLOURS["green"], markersize=4, label="gold")
        alpha, beta = numbers.get("fit_alpha"), numbers.get("fit_beta")
        if alpha is not None and beta is not None:
            import numpy

            d = numpy.linspace(max(min(distance), 0.02), max(distance), 100)
            canvas.axes.plot(
                d,
                gold[0] + d * (alpha - beta * numpy.log(d)),
                "--",
                color=COLOURS["green"],
                alpha=0.6,
                linewidth=1.2,
                label="fit d(α − β ln d)",
            )
    canvas.axes.set_xlabel("√KL from the policy before RLHF")
    canvas.axes.legend(fontsize=9)
    return canvas.svg()


def sort_points(x: list[float], y: list[float]) -> tuple[list[float], list[float]]:
    pairs = sorted(zip(x, y, strict=True))
    return [a for a, _ in pairs], [b for _, b in pairs]


def mixture_chart(kinds: dict[str, int]) -> str:
    """How many conversations of each kind."""
    if not kinds:
        return ""
    rows = sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0]))
    canvas = Canvas(height=0.28 * len(rows) + 0.9, title="conversations by kind")
    names, counts = [words(name) for name, _ in rows], [count for _, count in rows]
    canvas.bars(names, counts, [f"{count:,}" for count in counts], color=COLOURS["blue"])
    return canvas.svg()
