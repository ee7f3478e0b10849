"""A miniseries: the same pretraining at several depths, and the law by which its loss falls with compute.

    python -m flows.miniseries [--depths 1,2,3,4] [--root workspaces/real] [--set pretrain.tokens_per_parameter=2]

In: data/tokens and models/tokenizer of the project, or of a workspace. Out: sweeps/miniseries/ with a trial for each
depth (flows/trials.py), runs.csv, law.json and index.html. All but the largest depth predict the largest, all together
predict the next. In MLflow each depth is a run of the experiment `pretrain`.
"""

# A deployment's entry point has to be a flow, so Prefect is imported at the top here as in flows/pipeline.py.
import argparse
import csv
import json
import math
import sys
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, State

from crawl2chat.errors import UserError
from flows.mlflow_links import PipelineRun
from flows.overrides import check as check_params
from flows.overrides import nested, read_settings
from flows.prefect_server import server_address
from flows.stage_process import last_run
from flows.states import in_a_sentence, message_of
from flows.sweep import numbers
from flows.trials import (
    Runner,
    Trial,
    failure,
    obey_signals,
    prepare,
    run_as_task,
    run_stages,
    run_trials,
)
from stages.files import read_yaml, write_json
from stages.program import program

PLACE = Path("sweeps") / "miniseries"
AXES = {"flops": "compute, FLOPs", "parameters": "parameters", "train_tokens": "training tokens"}
# What the depth decides, unless it is set on the command line; what params.yaml says of it is for another model.
DECIDED = (
    "context hidden_size num_hidden_layers num_attention_heads num_key_value_heads head_dim intermediate_size "
    "tie_word_embeddings batch_rows epochs steps muon_lr adamw_lr"
).split()
# Passes over the same text that are nearly worth as many over fresh text (Muennighoff et al. 2023).
REPEATS = 4


# ---- one depth


def trial(root: Path, depth: int, settings: dict[str, Any]) -> Trial:
    """The trial of one depth, from fresh weights; its parameters are checked."""
    given = {"pretrain.preset": "tiny", "pretrain.init_from": "inputs/model"}
    given |= {f"pretrain.{key}": None for key in DECIDED} | settings | {"pretrain.depth": depth}
    check_params(root, [nested(given)])
    return Trial(f"depth {depth}", prepare(root, root / PLACE / f"depth-{depth}", ["pretrain"], given), ["pretrain"])


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


def series(root: Path, depths: list[int], settings: dict[str, Any], run: Runner) -> list[dict[str, Any]]:
    """Run every depth, the smallest first, and tell the law; a row for each depth. UserError where one failed."""
    trials = [trial(root, depth, settings) for depth in depths]
    with PipelineRun(root, "pretrain", "miniseries") as parent:
        results = run_trials(parent, trials, 1, run)
        finished = zip(depths, trials, results, strict=True)
        rows = [
            read_run(one.folder, depth) | {"state": result.outcome}
            for depth, one, result in finished
            if result.outcome != "Failed"
        ]
        if len(rows) > 1:
            law = study(root, rows)
            note(parent, root, law)
            print(terminal(rows, law))
        parent.end(failure(results))
    if failed := failure(results):
        raise UserError(failed)
    return rows


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


@flow(name="miniseries", log_prints=True)
@in_a_sentence
def miniseries(depths: list[int], overrides: dict[str, Any] | None = None, root: Path | None = None) -> State:
    """Pretrain at several depths and fit a scaling law.

    Args:
        depths: such as [1, 2, 3, 4].
        overrides: values for params.yaml, such as {"pretrain.tokens_per_parameter": 2}.
        root: the project or a workspace; the current folder when empty.
    """
    check(depths)
    rows = series((root or Path.cwd()).resolve(), sorted(set(depths)), overrides or {}, run_as_task)
    create_table_artifact(rows, key="miniseries", description="The runs of the miniseries")
    return Completed(message=f"{len(rows)} depths")


def note(parent: PipelineRun, root: Path, results: dict[str, Any]) -> None:
    """The law and its files in the run above those of the depths."""
    if not parent.run_id:
        return
    for name in ("index.html", "runs.csv", "law.json"):
        parent.attempt(lambda name=name: parent.client.log_artifact(parent.run_id, str(root / PLACE / name)))
    law = results["laws"]["flops"] | {"tried.error": results.get("tried", {}).get("error")}
    for key, value in law.items():
        if value is not None:
            parent.attempt(lambda key=key, value=value: parent.client.log_metric(parent.run_id, f"law.{key}", value))


def check(depths: list[int]) -> None:
    """UserError when the depths make no series."""
    if len(set(depths)) < 2 or min(depths) < 1:
        raise UserError("a miniseries needs two depths or more, each of at least 1, such as --depths 1,2,3,4.")


@program
def main(arguments: list[str]) -> int:
    """The command line; 0, or 1 when a depth failed."""
    parser = argparse.ArgumentParser(
        prog="python -m flows.miniseries", description="Pretrain at several depths and fit a scaling law."
    )
    parser.add_argument("--depths", default="1,2,3,4", help="such as 1,2,3,4")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project or a workspace")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values for params.yaml")
    options = parser.parse_args(arguments)
    obey_signals()
    depths, settings, root = numbers(options.depths), read_settings(options.set), options.root.resolve()
    check(depths)
    for depth in depths:  # before any server is asked
        trial(root, depth, settings)
    if server_address():
        message_of(miniseries(depths, settings, root, return_state=True))
    else:
        series(root, depths, settings, run_stages)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
