"""Stage report: one page about a run, from the crawl to the chat model: what went in, what came out, curves, samples.

In: metrics/*.json, plots/, dvc.lock for the hashes. Out: report/index.html, which needs no other file and no network.
Numbers that an input cannot have (truth on real input) are left out. The same run gives the same bytes.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import Field

from crawl2chat import charts
from crawl2chat.curation.report import chapter as curation
from crawl2chat.curation.report.inputs import BYTES_PER_TOKEN
from crawl2chat.jsonl import read_jsonl
from crawl2chat.lineage import draw
from crawl2chat.page import clip, environment
from crawl2chat.parameters import Params
from crawl2chat.splits import position
from crawl2chat.tracking import Tracker
from stages.files import read_yaml
from stages.lineage import read_steps

MODELS = {"base": "base", "sft": "assistant", "reasoner": "reasoner", "chat": "chat"}
# The exam's rows are grouped by the beginnings of their names: knowledge, honesty, sums, tools, self, text, others.
TOPICS = (
    "fact recall pattern refusal false_refusal arithmetic addition subtraction multiplication word_problem tool "
    "craft identity system ending val_bpb gold arena"
).split()


# Rows of the conversation exam.
TALK = ("conversation", "talk_", "run_on", "empty", "false_refusal_in_talk", "search")


class ReportParams(Params):
    # Free samples of each model.
    samples: int = Field(10, ge=0)
    # Questions that stand with the answers of all models.
    questions: int = Field(12, ge=0)
    # Of a sample, at most.
    characters: int = Field(700, ge=20)
    # Conversations of the exam, whole, with the answers of the chat model.
    transcripts: int = Field(12, ge=0)


def report(metrics: Path, plots: Path, lock: Path, out: Path, params: ReportParams, tracker: Tracker) -> dict[str, str]:
    """Write the page; its path is the only metric."""
    numbers = {path.stem: json.loads(path.read_text()) for path in sorted(metrics.glob("*.json"))}
    numbers.pop("report", None)
    evaluation = numbers.get("evaluate", {})
    tables, figures = curation.read(plots / "curation")
    bytes_per_token = numbers.get("tokenizer", {}).get("bytes_per_token") or BYTES_PER_TOKEN
    folders = Path(__file__).parent, curation.TEMPLATE.parent
    page = (
        environment(*folders)
        .get_template("report.html.jinja")
        .render(
            m={stage: numbers.get(stage, {}) for stage in (*numbers, *STAGES)},
            charts=draw_charts(numbers, plots),
            **curation.chapter_values(tables, figures, bytes_per_token),
            unreadable=unreadable(numbers),
            models={name: title for name, title in MODELS.items() if name in evaluation},
            skills=skills(evaluation, talk=False),
            talk=skills(evaluation, talk=True),
            honesty=honesty(plots / "evaluate" / "answers.jsonl", params),
            transcripts=transcripts(plots / "evaluate" / "talks.jsonl", params),
            samples=samples(plots / "evaluate" / "samples.jsonl", params),
            questions=questions(plots / "evaluate" / "answers.jsonl", params),
            bill=bill(numbers.get("pretrain", {}), tracker),
            lineage=lineage(lock),
            way=way(lock),
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
    "curation_report": "web",
    "index": "web",
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


def unreadable(numbers: dict[str, Any]) -> list[tuple[str, str, int]]:
    """(stage, reason, count) of records that could not be read."""
    return [
        (stage, reason, count)
        for stage in STAGES
        for reason, count in sorted((numbers.get(stage, {}).get("unreadable") or {}).items())
        if count
    ]


def skills(evaluation: dict[str, Any], talk: bool) -> list[dict[str, Any]]:
    """A row for each number of the evaluation, a cell for each model: those of the conversations, or all others."""
    columns = [evaluation[name] for name in MODELS if name in evaluation]
    keys = dict.fromkeys(key for column in columns for key in column if not key.endswith(("_n", "_low", "_high")))
    rows = []
    for key in sorted((key for key in keys if key.startswith(TALK) == talk), key=topic):
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
    by_model: dict[str, list[dict[str, str]]] = {}
    for row in read_jsonl(path) if path.exists() else []:
        cut = {key: clip(str(row.get(key, "")), params.characters) for key in ("kind", "prompt", "answer", "truth")}
        by_model.setdefault(row["model"], []).append(cut)
    return {name: by_model[name][: params.samples] for name in MODELS if name in by_model}


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


def honesty(path: Path, params: ReportParams) -> list[dict[str, Any]]:
    """Twenty questions, half about facts and half about names that exist nowhere, with every model's answer."""
    asked: dict[tuple[str, str], dict[str, Any]] = {}
    for row in read_jsonl(path) if path.exists() else []:
        if row["kind"] in ("fact", "refusal"):
            known = asked.setdefault((row["kind"], row["id"]), {key: row[key] for key in ("kind", "prompt", "truth")})
            known[row["model"]] = {"text": clip(row["answer"], params.characters), "correct": row["correct"]}
    rows = [asked[key] for key in sorted(asked, key=lambda key: position(key[1]))]
    rows = [row for row in rows if all(name in row for name in MODELS)]
    return [row for kind in ("fact", "refusal") for row in [row for row in rows if row["kind"] == kind][:10]]


def transcripts(path: Path, params: ReportParams) -> list[dict[str, Any]]:
    """Conversations of the chat model, of each source and length some, chosen by a hash of their names."""
    talks: dict[str, dict[str, Any]] = {}
    for row in read_jsonl(path) if path.exists() else []:
        if row["model"] == "chat":
            named = {key: row[key] for key in ("id", "source", "system")}
            talk = talks.setdefault(f"{row['source']} {row['id']}", named | {"turns": []})
            talk["turns"].append(row | {"answer": clip(row["answer"], params.characters)})
    long = [name for name in talks if len(talks[name]["turns"]) > 2] or list(talks)
    return [talks[name] for name in sorted(long, key=position)[: params.transcripts]]


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
                # The page shows the metrics themselves.
                if "md5" in out and not out["path"].startswith("metrics")
            ],
        }
        for stage, entry in kept.items()
    ]


def way(lock: Path) -> str:
    """The hand-overs between the stages as a picture, without the report's own; empty without a run."""
    steps = [step for step in read_steps(lock) if step.name != "report"]
    return draw(steps) if steps else ""


# ---- charts


def draw_charts(numbers: dict[str, Any], plots: Path) -> dict[str, str]:
    """Name → SVG, for each chart whose numbers exist."""
    drawings = {
        "pretrain": lambda: charts.training_chart(
            charts.read_curve(plots / "pretrain.csv"), "tokens seen → surprise at the next one"
        ),
        "recall": lambda: charts.intervals_chart(
            plots / "probe",
            {"recall": "completes the sentence", "answered": "answers the question (sampled)"},
            "a fact is recalled, by the number of its mentions",
            "mentions in the corpus",
        ),
        "regurgitation": lambda: charts.intervals_chart(
            plots / "probe", {"regurgitation": ""}, "sixteen tokens recited word for word", "occurrences in training"
        ),
        "shots": lambda: charts.intervals_chart(
            plots / "probe", {"shots": ""}, "a pattern continued, by examples before it", "examples in the prompt"
        ),
        "prompted": lambda: charts.intervals_chart(
            plots / "probe", {"prompted": ""}, "facts answered by a prompt alone, before any fine-tuning"
        ),
        "calibration": lambda: charts.intervals_chart(
            plots / "evaluate",
            {"calibration_sft": "assistant", "calibration_chat": "chat"},
            "facts: how sure the model was, and how often it was right",
            "probability of the least probable token of the answer",
        ),
        "sft": lambda: charts.training_chart(charts.read_curve(plots / "sft.csv"), "loss on the assistant's words"),
        "reason": lambda: charts.reason_chart(charts.read_curve(plots / "reason.csv")),
        "reward": lambda: charts.training_chart(charts.read_curve(plots / "reward.csv"), "ranking loss"),
        "rlhf": lambda: charts.over_optimisation_chart(charts.read_curve(plots / "rlhf.csv"), numbers.get("rlhf", {})),
        "mixture": lambda: charts.mixture_chart(numbers.get("conversations", {}).get("kinds") or {}),
    }
    return {name: svg for name, draw in drawings.items() if (svg := draw())}
