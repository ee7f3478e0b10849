"""Variants of the parameters against the baseline, over the same seeds: better, worse, or too noisy to tell.

    python -m flows.sweep sft.val_loss --lower --variant short sft.epochs=1 --variant slow sft.muon_lr=0.01 \
        --seeds 1,2,3 --from sft --jobs 2

In: the project, and a number of metrics/<stage>.json. Each variant and seed is a project of its own below
sweeps/<name>/, which reads what the project has of earlier stages and shares its DVC cache; so the project stays as it
is, a finished run is not repeated, and a killed one goes on from its checkpoint. Out: for each variant the mean
difference from the baseline with a 95 % interval (Student's, paired over seeds, widened for several variants) and
what it cost, on the terminal, in results.json, in Prefect and in MLflow. DVC's queue of experiments is not used.
"""

# A deployment's entry point has to be a flow, so Prefect is imported at the top here as in flows/pipeline.py.
import argparse
import re
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, State

from crawl2chat.errors import UserError
from crawl2chat.evaluation.statistics import Estimate, paired_t
from crawl2chat.evaluation.table import markdown_table
from flows.mlflow_links import PipelineRun
from flows.overrides import check, nested, read_settings
from flows.prefect_server import server_address
from flows.states import in_a_sentence, message_of
from flows.trials import (
    Runner,
    Trial,
    chosen_stages,
    cost_of,
    failure,
    metric,
    obey_signals,
    prepare,
    run_as_task,
    run_stages,
    run_trials,
)
from stages.files import write_json
from stages.program import program

BASELINE = "baseline"
# Seconds and dollars.
Spent = tuple[float, float | None]


@dataclass(frozen=True)
class Verdict:
    """What became of a variant; the difference is None where a seed of it or of the baseline is missing."""

    variant: str
    verdict: str
    mean: float | None
    difference: Estimate | None
    seconds: float
    cost: float | None


def judge(difference: Estimate, lower: bool) -> str:
    """better, worse, the same, or too noisy."""
    low, high = (-difference.high, -difference.low) if lower else (difference.low, difference.high)
    return "the same" if low == high == 0 else "better" if low > 0 else "worse" if high < 0 else "too noisy"


def verdicts(
    values: dict[str, list[float]], spent: dict[str, tuple[float, float | None]], lower: bool
) -> list[Verdict]:
    """Each variant against the baseline; `values` by seed, in the same order for all."""
    level = 1 - 0.05 / max(1, len(values) - 1)
    rows = []
    for name, numbers in values.items():
        mean, own = sum(numbers) / len(numbers), name == BASELINE
        difference = None if own else paired_t(values[BASELINE], numbers, level)
        rows.append(Verdict(name, "" if own else judge(difference, lower), mean, difference, *spent[name]))
    return rows


def table(rows: list[Verdict]) -> list[list[str]]:
    """For people; the first row is the head."""
    lines = [["variant", "mean", "difference (95 %)", "verdict", "seconds", "cost"]]
    for row in rows:
        gap = row.difference
        told = f"{gap.value:+.4g} ({gap.low:+.4g} to {gap.high:+.4g}), {gap.n} seeds" if gap else "–"
        cost = "–" if row.cost is None else f"${row.cost:.3g}"
        lines.append([row.variant, f"{row.mean:.4g}", told, row.verdict or "–", f"{row.seconds:,.0f}", cost])
    return lines


@dataclass(frozen=True)
class Sweep:
    """What to compare: a number of a stage, the variants of the parameters, the seeds of each."""

    root: Path
    measure: str
    variants: dict[str, dict[str, Any]]
    seeds: list[int]
    lower: bool = False
    first: str = ""
    jobs: int = 1
    name: str = "sweep"

    def check(self) -> list[str]:
        """The stages to run; UserError for whatever cannot work, before anything starts."""
        if not self.variants or not self.seeds or self.jobs < 1:
            raise UserError("a sweep needs a variant, a seed, and at least one job.")
        for name, settings in self.variants.items():
            if not re.fullmatch(r"[\w.-]+", name) or name == BASELINE:
                raise UserError(f"{name!r} cannot name a variant; use letters, digits and -, and not {BASELINE}.")
            check(self.root, [nested(settings)])
        stage, _, key = self.measure.partition(".")
        if not key:
            raise UserError(f"{self.measure!r} is no number of a stage; write STAGE.NUMBER, such as sft.val_loss.")
        stages = chosen_stages(self.root, self.first, stage)
        if (self.root / "metrics" / f"{stage}.json").exists():
            metric(self.root, self.measure)
        return stages

    def run(self, run: Runner) -> list[Verdict]:
        """Run what has not been run, and judge; UserError where a trial failed."""
        stages, place = self.check(), self.root / "sweeps" / self.name
        trials = {}
        for variant, settings in ({BASELINE: {}} | self.variants).items():
            for seed in self.seeds:
                folder = prepare(self.root, place / f"{variant}-{seed}", stages, settings | {"seed": seed})
                trials[variant, seed] = Trial(f"{variant}, seed {seed}", folder, stages)
        with PipelineRun(self.root, name=f"sweep {self.name}") as parent:
            failed = failure(run_trials(parent, list(trials.values()), self.jobs, run))
            parent.end(failed)
        if failed:
            raise UserError(failed)
        groups = {name: [trials[name, seed] for seed in self.seeds] for name in (BASELINE, *self.variants)}
        values = {name: [metric(trial.folder, self.measure) for trial in group] for name, group in groups.items()}
        rows = verdicts(values, {name: cost_of(group) for name, group in groups.items()}, self.lower)
        results = {"measure": self.measure, "seeds": self.seeds, "values": values, "rows": plain(rows)}
        write_json(place / "results.json", results)
        print(markdown_table(table(rows)))
        return rows


@flow(name="sweep", log_prints=True)
@in_a_sentence
def sweep(
    measure: str,
    variants: dict[str, dict[str, Any]],
    seeds: list[int],
    lower: bool = False,
    first: str = "",
    jobs: int = 1,
    name: str = "sweep",
    root: Path | None = None,
) -> State:
    """Compare variants of the parameters with the baseline.

    Args:
        measure: what is compared: stage and number, such as sft.val_loss.
        variants: name → values for params.yaml, such as {"short": {"sft.epochs": 1}}.
        seeds: every variant is run with each, such as [1, 2, 3].
        lower: whether less is better.
        first: stages before this one are taken from the project; all are run when empty.
        jobs: how many run at the same time.
        name: the folder below sweeps/.
        root: the project's folder; the current one when empty.
    """
    given = Sweep((root or Path.cwd()).resolve(), measure, variants, seeds, lower, first, jobs, name)
    rows = given.run(run_as_task)
    create_table_artifact(plain(rows), key="sweep", description=f"{measure} of each variant")
    return Completed(message="; ".join(f"{row.variant}: {row.verdict}" for row in rows if row.verdict))


def plain(rows: list[Verdict]) -> list[dict[str, Any]]:
    """For JSON, which knows no infinite number."""
    known = [row.difference and row.difference.n > 1 for row in rows]
    return [asdict(row) | ({} if finite else {"difference": None}) for row, finite in zip(rows, known, strict=True)]


@program
def main(arguments: list[str]) -> int:
    """The command line; 0, or 1 when a run failed."""
    parser = argparse.ArgumentParser(prog="python -m flows.sweep", description="Compare variants with the baseline.")
    parser.add_argument("measure", help="stage and number, such as sft.val_loss or evaluate.chat.fact")
    parser.add_argument("--lower", action="store_true", help="less is better")
    parser.add_argument("--variant", nargs="+", action="append", default=[], metavar="NAME KEY=VALUE")
    parser.add_argument("--seeds", default="1,2,3", help="such as 1,2,3")
    parser.add_argument("--from", dest="first", default="", metavar="STAGE", help="what comes before is not run again")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parser.add_argument("--name", default="sweep", help="the folder below sweeps/")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project or a workspace")
    options = parser.parse_args(arguments)
    obey_signals()
    variants = {name: read_settings(settings) for name, *settings in options.variant}
    root, seeds = options.root.resolve(), numbers(options.seeds)
    chosen = (options.measure, variants, seeds, options.lower, options.first, options.jobs, options.name)
    given = Sweep(root, *chosen)
    given.check()
    if server_address():
        message_of(sweep(*chosen, root, return_state=True))
    else:
        given.run(run_stages)
    return 0


def numbers(text: str) -> list[int]:
    """ "1,2,4" → [1, 2, 4], in order and without repetition"""
    try:
        return sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise UserError(f"{text!r} is no list of numbers; write them such as 1,2,3.") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
