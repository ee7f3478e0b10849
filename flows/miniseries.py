"""A miniseries: the same pretraining at several depths, and the law by which its loss falls with compute.

    python -m flows.miniseries [--depths 1,2,3,4] [--root workspaces/real] [--set pretrain.tokens_per_parameter=2]

In: data/tokens and models/tokenizer of the project, or of a workspace. Out: sweeps/miniseries/ with a folder for each
depth, runs.csv, law.json and index.html. All but the largest depth predict the largest, all together predict the next.

Each depth is a DVC project of one stage in a folder of its own. So a finished depth is not run again, a killed one goes
on from its checkpoint, and models/base stays as it is. DVC's experiments would need committed code, and would put each
depth's model in the place of the project's. In MLflow each depth is a run of the experiment `pretrain`.
"""

# A deployment's entry point has to be a flow, so Prefect is imported at the top here as in flows/pipeline.py.
import argparse
import csv
import json
import logging
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State

from crawl2chat import logs
from crawl2chat.errors import UserError
from flows import stage_process
from flows.mlflow_links import PipelineRun
from flows.overrides import nested, overlay, read_settings, write_yaml
from flows.stage_process import Result, last_run
from flows.workspace import copy, make_repository
from stages.files import read_yaml, write_json
from stages.mlflow_tracker import tracking_uri

PLACE = Path("sweeps") / "miniseries"
# What every depth reads, and the stage that makes it.
INPUTS = {"data/tokens": "tokenize", "models/tokenizer": "tokenizer"}
AXES = {"flops": "compute, FLOPs", "parameters": "parameters", "train_tokens": "training tokens"}
# What the depth decides, unless it is set on the command line; what params.yaml says of it is for another model.
DECIDED = (
    "context hidden_size num_hidden_layers num_attention_heads num_key_value_heads head_dim intermediate_size "
    "tie_word_embeddings batch_rows epochs steps muon_lr adamw_lr"
).split()
# Passes over the same text that are nearly worth as many over fresh text (Muennighoff et al. 2023).
REPEATS = 4

# (depth, folder, environment) → what became of the depth.
Runner = Callable[[int, Path, dict[str, str]], Result]

logger = logging.getLogger(__name__)


# ---- one depth


def prepare(root: Path, depth: int, settings: dict[str, Any]) -> Path:
    """The folder of one depth, a project of the stage `pretrain` alone; its parameters are checked."""
    from stages.pretrain import PretrainParams
    from stages.settings import validate

    folder = root / PLACE / f"depth-{depth}"
    folder.mkdir(parents=True, exist_ok=True)
    copy(root, folder, ("crawl2chat", "stages", ".dvcignore"))
    write_yaml(folder / "dvc.yaml", {"stages": {"pretrain": read_yaml(root / "dvc.yaml")["stages"]["pretrain"]}})
    params = read_yaml(root / "params.yaml")
    own = {"preset": "tiny", "init_from": "inputs/model"} | dict.fromkeys(DECIDED)
    write_yaml(folder / "params.yaml", {"seed": params["seed"], "pretrain": (params["pretrain"] or {}) | own})
    overlay(folder / "params.yaml", nested(settings))
    overlay(folder / "params.yaml", {"pretrain": {"depth": depth}})
    validate("pretrain", PretrainParams, read_yaml(folder / "params.yaml")["pretrain"])
    for name in INPUTS:  # links: DVC hashes what is behind them
        link = folder / name
        link.parent.mkdir(exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to((root / name).resolve(), target_is_directory=True)
    start = folder / "inputs" / "model"
    start.mkdir(parents=True, exist_ok=True)
    (start / "README.md").write_text("A miniseries starts from fresh weights.\n")
    write_machine(root, folder)
    make_repository(root, folder)
    return folder


def write_machine(root: Path, folder: Path) -> None:
    """machine.yaml without the sections of stages that the folder does not have."""
    machine, stages = root / "machine.yaml", read_yaml(root / "dvc.yaml")["stages"]
    values = read_yaml(machine) if machine.exists() else {}
    other = set(stages) - {"pretrain"}
    write_yaml(folder / "machine.yaml", {key: value for key, value in values.items() if key not in other})


def read_run(folder: Path, depth: int) -> dict[str, Any]:
    """A finished depth as a row of the table; without time and cost where it ran on another machine."""
    metrics = json.loads((folder / "metrics" / "pretrain.json").read_text(encoding="utf-8"))
    facts = metrics | last_run(folder, "pretrain").get("facts", {})
    keys = ("parameters", "train_tokens", "flops", "val_loss", "val_bpb")
    return {
        "depth": depth,
        **{key: metrics[key] for key in keys},
        "epochs": metrics["train_tokens"] / corpus(folder)["train"]["tokens"],
        "device_seconds": 3600 * facts["device_hours"] if "device_hours" in facts else None,
        "cost": facts.get("cost"),
    }


def corpus(root: Path) -> dict[str, Any]:
    return json.loads((root / "data" / "tokens" / "meta.json").read_text(encoding="utf-8"))


def plan(folder: Path, depth: int) -> dict[str, Any]:
    """Parameters, tokens and FLOPs of a depth that has not been run, under the parameters of the one in `folder`."""
    from crawl2chat.model.config import flops_per_token, parameter_count
    from crawl2chat.model.presets import context_of, recipe, shape
    from stages.pretrain import PretrainParams

    section = read_yaml(folder / "params.yaml")["pretrain"] | {"depth": depth}
    values = {key: value for key, value in PretrainParams(**section).model_dump().items() if value is not None}
    text = corpus(folder)
    config = shape(values, text["vocab_size"], depth=depth)
    context = context_of(config, values)
    schedule = recipe(config, values, context, text["train"]["tokens"])
    step = schedule["batch_rows"] * context
    tokens = (schedule["steps"] or round(values["epochs"] * text["train"]["tokens"] / step)) * step
    return {
        "depth": depth,
        "parameters": parameter_count(config),
        "train_tokens": tokens,
        "flops": tokens * flops_per_token(config, context),
    }


# ---- all depths


def sweep(
    root: Path, depths: list[int], settings: dict[str, Any], run: Runner, env: dict[str, str]
) -> tuple[list[dict[str, Any]], str]:
    """Run every depth, the smallest first; the rows of those that finished, and the failure of the next one, or ""."""
    rows = []
    for depth in depths:
        folder = prepare(root, depth, settings)
        result = run(depth, folder, env)
        if result.outcome == "Failed":
            return rows, f"depth {depth}: {result.reason}"
        rows.append(read_run(folder, depth) | {"state": result.outcome})
    return rows, ""


def study(root: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Fit the laws, test them on the largest depth, predict the next; write the files; the content of law.json."""
    from crawl2chat.evaluation.scaling import draw, fit_law
    from crawl2chat.page import environment

    losses = [row["val_loss"] for row in rows]
    laws = {axis: fit_law([row[axis] for row in rows], losses) for axis in AXES}
    results: dict[str, Any] = {
        "laws": {
            axis: {"floor": law.floor, "scale": law.scale, "exponent": law.exponent, "n": law.n}
            for axis, law in laws.items()
        }
    }
    following = plan(root / PLACE / f"depth-{rows[-1]['depth']}", rows[-1]["depth"] + 1)
    ahead = laws["flops"].predict(following["flops"])
    results["next"] = following | bounds(ahead)
    law, point = laws["flops"], (f"depth {following['depth']}, predicted by all", following["flops"], ahead)
    if len(rows) > 2:
        smaller, largest = rows[:-1], rows[-1]
        earlier = fit_law([row["flops"] for row in smaller], losses[:-1])
        guess = earlier.predict(largest["flops"])
        results["tried"] = {
            "depth": largest["depth"],
            **bounds(guess),
            "measured": largest["val_loss"],
            "error": guess.value / largest["val_loss"] - 1,
            "inside": guess.low <= largest["val_loss"] <= guess.high if earlier.freedom else None,
        }
        if earlier.freedom:  # else it has no band to show
            law, point = earlier, (f"depth {largest['depth']}, predicted by the smaller", largest["flops"], guess)
    charts = [draw(rows, "flops", AXES["flops"], law, point)]
    charts += [draw(rows, axis, AXES[axis], laws[axis]) for axis in ("parameters", "train_tokens")]
    place = root / PLACE
    with (place / "runs.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    write_json(place / "law.json", results)
    template = environment(Path(__file__).parent).get_template("miniseries.html.jinja")
    page = template.render(table=table(rows), sentences=sentences(results, rows), charts=charts)
    (place / "index.html").write_text(page, encoding="utf-8")
    return results


def bounds(guess: Any) -> dict[str, float | None]:
    """A prediction for JSON; an interval without bounds has none."""
    finite = math.isfinite(guess.high)
    return {"loss": guess.value, "low": guess.low if finite else None, "high": guess.high if finite else None}


# ---- for people


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """The runs; the first row is the head."""
    from crawl2chat.evaluation.costs import amount, few_digits

    head = ["depth", "parameters", "tokens", "epochs", "FLOPs", "val loss", "bits per byte", "device-seconds", "cost"]
    return [head] + [
        [
            str(row["depth"]),
            amount(row["parameters"]),
            amount(row["train_tokens"]),
            f"{row['epochs']:.2f}" + ("*" if row["epochs"] > 1 else ""),
            f"{row['flops']:.2e}",
            f"{row['val_loss']:.4f}",
            f"{row['val_bpb']:.4f}",
            "–" if row["device_seconds"] is None else f"{row['device_seconds']:,.1f}",
            "–" if row["cost"] is None else f"${few_digits(row['cost'])}",
        ]
        for row in rows
    ]


def sentences(results: dict[str, Any], rows: list[dict[str, Any]]) -> list[str]:
    """The results in words."""
    lines = []
    for axis, law in results["laws"].items():
        name = {"flops": "C", "parameters": "N", "train_tokens": "D"}[axis]
        floor = f"{law['floor']:.3f} + " if law["floor"] else ""
        lines.append(f"{AXES[axis]}: L = {floor}{law['scale']:.4g} {name}^-{law['exponent']:.4f}")
    if not results["laws"]["flops"]["floor"]:
        lines.append(
            f"With {len(rows)} depths a floor of the loss looks like a smaller exponent, and is taken as zero."
        )
    if "tried" in results:
        tried = results["tried"]
        verdict = {True: "inside the interval", False: "outside the interval", None: "no interval from two"}
        lines.append(
            f"Depth {tried['depth']}, predicted by the smaller ones: {span(tried)}; "
            f"measured {tried['measured']:.4f}, {100 * abs(tried['error']):.1f} % "
            f"{'below' if tried['error'] > 0 else 'above'} it, {verdict[tried['inside']]}."
        )
    ahead = results["next"]
    lines.append(f"Depth {ahead['depth']}, with {ahead['flops']:.2e} FLOPs: {span(ahead)}.")
    most = max(row["epochs"] for row in rows)
    if most > 1:
        lines.append(
            f"* The text is shorter than the budget of the depth and is read up to {most:.1f} times"
            + (f": past {REPEATS} times a law for fresh text promises too much." if most > REPEATS else ".")
        )
    lines.append(
        "Tokens grow with parameters in this series: the laws of N and D are one law in two units, not those of size "
        "at unlimited data or of data at unlimited size."
    )
    return lines


def span(guess: dict[str, Any]) -> str:
    bounds = f" (95 %: {guess['low']:.4f} to {guess['high']:.4f})" if guess["low"] is not None else " (no interval)"
    return f"{guess['loss']:.4f}{bounds}"


def terminal(rows: list[dict[str, Any]], results: dict[str, Any]) -> str:
    cells = table(rows)
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join([*lines, "", *sentences(results, rows), "", f"charts: {PLACE}/index.html"])


# ---- the flow


@task(task_run_name="depth {depth}", cache_policy=None, persist_result=False)
def run_depth(depth: int, folder: Path, env: dict[str, str]) -> State:
    """One depth."""
    result = stage_process.run_stage(folder, "pretrain", force=False, log=get_run_logger().info, env=env)
    kind = Failed if result.outcome == "Failed" else Completed
    return kind(name=result.outcome, message=result.reason)


@flow(name="miniseries", log_prints=True)
def miniseries(depths: list[int], overrides: dict[str, Any] | None = None, root: Path | None = None) -> State:
    """Pretrain at several depths and fit a scaling law.

    Args:
        depths: such as [1, 2, 3, 4].
        overrides: values for params.yaml, such as {"pretrain.tokens_per_parameter": 2}.
        root: the project or a workspace; the current folder when empty.
    """
    root, depths = (root or Path.cwd()).resolve(), sorted(set(depths))
    check(root, depths)
    stage_process.allow()

    def run(depth: int, folder: Path, env: dict[str, str]) -> Result:
        state = run_depth(depth, folder, env, return_state=True)
        return Result(state.name, state.message or "")

    with PipelineRun(root, "pretrain", "miniseries") as parent:
        env = stage_process.environment(
            MLFLOW_TRACKING_URI=tracking_uri(root),
            CRAWL2CHAT_FLOW_RUN=str(flow_run.id or ""),
            CRAWL2CHAT_PIPELINE_RUN=parent.run_id or "",
        )
        try:
            rows, failure = sweep(root, depths, overrides or {}, run, env)
        except BaseException:  # cancelled: the stage lives in another process group and would go on
            stage_process.stop_all()
            raise
        results = study(root, rows) if len(rows) > 1 else None
        note(parent, root, results, failure)
    if rows:
        create_table_artifact(rows, key="miniseries", description="The runs of the miniseries")
    if results:
        print(terminal(rows, results))
    return Failed(message=failure) if failure else Completed(message=f"{len(rows)} depths")


def note(parent: PipelineRun, root: Path, results: dict[str, Any] | None, failure: str) -> None:
    """The law and its files in the run above those of the depths."""
    if not parent.run_id:
        return
    if results:
        for name in ("index.html", "runs.csv", "law.json"):
            parent.attempt(lambda name=name: parent.client.log_artifact(parent.run_id, str(root / PLACE / name)))
        law = results["laws"]["flops"] | {"tried.error": results.get("tried", {}).get("error")}
        for key, value in law.items():
            if value is not None:
                parent.attempt(
                    lambda key=key, value=value: parent.client.log_metric(parent.run_id, f"law.{key}", value)
                )
    parent.attempt(lambda: parent.client.set_terminated(parent.run_id, "FAILED" if failure else "FINISHED"))


def check(root: Path, depths: list[int]) -> None:
    """UserError when there is nothing to train on, or no series."""
    if len(depths) < 2 or depths[0] < 1:
        raise UserError("a miniseries needs two depths or more, each of at least 1, such as --depths 1,2,3,4.")
    for name, stage in INPUTS.items():
        if not (root / name).exists():
            raise UserError(f"{name} is not there; run `dvc repro {stage}` first, which makes it.")


def main(arguments: list[str]) -> int:
    """The command line; 0, or 1 when a depth failed."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.miniseries", description="Pretrain at several depths and fit a scaling law."
    )
    parser.add_argument("--depths", default="1,2,3,4", help="such as 1,2,3,4")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project or a workspace")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values for params.yaml")
    options = parser.parse_args(arguments)
    logs.configure()
    try:
        depths = read_depths(options.depths)
        check(options.root, depths)
        state = miniseries(depths, read_settings(options.set), options.root, return_state=True)
        if not state.is_completed():
            raise UserError(f"{state.message.removesuffix('.')}.")
    except UserError as error:
        logger.error(error)
        return 1
    return 0


def read_depths(text: str) -> list[int]:
    """ "1,2,4" → [1, 2, 4]"""
    try:
        return sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise UserError(f"{text!r} is no list of depths; write numbers such as 1,2,3,4.") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
