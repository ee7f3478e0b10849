"""What of a run is the method's, and what its seed's? The chain again with other seeds.

    python -m benchmarks.seeds [--seeds 3] [--since reason] [--place workspaces/seeds]

In: a finished run (`dvc repro`), which is seed 1's. Each further seed gets a project of its own, which takes all before
the stage `--since` from the run and repeats that stage and what follows; a killed one goes on. Out: for each headline
of post-training the mean over seeds with Student's interval, and on the last line JSON.
"""

import argparse
import json
import math
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import command
from benchmarks.measure import show
from crawl2chat.errors import UserError
from flows.overrides import write_yaml
from flows.stage_process import environment
from flows.workspace import copy, make_repository
from stages.files import read_yaml

HEADLINES = {
    "reason": [
        "accuracy_before",
        "accuracy_after",
        "accuracy_gain",
        "greedy_accuracy_gain",
        "accuracy_formatted_after",
        "long_multiplication_gain",
        "multiplication_gain",
        "sum_gain",
        "subtraction_gain",
    ],
    "reward": ["pair_accuracy", "correctness_pair_accuracy", "style_baseline_accuracy", "kendall_tau", "ece"],
    "rlhf": ["gold_gain_in_std", "gold_over_control", "correct_gain", "kl", "stop_share_of_best"],
}
OUTS = ("outs", "plots", "metrics")
# Student's t for a two-sided interval of 95 %, by degrees of freedom.
T = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """(mean, low, high): x̄ ± t · s / √n, of one value the value alone (Student 1908)."""
    middle, n = statistics.fmean(values), len(values)
    if n < 2:
        return middle, math.nan, math.nan
    half = T.get(n - 1, 1.96) * statistics.stdev(values) / math.sqrt(n)
    return middle, middle - half, middle + half


def stages_since(root: Path, first: str) -> list[str]:
    """The stage and all that follow it in dvc.yaml, without those that make no number."""
    stages = list(read_yaml(root / "dvc.yaml")["stages"])
    if first not in stages:
        raise UserError(f"there is no stage {first!r}; the stages are {', '.join(stages)}.")
    return [stage for stage in stages[stages.index(first) :] if stage not in ("export", "report")]


def prepare(root: Path, folder: Path, seed: int, again: Sequence[str]) -> None:
    """A project that has the stages `again` alone, and links to what they read of the finished run."""
    folder.mkdir(parents=True, exist_ok=True)
    copy(root, folder, ("crawl2chat", "stages", ".dvcignore"))
    params, stages = read_yaml(root / "params.yaml"), read_yaml(root / "dvc.yaml")["stages"]
    write_yaml(folder / "params.yaml", {"seed": seed} | {stage: params[stage] for stage in again})
    write_yaml(folder / "dvc.yaml", {"stages": {stage: stages[stage] for stage in again}})
    made = {named(out, params) for stage in again for kind in OUTS for out in stages[stage].get(kind, [])}
    read = {named(dep, params) for stage in again for dep in stages[stage]["deps"]}
    for dep in sorted(read - made):
        link = folder / dep
        if dep.split("/")[0] in ("crawl2chat", "stages") or link.exists():
            continue
        if not (root / dep).exists():
            raise UserError(f"{dep} is missing: finish a run with `dvc repro` first.")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((root / dep).resolve())
    make_repository(root, folder)


def named(entry: str | dict[str, Any], params: dict[str, Any]) -> str:
    """The path of a dependency or an out of dvc.yaml."""
    path = entry if isinstance(entry, str) else next(iter(entry))
    return re.sub(r"\$\{(\w+)\.(\w+)\}", lambda match: str(params[match[1]][match[2]]), path)


def numbers_of(folder: Path) -> dict[str, dict[str, Any]]:
    return {
        name: json.loads((folder / "metrics" / f"{name}.json").read_text(encoding="utf-8"))
        for name in HEADLINES
        if (folder / "metrics" / f"{name}.json").exists()
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seeds", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3, help="in all, the finished run's included")
    parser.add_argument("--since", default="reason", help="the first stage that is repeated")
    parser.add_argument("--place", type=Path, default=Path("workspaces/seeds"))
    options = parser.parse_args()
    root = Path.cwd()
    again = stages_since(root, options.since)
    runs = [numbers_of(root)]
    own = read_yaml(root / "params.yaml")["seed"]
    for seed in range(own + 1, own + options.seeds):
        folder = options.place / f"seed-{seed}"
        prepare(root, folder, seed, again)
        command_line = [sys.executable, "-m", "dvc", "repro", *again]
        if subprocess.call(command_line, cwd=folder, env=environment()):
            raise UserError(f"the run in {folder} failed; its messages stand above.")
        runs.append(numbers_of(folder))
    result: dict[str, Any] = {"seeds": len(runs)}
    for stage, names in HEADLINES.items():
        for name in names:
            values = [run[stage][name] for run in runs if run.get(stage, {}).get(name) is not None]
            if values:
                middle, low, high = interval(values)
                each = ", ".join(f"{value:.3f}" for value in values)
                print(f"{stage:8} {name:28} {middle:7.3f} [{low:.3f}, {high:.3f}]  n {len(values)}: {each}")
                result |= {f"{stage}_{name}": middle, f"{stage}_{name}_low": low, f"{stage}_{name}_high": high}
    show({key: None if isinstance(value, float) and math.isnan(value) else value for key, value in result.items()})


if __name__ == "__main__":
    command(main)
