"""Stage report: one page a person can read, from the crawl to the chat model: what went in, what came out, curves, samples.

In: metrics/*.json, plots/, dvc.lock for the hashes. Out: report/index.html, which needs no other file and no network.
Numbers that an input cannot have (truth on real input) are left out. Times are left out too: the same run gives the same
bytes.
"""

import csv
import json
from pathlib import Path
from typing import Any

from pydantic import Field

from crawl2chat.curation import report as curation
from crawl2chat.jsonl import read_jsonl
from crawl2chat.page import COLOURS, SOFT, Canvas, clip, environment, words
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker
from stages.files import read_yaml

MODELS = {"base": "base", "sft": "assistant", "reasoner": "reasoner", "chat": "chat"}
TIMED = ("tokens_per_second", "ms_per_document", "device_hours", "cost", "mfu", "checkpoint_share")
# The exam's rows are grouped by how their names begin: knowledge, honesty, sums, tools, self, text; the rest follows.
TOPICS = (
    "fact",
    "recall",
    "pattern",
    "refusal",
    "false_refusal",
    "arithmetic",
    "addition",
    "subtraction",
    "multiplication",
    "word_problem",
    "tool",
    "craft",
    "identity",
    "system",
    "ending",
    "val_bpb",
    "gold",
    "arena",
)


class ReportParams(Params):
    samples: int = Field(10, ge=0)  # free samples of each model
    questions: int = Field(12, ge=0)  # questions shown with the answers of all models
    characters: int = Field(700, ge=20)  # of a sample, at most


def report(metrics: Path, plots: Path, lock: Path, out: Path, params: ReportParams, tracker: Tracker) -> dict[str, str]:
    """Write the page; its path is the only metric."""
    numbers = {path.stem: without_times(json.loads(path.read_text())) for path in sorted(metrics.glob("*.json"))}
    numbers.pop("report", None)
    evaluation = numbers.get("evaluate", {})
    tables, figures = curation.read(plots / "curation")
    bytes_per_token = numbers.get("tokenizer", {}).get("bytes_per_token") or curation.BYTES_PER_TOKEN
    folders = Path(__file__).parent, Path(curation.__file__).parent
    page = (
        environment(*folders)
        .get_template("report.html.jinja")
        .render(
            m={stage: numbers.get(stage, {}) for stage in (*numbers, *STAGES)},
            charts=draw_charts(numbers, plots),
            **curation.shown(tables, figures, bytes_per_token),
            unreadable=unreadable(numbers),
            models={name: title for name, title in MODELS.items() if name in evaluation},
            skills=skills(evaluation),
            samples=samples(plots / "evaluate" / "samples.jsonl", params),
            questions=questions(plots / "evaluate" / "answers.jsonl", params),
            bill=bill(numbers.get("pretrain", {}), tracker),
            lineage=lineage(lock),
            stages=STAGES,
        )
    )
    out.mkdir(parents=True)
    (out / "index.html").write_text(page, encoding="utf-8")
    tracker.table("waterfall", curation.in_tokens(tables.get("waterfall", []), bytes_per_token))
    return {"path": "report/index.html"}


# Stage → the talk's chapter it belongs to.
STAGES = {
    "crawl": "web",
    "extract": "web",
    "filter": "web",
    "deduplicate": "web",
    "tokenizer": "tokens",
    "tokenize": "tokens",
    "pretrain": "base",
    "probe": "base",
    "conversations": "assistant",
    "sft": "assistant",
    "reason": "thinking",
    "preferences": "preferences",
    "reward": "preferences",
    "rlhf": "preferences",
    "evaluate": "exam",
    "export": "exam",
    "report": "exam",
}


# ---- what the page shows, as plain rows


def without_times(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in TIMED}


def unreadable(numbers: dict[str, Any]) -> list[tuple[str, str, int]]:
    """(stage, reason, count) of records that could not be read."""
    return [
        (stage, reason, count)
        for stage in STAGES
        for reason, count in sorted((numbers.get(stage, {}).get("unreadable") or {}).items())
        if count
    ]


def skills(evaluation: dict[str, Any]) -> list[dict[str, Any]]:
    """A row for each number of the evaluation, a cell for each model."""
    columns = [evaluation[name] for name in MODELS if name in evaluation]
    keys = dict.fromkeys(key for column in columns for key in column if not key.endswith(("_n", "_low", "_high")))
    rows = []
    for key in sorted(keys, key=topic):
        cells = [
            {"value": column.get(key), "low": column.get(f"{key}_low"), "high": column.get(f"{key}_high")}
            for column in columns
        ]
        sizes = [column[f"{key}_n"] for column in columns if column.get(f"{key}_n")]
        values = [cell["value"] for cell in cells if isinstance(cell["value"], (int, float))]
        if not values:
            continue
        # Only shares are drawn as bars: of bits or ratings, more is not a fuller bar.
        share = bool(sizes) and all(0 <= value <= 1 for value in values) and key not in ("gold", "arena")
        rows.append({"name": key, "n": max(sizes, default=None), "share": share, "cells": cells})
    return rows


def topic(key: str) -> int:
    """Which group of the exam's rows a number belongs to."""
    return next((number for number, start in enumerate(TOPICS) if key.startswith(start)), len(TOPICS))


def samples(path: Path, params: ReportParams) -> dict[str, list[dict[str, str]]]:
    """Model → a few of its free samples."""
    found: dict[str, list[dict[str, str]]] = {}
    for row in read_jsonl(path) if path.exists() else []:
        cut = {key: clip(str(row.get(key, "")), params.characters) for key in ("kind", "prompt", "answer", "truth")}
        found.setdefault(row["model"], []).append(cut)
    return {name: found[name][: params.samples] for name in MODELS if name in found}


def questions(path: Path, params: ReportParams) -> list[dict[str, Any]]:
    """The same question to every model: of each kind in turn the first ones, until there are enough."""
    by_question: dict[tuple[str, str], dict[str, Any]] = {}
    for row in read_jsonl(path) if path.exists() else []:
        known = by_question.setdefault(
            (row["kind"], row["id"]), {"kind": row["kind"], "prompt": row["prompt"], "truth": row["truth"]}
        )
        known[row["model"]] = {"text": clip(row["answer"], params.characters), "correct": row["correct"]}
    complete = [row for row in by_question.values() if all(name in row for name in MODELS)]
    kinds = list(dict.fromkeys(row["kind"] for row in complete))
    turns = [[row for row in complete if row["kind"] == kind] for kind in kinds]
    longest = max(map(len, turns), default=0)
    return [rows[turn] for turn in range(longest) for rows in turns if turn < len(rows)][: params.questions]


def bill(pretraining: dict[str, Any], tracker: Tracker) -> dict[str, Any]:
    """What pretraining costs on a stated device, and what it would at the sizes of the talk; empty without a run."""
    if not pretraining.get("flops"):
        return {}
    from crawl2chat.evaluation.costs import H100, costs, for_people

    rows = costs(pretraining["parameters"], pretraining["train_tokens"], pretraining["flops"])
    tracker.table("costs", rows)
    return {"device": str(H100), "rows": for_people(rows)}


def lineage(lock: Path) -> list[dict[str, Any]]:
    """Every stage with what it made, by hash, as dvc.lock has it."""
    if not lock.exists():
        return []
    entries = read_yaml(lock).get("stages", {})
    kept = {stage: entries[stage] for stage in STAGES if stage in entries and stage != "report"}
    return [
        {
            "stage": stage,
            "outs": [
                {"path": out["path"], "hash": out["md5"].removesuffix(".dir")[:12], "size": out.get("size")}
                for out in entry.get("outs", [])
                # Metrics hold times: their hash differs between runs that are the same.
                if "md5" in out and not out["path"].startswith("metrics")
            ],
        }
        for stage, entry in kept.items()
    ]


# ---- charts


def draw_charts(numbers: dict[str, Any], plots: Path) -> dict[str, str]:
    """Name → SVG, for each chart whose numbers exist."""
    drawings = {
        "pretrain": lambda: training_chart(
            read_curve(plots / "pretrain.csv"), "tokens seen → surprise at the next one"
        ),
        "recall": lambda: intervals_chart(
            plots / "probe",
            {"recall": "completes the sentence", "answered": "answers the question (sampled)"},
            "a fact is recalled, by the number of its mentions",
            "mentions in the corpus",
        ),
        "regurgitation": lambda: intervals_chart(
            plots / "probe", {"regurgitation": ""}, "sixteen tokens recited word for word", "occurrences in training"
        ),
        "shots": lambda: intervals_chart(
            plots / "probe", {"shots": ""}, "a pattern continued, by examples before it", "examples in the prompt"
        ),
        "prompted": lambda: intervals_chart(
            plots / "probe", {"prompted": ""}, "facts answered by a prompt alone, before any fine-tuning"
        ),
        "sft": lambda: training_chart(read_curve(plots / "sft.csv"), "loss on the assistant's words"),
        "reason": lambda: reason_chart(read_curve(plots / "reason.csv")),
        "reward": lambda: training_chart(read_curve(plots / "reward.csv"), "ranking loss"),
        "rlhf": lambda: overoptimisation_chart(read_curve(plots / "rlhf.csv"), numbers.get("rlhf", {})),
        "mixture": lambda: mixture_chart(numbers.get("conversations", {}).get("kinds") or {}),
    }
    return {name: svg for name, draw in drawings.items() if (svg := draw())}


def read_curve(path: Path) -> dict[str, list[float | None]]:
    """Columns of a CSV; None where a number was not measured. Empty without the file."""
    rows = read_table(path)
    return {name: [float(row[name]) if row[name] else None for row in rows] for name in (rows[0] if rows else {})}


def measured(curve: dict[str, list[float | None]], x: str, y: str) -> tuple[list[float], list[float]]:
    """The points at which both columns have a number."""
    pairs = [
        (a, b) for a, b in zip(curve.get(x, []), curve.get(y, []), strict=False) if a is not None and b is not None
    ]
    return [a for a, _ in pairs], [b for _, b in pairs]


def training_chart(curve: dict[str, list[float | None]], title: str) -> str:
    """Training loss as a line, what was held out as dots."""
    steps, losses = measured(curve, "step", "train_loss")
    if not steps:
        return ""
    canvas = Canvas(title=title)
    canvas.axes.plot(steps, losses, color=COLOURS["blue"], linewidth=1.6, label="training loss")
    names = {"val_loss": "held out", "val_bpb": "held out, bits per byte", "text_bpb": "web text, bits per byte"}
    for (column, label), colour in zip(names.items(), ("orange", "green", "purple"), strict=True):
        x, y = measured(curve, "step", column)
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
        value, low, high = ([float(row[key]) for row in rows] for key in ("value", "low", "high"))
        spread = [[v - a for v, a in zip(value, low, strict=True)], [b - v for v, b in zip(value, high, strict=True)]]
        canvas.axes.errorbar(
            range(len(rows)),
            value,
            spread,
            fmt="o-",
            color=COLOURS[colour],
            markersize=4,
            linewidth=1.2,
            capsize=3,
            label=label,
        )
    rows = next(iter(lines.values()))  # the tables of one drawing have the same lines
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


def reason_chart(curve: dict[str, list[float | None]]) -> str:
    """The reward of sampled answers while the policy learns from verified results."""
    lines = {"accuracy": "right answers", "format": "well formed", "reward": "reward"}
    if not any(column in curve for column in lines):
        return ""
    canvas = Canvas(title="answers sampled while training")
    for (column, label), colour in zip(lines.items(), ("blue", "green", "orange"), strict=True):
        x, y = measured(curve, "step", column)
        if x:
            canvas.axes.plot(x, y, color=COLOURS[colour], alpha=0.25, linewidth=1)
            canvas.axes.plot(x, smooth(y), color=COLOURS[colour], linewidth=1.8, label=label)
    canvas.axes.set_xlabel("step")
    canvas.axes.legend(fontsize=9)
    return canvas.svg()


def smooth(values: list[float], weight: float = 0.8) -> list[float]:
    """Exponential moving average, started at the first value."""
    result: list[float] = []
    for value in values:
        result.append(value if not result else weight * result[-1] + (1 - weight) * value)
    return result


def overoptimisation_chart(curve: dict[str, list[float | None]], numbers: dict[str, Any]) -> str:
    """Proxy and gold against the distance from the start policy: where they part, the reward is being hacked."""
    distance, gold = measured(curve, "root_kl", "held_out_gold")
    reached, proxy = measured(curve, "root_kl", "held_out_proxy")
    if not reached:
        return ""
    canvas = Canvas(title="what the reward model says and what is true, by distance from the start")
    canvas.axes.plot(
        *ordered(reached, proxy), "o-", color=COLOURS["orange"], markersize=4, label="reward model (proxy)"
    )
    if distance:
        canvas.axes.plot(*ordered(distance, gold), "o-", color=COLOURS["green"], markersize=4, label="gold")
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


def ordered(x: list[float], y: list[float]) -> tuple[list[float], list[float]]:
    pairs = sorted(zip(x, y, strict=True))
    return [a for a, _ in pairs], [b for _, b in pairs]


def mixture_chart(kinds: dict[str, int]) -> str:
    """How many conversations of each kind."""
    if not kinds:
        return ""
    rows = sorted(kinds.items(), key=lambda pair: (pair[1], pair[0]))
    canvas = Canvas(height=0.28 * len(rows) + 0.9, title="conversations by kind")
    bars = canvas.axes.barh(
        [words(name) for name, _ in rows], [count for _, count in rows], color=COLOURS["blue"], height=0.65
    )
    canvas.axes.bar_label(bars, padding=4, fontsize=9, color=SOFT)
    canvas.axes.grid(axis="y", visible=False)
    return canvas.svg()
