"""The ground on which sweeps, miniseries and backfills stand: runs of the pipeline, each in a project of its own.

In: the project, the stages to run, values for params.yaml. Out: a folder for each trial with today's code, links to
what the project has of earlier stages, and the project's DVC cache; several run at a time, below one run in MLflow, as
tasks of a flow where Prefect has a server. A trial that is prepared again keeps what it has: DVC repeats only what
changed, a killed stage goes on from its checkpoint.
"""

import contextlib
import contextvars
import json
import logging
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State

from crawl2chat.errors import UserError
from flows import stage_process, watchdog
from flows.dag import open_project, read_dag
from flows.isolated import lock, share_cache
from flows.mlflow_links import PipelineRun
from flows.overrides import nested, overlay
from flows.stage_process import Result, last_run
from flows.workspace import CODE, copy, link_machine, make_repository
from stages.files import remove
from stages.mlflow_store import tracking_uri

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trial:
    """A prepared folder and the stages to run in it, in order."""

    name: str
    folder: Path
    stages: list[str]


def chosen_stages(root: Path, first: str, last: str) -> list[str]:
    """The stages that `last` needs, itself included, from `first` on; all of them when `first` is empty."""
    upstream = read_dag(root).within([]).upstream
    for stage in filter(None, (first, last)):
        read_dag(root).within([stage])  # UserError for one that does not exist
    needed, behind = {last}, {first or next(iter(upstream))}
    for stage in reversed(upstream):
        needed |= set(upstream[stage]) if stage in needed else set()
    for stage, before in upstream.items():
        behind |= {stage} if not first or behind & set(before) else set()
    chosen = [stage for stage in upstream if stage in needed & behind]
    if first and first not in chosen:
        raise UserError(f"{last} does not depend on {first}: there is nothing to run between them.")
    return chosen


def prepare(root: Path, folder: Path, stages: list[str], settings: dict[str, Any]) -> Path:
    """Make `folder` a project that runs `stages`: values over params.yaml, everything else linked from `root`."""
    folder.mkdir(parents=True, exist_ok=True)
    copy(root, folder, CODE)
    overlay(folder / "params.yaml", nested(settings))
    link_machine(root, folder)
    make_repository(root, folder)
    share_cache(root, folder)
    (folder / "metrics").mkdir(exist_ok=True)
    link_inputs(root, folder, stages)
    return folder


def link_inputs(root: Path, folder: Path, stages: list[str]) -> None:
    """Links to all that the stages read and do not make themselves. UserError for what the project does not have."""
    with open_project(folder) as repo:
        entries = {stage.name: stage for stage in repo.index.stages}
        own = [Path(out.def_path) for stage in stages for out in entries[stage].outs]
        read = {Path(dep.def_path) for stage in stages for dep in entries[stage].deps if is_inside(dep.def_path)}
        makers = {Path(out.def_path): stage.name for stage in repo.index.stages for out in stage.outs}
    for path in sorted(read):
        target, around = folder / path, (path, *path.parents)
        maker = next((makers[place] for place in around if place in makers), None)
        copied = target.exists() and not target.is_symlink() and not maker
        if copied or any(place in own for place in around):
            continue
        if not (root / path).exists():
            remedy = f"run `dvc repro {maker}` first, which makes it" if maker else "put it there"
            raise UserError(f"{path} is not there; {remedy}.")
        remove(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to((root / path).resolve())


def is_inside(path: str) -> bool:
    """Whether a path of dvc.yaml lies in the project's folder."""
    return "://" not in path and not Path(path).is_absolute() and ".." not in Path(path).parts


Runner = Callable[[Trial, dict[str, str]], Result]


def run_stages(trial: Trial, env: dict[str, str], log: Callable[[str], None] | None = None) -> Result:
    """All stages of one trial, one after the other: Ran when any stage ran, or the first failure."""
    results = {}
    try:
        with lock(trial.folder) as held:  # the stages hold it too: whoever comes back after a kill sees who still works
            for stage in trial.stages:
                write = log or (lambda line, name=f"{trial.name} · {stage}": logger.info("%s: %s", name, line))
                result = stage_process.run_stage(trial.folder, stage, force=False, log=write, env=env, held=(held,))
                if result.outcome == "Failed":
                    return replace(result, reason=f"{trial.name}: {stage}: {result.reason}")
                results[stage] = result.outcome
    except UserError as error:
        return Result("Failed", f"{trial.name}: {error}")
    outcome = next(kind for kind in ("Ran", "Cached", "Skipped") if kind in results.values())
    return Result(outcome, ", ".join(f"{stage} {result.lower()}" for stage, result in results.items()))


@task(task_run_name="{trial.name}", cache_policy=None, persist_result=False)
def trial_task(trial: Trial, env: dict[str, str]) -> State:
    """A trial as Prefect shows it."""
    result = run_stages(trial, env, get_run_logger().info)
    return (Failed if result.outcome == "Failed" else Completed)(name=result.outcome, message=result.reason)


def run_as_task(trial: Trial, env: dict[str, str]) -> Result:
    """A trial from within a flow."""
    state = trial_task(trial, env, return_state=True)
    return Result(state.name, state.message or "")


def run_trials(parent: PipelineRun, trials: list[Trial], jobs: int, run: Runner = run_stages) -> list[Result]:
    """Run trials, `jobs` at a time, below a run in MLflow; what became of each, in their order. After a failure no
    other is started: mended and called again, it goes on."""
    stage_process.allow()
    uri, flow_run_id = tracking_uri(parent.root), str(flow_run.id or "")
    env = stage_process.environment(
        MLFLOW_TRACKING_URI=uri,
        CRAWL2CHAT_FLOW_RUN=flow_run_id,
        CRAWL2CHAT_PIPELINE_RUN=parent.run_id or "",
    )
    failed = threading.Event()

    def unless_failed(trial: Trial) -> Result:
        if failed.is_set():
            return Result("Failed", f"{trial.name} was not run, as another failed")
        result = run(trial, env)
        if result.outcome == "Failed":
            failed.set()
        return result

    guard = watchdog.start(uri, flow_run_id, parent.run_id or "")  # stops the stages should this process be killed
    stage_process.set_watchdog(guard)
    try:
        with ThreadPoolExecutor(jobs) as pool:
            # The context tells Prefect which flow a task belongs to.
            futures = [pool.submit(contextvars.copy_context().run, unless_failed, trial) for trial in trials]
            try:
                return [future.result() for future in futures]
            except BaseException:  # cancelled: the stages live in other process groups and would go on
                stage_process.stop_all()
                raise
    finally:
        stage_process.set_watchdog(None)
        with contextlib.suppress(OSError):
            guard.write("done\n")
            guard.close()


def failure(results: list[Result]) -> str:
    """What the first failed trial says, or ""."""
    return next((result.reason for result in results if result.outcome == "Failed"), "")


def obey_signals() -> None:
    """End in an orderly way when asked to, so that no stage outlives the command."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def metric(folder: Path, measure: str) -> float:
    """A number of metrics/<stage>.json, such as sft.val_loss or evaluate.chat.fact."""
    stage, *keys = measure.split(".")
    value = json.loads((folder / "metrics" / f"{stage}.json").read_text(encoding="utf-8"))
    for key in keys:
        known = value
        value = value.get(key) if isinstance(value, dict) else None
        if value is None:
            names = ", ".join(known) if isinstance(known, dict) else "no other"
            raise UserError(f"metrics/{stage}.json has no number {'.'.join(keys)}; there is {names}.")
    return float(value)


def cost_of(trials: list[Trial]) -> tuple[float, float | None]:
    """Seconds and dollars that the last runs of all stages took here; what came from the cache took none."""
    notes = [last_run(trial.folder, stage) for trial in trials for stage in trial.stages]
    costs = [note["facts"]["cost"] for note in notes if note.get("facts", {}).get("cost") is not None]
    return sum(note.get("seconds", 0.0) for note in notes), sum(costs) if costs else None
