"""What a flow run's page shows: the plan, and for each stage that ran its numbers, its curve and its MLflow run."""

import base64
import csv
import json
import os
from pathlib import Path
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from flows.dag import Dag
from flows.stage_process import Result, last_run

# Rows of a table of numbers.
ROWS = 30


def key_of(*parts: str) -> str:
    """An artifact's key: lower-case letters, digits and dashes."""
    return "-".join(parts).lower().replace("_", "-")


def mlflow_page() -> str:
    """Where MLflow's page is; `make ui` says it."""
    return os.environ.get("CRAWL2CHAT_MLFLOW_PAGE", "http://127.0.0.1:5000")


def run_link(run_id: str) -> str:
    """The address of a run in MLflow, which finds the experiment by itself."""
    return f"{mlflow_page()}/#/experiments/0/runs/{run_id}?workflowType=machine_learning"


def show_plan(stale: frozenset[str], dag: Dag) -> None:
    """Which stages will run, before any has."""
    rows = [{"stage": stage, "plan": "run" if stage in stale else "nothing changed"} for stage in dag.upstream]
    create_table_artifact(rows, key="plan", description="What is going to run")


def show_stages(rows: list[dict[str, str]]) -> None:
    """What became of each stage, each with its run in MLflow."""
    lines = ["| stage | state | why | MLflow |", "| --- | --- | --- | --- |"]
    for row in rows:
        run_id = row["mlflow run"]
        link = f"[{run_id[:8]}]({run_link(run_id)})" if run_id else ""
        lines.append(f"| {row['stage']} | {row['state']} | {row['reason']} | {link} |")
    create_markdown_artifact("\n".join(lines), key="stages", description="What became of each stage")


def show_stage(root: Path, stage: str, result: Result) -> None:
    """A stage's numbers and its run in MLflow; its curve as a picture."""
    metrics = root / "metrics" / f"{stage}.json"
    numbers = flat(json.loads(metrics.read_text(encoding="utf-8"))) if metrics.exists() else {}
    run_id = last_run(root, stage).get("mlflow_run")
    lines = [f"**{stage}**: {result.reason}", ""]
    lines += [f"[Its run in MLflow]({run_link(run_id)})", ""] if run_id and result.outcome == "Ran" else []
    lines += ["| number | value |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in list(numbers.items())[:ROWS]]
    if len(numbers) > ROWS:
        lines.append(f"\n{len(numbers) - ROWS} more in metrics/{stage}.json")
    sample = sample_of(root, stage)
    lines += ["", f"> {sample}"] if sample else []
    create_markdown_artifact("\n".join(lines), key=key_of("stage", stage), description=f"Numbers of {stage}")
    curve = root / "plots" / f"{stage}.csv"
    if curve.exists() and (picture := draw(curve, stage)):
        create_image_artifact(picture, key=key_of("curve", stage), description=f"Loss of {stage}")


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} → {"a.b": 1}"""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def sample_of(root: Path, stage: str) -> str:
    """The last text that the stage's model wrote, where it keeps some."""
    for path in sorted((root / "plots" / stage).glob("*.jsonl")):
        if lines := path.read_text(encoding="utf-8").splitlines():
            return " · ".join(f"{key}: {value}" for key, value in json.loads(lines[-1]).items())[:500]
    return ""


def draw(curve: Path, title: str) -> str:
    """The first column of losses or rewards over the steps, as an address that holds the whole picture."""
    from crawl2chat.page import Canvas

    with curve.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    column = next((name for name in rows[0] if name.endswith(("loss", "reward"))), "") if rows else ""
    points = [(float(row["step"]), float(row[column])) for row in rows if column and row.get("step") and row[column]]
    if not points:
        return ""
    canvas = Canvas(title=f"{title}: {column}")
    canvas.axes.plot(*zip(*points, strict=True))
    return "data:image/svg+xml;base64," + base64.b64encode(canvas.svg().encode()).decode()
