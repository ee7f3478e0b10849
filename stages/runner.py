"""Runs one stage: turns a command line of dvc.yaml and a section of params.yaml into one function call.

In: `<stage> --<argument> <path> …`; params.yaml, dvc.yaml and perhaps machine.yaml in the current folder. Out: the
stage's outs, `metrics/<stage>.json` and its rows of `metrics/headline/`, whole or not at all: the function writes
aside, the runner syncs to disk and renames. A killed stage finds its checkpoints again in
`.work/<stage>/<hash of parameters and inputs>/`, and nobody else's.

DVC records the parameters and the code that it finds after the command. So the runner compares both with what it read
before, and publishes nothing when they have changed underneath.

A stage on several devices runs as several processes (torchrun, srun, Lightning's launcher), each through here. The one
of rank 0 does all that others see: it prints, tracks and publishes; what the others write goes to a folder that is
thrown away.
"""

import argparse
import contextlib
import hashlib
import importlib
import inspect
import json
import logging
import math
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from crawl2chat import logs
from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker
from stages import headline
from stages.files import discard, publish, read_yaml, write_json
from stages.hashes import dependency_hashes
from stages.mlflow_tracker import MlflowTracker, RunTracker
from stages.program import sentence
from stages.settings import read_machine, read_parameters, validate

logger = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Run the stage that `arguments` name; 0, or 1 after one sentence about what the user can mend."""
    first = rank_of(os.environ) == 0
    try:
        logs.configure(quiet=not first)
        run(arguments, Path.cwd())
    except (UserError, OSError) as error:
        if not (told := sentence(error)):
            raise
        if first:
            logger.error(told)
        return 1
    return 0


@dataclass(frozen=True)
class Call:
    """A stage function with everything it is going to be given."""

    stage: str
    function: Callable[..., dict[str, Any]]
    inputs: dict[str, Path]
    outs: dict[str, Path]
    # As it stands in params.yaml.
    section: dict[str, Any]
    params: Params | None
    seed: int
    machine: Machine
    # Which of params, seed, tracker, work, machine the function takes.
    wants: frozenset[str]


def run(arguments: list[str], root: Path) -> dict[str, Any]:
    """Run one stage in `root` and return its metrics."""
    started = time.perf_counter()
    call = parse(arguments, root)
    for name, path in call.inputs.items():
        if not (root / path).exists():
            raise UserError(
                f"{call.stage}: --{name.replace('_', '-')} {path} does not exist; "
                f"run `dvc repro {call.stage}`, which makes it first, or name an existing path."
            )
    deps = hashes_now(call, root)
    work = root / ".work" / call.stage / fingerprint(call, deps)
    if rank_of(os.environ) != 0:
        return run_worker_rank(call, root, work)
    aside = work / "outs"
    shutil.rmtree(aside, ignore_errors=True)  # half-written by a run that was killed
    aside.mkdir(parents=True)
    tracker = open_tracker(call, root, deps, work)
    try:
        metrics, written = invoke(call, root, aside, work, tracker)
        check_unchanged(call, root, deps)
        rows = put_in_place(call, root, metrics, written)
    except BaseException as error:
        tracker.fail(f"{type(error).__name__}: {error}")
        raise
    outs = [*call.outs.values(), Path("metrics") / f"{call.stage}.json", *map(headline.path_of, rows)]
    tracker.finish(metrics, rows, [str(path) for path in outs])
    discard(work)
    seconds = time.perf_counter() - started
    remember(root, call.stage, seconds, tracker)
    logger.info("%s: %.1f s · %s", call.stage, seconds, highlights(metrics))
    return metrics


def hashes_now(call: Call, root: Path) -> dict[str, str]:
    return dependency_hashes(root, call.stage, read_yaml(root / "dvc.yaml"), list(call.inputs.values()))


def check_unchanged(call: Call, root: Path, before: dict[str, str]) -> None:
    """UserError when parameters, code or inputs are not any more what the stage began with."""
    section, seed = read_parameters(call.stage, root, stage_names(root))
    keys = sorted({*section, *call.section})
    changed = [f"{call.stage}.{key}" for key in keys if section.get(key) != call.section.get(key)]
    changed += ["seed"] if seed != call.seed else []
    after = hashes_now(call, root)
    changed += sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
    if changed:
        more = f" and {len(changed) - 4} more" if len(changed) > 4 else ""
        raise UserError(
            f"{call.stage}: {', '.join(changed[:4])}{more} changed while the stage ran: its result fits neither state "
            f"and is not published; run `dvc repro {call.stage}` again."
        )


def put_in_place(call: Call, root: Path, metrics: dict[str, Any], written: dict[str, Path]) -> headline.Rows:
    """Outs, metrics and the stage's rows of the headline, each in its place; returns the rows."""
    missing = [name for name, path in written.items() if not path.exists()]
    if missing:
        raise RuntimeError(f"stage {call.stage} returned without writing {', '.join(missing)}")
    for name, path in call.outs.items():
        publish(written[name], root / path)
    write_json(root / "metrics" / f"{call.stage}.json", metrics)
    rows = headline.rows_of(call.stage, metrics)
    for row, numbers in rows.items():
        write_json(root / headline.path_of(row), numbers)
    return rows


def invoke(call: Call, root: Path, aside: Path, work: Path, tracker: Tracker) -> tuple[dict[str, Any], dict[str, Path]]:
    """Call the stage's function; its metrics, and where in `aside` it was told to write each out."""
    # Suffixes are kept: a writer may choose its format by them.
    written = {name: aside / f"{name}{path.suffix}" for name, path in call.outs.items()}
    own = {"params": call.params, "seed": call.seed, "tracker": tracker, "work": work, "machine": call.machine}
    inputs = {name: root / path for name, path in call.inputs.items()}
    metrics = call.function(**inputs, **written, **{name: own[name] for name in call.wants})
    return clean(metrics), written


def run_worker_rank(call: Call, root: Path, work: Path) -> dict[str, Any]:
    """The part of a process that is not of rank 0: it takes part in the training, silently."""
    with (
        tempfile.TemporaryDirectory() as nowhere,
        open(os.devnull, "w") as silence,
        contextlib.redirect_stdout(silence),
    ):
        return invoke(call, root, Path(nowhere), work, Tracker())[0]


def rank_of(environment: Mapping[str, str]) -> int:
    """0 in the one process that may print, log and write; another number in all others. Set by torchrun (RANK), by
    SLURM's srun (SLURM_PROCID), or by Lightning's launcher (NODE_RANK, LOCAL_RANK), and known before anything is
    initialised. A rank without a number of processes above one is left over from something else, and not believed."""
    if int(environment.get("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in environment and "RANK" not in environment:
        return int(environment["SLURM_PROCID"])
    if int(environment.get("WORLD_SIZE", "1")) <= 1:
        return 0
    if "RANK" in environment:
        return int(environment["RANK"])
    node, local = int(environment.get("NODE_RANK", "0")), int(environment.get("LOCAL_RANK", "0"))
    return node * 4096 + local  # Lightning's launcher does not say how many each node has; no node has 4,096


def open_tracker(call: Call, root: Path, deps: dict[str, str], work: Path) -> RunTracker:
    """MLflow, unless CRAWL2CHAT_TRACKING=off."""
    if os.environ.get("CRAWL2CHAT_TRACKING") == "off":
        return RunTracker()
    machine = call.machine.model_dump(mode="json", exclude_defaults=True)
    return MlflowTracker(root, call.stage, {"seed": call.seed, **dumped(call)}, machine, deps, work)


def fingerprint(call: Call, deps: dict[str, str]) -> str:
    """Hash of all that decides the outs: only a run with the same one may go on from this run's checkpoints."""
    identity = {"stage": call.stage, "seed": call.seed, "params": dumped(call), "deps": deps}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def dumped(call: Call) -> dict[str, Any]:
    return call.params.model_dump(mode="json") if call.params else {}


# ---- from the command line to a call


def parse(arguments: list[str], root: Path) -> Call:
    """The call that a command line describes; UserError for anything that does not fit the stage's signature."""
    known = stage_names(root)
    if not arguments or arguments[0] not in known:
        found = f"no stage is called {arguments[0]!r}" if arguments else "name a stage"
        raise UserError(f"{found}; the stages are {', '.join(known)}.")
    stage = arguments[0]
    function = getattr(importlib.import_module(f"stages.{stage}"), stage)
    hints = get_type_hints(function)
    expected = [name for name in inspect.signature(function).parameters if hints[name] is Path and name != "work"]
    paths = vars(Flags(stage, expected).parse_args(arguments[1:]))
    wants = frozenset(inspect.signature(function).parameters) & {"params", "seed", "tracker", "work", "machine"}
    section, seed = read_parameters(stage, root, known)
    params = validate(stage, hints["params"], section) if "params" in wants else None
    outs = {name: path for name, path in paths.items() if name == "out" or name.startswith("out_")}
    inputs = {name: path for name, path in paths.items() if name not in outs}
    return Call(stage, function, inputs, outs, section, params, seed, read_machine(stage, root, known), wants)


def stage_names(root: Path) -> list[str]:
    """The stages in the order of dvc.yaml."""
    return list(read_yaml(root / "dvc.yaml").get("stages") or {})


class Flags(argparse.ArgumentParser):
    """One required path for each argument of a stage function; a mistake is a UserError."""

    def __init__(self, stage: str, names: list[str]) -> None:
        super().__init__(prog=f"python -m stages {stage}", allow_abbrev=False)
        for name in names:
            self.add_argument(f"--{name.replace('_', '-')}", type=Path, required=True, metavar="PATH")

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}. {' '.join(self.format_usage().split())}")


# ---- metrics


def clean(value: Any) -> Any:
    """Metrics as plain JSON: numpy scalars unwrapped, floats to six decimals, what is not finite as null."""
    if isinstance(value, dict):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


def highlights(metrics: dict[str, Any], most: int = 6) -> str:
    """The first few numbers of a stage, for one line of output."""
    numbers = [(key, value) for key, value in metrics.items() if isinstance(value, (int, float))]
    plain = [(key, value) for key, value in numbers if not key.endswith(("_n", "_low", "_high"))]
    return ", ".join(
        f"{key} {value:,.4g}" if isinstance(value, float) else f"{key} {value:,}" for key, value in plain[:most]
    )


def remember(root: Path, stage: str, seconds: float, tracker: RunTracker) -> None:
    """Note how the stage's last run went, for the summary: git-ignored, as times are not results."""
    # Linux counts in KiB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    note = {
        "seconds": round(seconds, 1),
        "peak_bytes": peak,
        "mlflow_run": tracker.run_id,
        "facts": clean(tracker.kept_facts),
    }
    write_json(root / ".work" / "last" / f"{stage}.json", note)
