"""The pipeline as one Prefect flow: a task for each stage of dvc.yaml, in DVC's order, its output in the task's log.

    python -m flows.pipeline [stage …] [--profile smoke] [--set pretrain.depth=4] [--force] [--here]

In: the project in the current folder. Out: what `dvc repro` writes, in a workspace of the run's own (flows/isolated.py)
or, with --here, in the project itself; task states Ran, Cached, Skipped or Failed with the reason; one MLflow run in
the experiment `pipeline` above the runs of the stages, also of those not run again. Without PREFECT_API_URL the same
without Prefect: no server is started (`make ui` starts one).
"""

# A deployment's entry point has to be a flow, so Prefect is imported at the top here.
import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from prefect import allow_failure, flow, get_run_logger, task
from prefect.runtime import flow_run
from prefect.states import Completed, Crashed, Failed, State
from prefect.utilities.annotations import quote

from flows import isolated, stage_process, watchdog
from flows.artifacts import show_plan, show_stage, show_stages
from flows.dag import Dag, open_project, read_state
from flows.mlflow_links import PipelineRun, mark_killed
from flows.overrides import check, layers_of, overlay, read_settings
from flows.prefect_server import server_address
from flows.stage_process import Result
from flows.states import in_a_sentence, message_of
from flows.supervision import Supervision
from stages.files import read_yaml
from stages.mlflow_store import tracking_uri
from stages.program import program
from stages.settings import read_machine

# By its full name: as a program this module is called __main__.
logger = logging.getLogger("flows.pipeline")


def choices(name: str, values: list[str]) -> type[StrEnum]:
    """What the run form offers to choose from."""
    return StrEnum(name, {value: value for value in values or ["none"]})


def in_project(pattern: str) -> list[Path]:
    return sorted(Path.cwd().glob(pattern))


# The form is made where the deployment is made, in the project's folder.
Stage = choices("Stage", [name for path in in_project("dvc.yaml") for name in read_yaml(path).get("stages", {})])
Profile = choices("Profile", [path.stem for path in in_project("profiles/*.yaml")])


@dataclass(frozen=True)
class Run:
    """What all stages of a run share."""

    root: Path
    dag: Dag
    stale: frozenset[str]
    force: bool
    env: dict[str, str]
    # Of the workspace's lock: a stage that outlives the flow keeps others out.
    held: tuple[int, ...]
    # What became of the stages that have ended.
    results: dict[str, Result] = field(default_factory=dict)
    # As many stages as work at the same time.
    places: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(max(1, (os.cpu_count() or 2) // 2)))


# Starts a stage that first waits for others; what it returns can be waited for in turn.
Submit = Callable[[Run, str, list[Any]], Any]


# ---- one stage


def run_stage(run: Run, stage: str, log: Callable[[str], None] = logger.info) -> Result:
    """One stage after all before it: not run when one of them failed; no process is started where nothing changed."""
    results = run.results
    failed = [name for name in run.dag.upstream[stage] if name not in results or results[name].outcome == "Failed"]
    if failed:
        results[stage] = Result("Failed", f"not run: {', '.join(failed)} failed")
    elif not run.force and stage not in run.stale:
        results[stage] = Result("Skipped", "nothing changed")
    else:
        minutes = read_machine(stage, run.root, list(read_yaml(run.root / "dvc.yaml")["stages"])).timeout_minutes
        with run.places:
            results[stage] = stage_process.run_stage(
                run.root, stage, force=run.force, log=log, env=run.env, minutes=minutes, held=run.held
            )
    return results[stage]


@task(cache_policy=None, persist_result=False)
def stage_task(run: Run, stage: str) -> State:
    """A stage as Prefect shows it."""
    result = run_stage(run, stage, get_run_logger().info)
    if result.outcome in ("Ran", "Cached"):
        show_stage(run.root, stage, result)
    # Of the type Failed also where it was killed: those after a task of the type Crashed are never begun nor ended.
    name = "Crashed" if result.killed else result.outcome
    return (Failed if result.outcome == "Failed" else Completed)(name=name, message=result.reason)


def submit_task(run: Run, stage: str, before: list[Any]) -> Any:
    """A stage as a task of the flow, which the page shows as Pending until it begins."""
    named = stage_task.with_options(name=stage, task_run_name=stage)
    return named.submit(quote(run), stage, wait_for=[allow_failure(each) for each in before])


def submit_thread(run: Run, stage: str, before: list[Any]) -> threading.Event:
    """A stage in a thread of its own."""
    ended = threading.Event()

    def work() -> None:
        try:
            for each in before:
                each.wait()
            run_stage(run, stage)
        finally:
            ended.set()

    threading.Thread(target=work).start()
    return ended


# ---- all stages


def run_all(run: Run, submit: Submit) -> dict[str, Result]:
    """Every stage as soon as what it reads is there, and a place is free; what became of each, in DVC's order."""
    started: dict[str, Any] = {}
    try:
        for stage, before in run.dag.upstream.items():
            started[stage] = submit(run, stage, [started[name] for name in before])
        for each in started.values():
            each.wait()
    except BaseException:  # cancelled: the stages live in other process groups and would go on
        stage_process.stop_all()
        raise
    lost = Result("Failed", "ended by a defect; its traceback stands in the log")
    return {stage: run.results.get(stage, lost) for stage in run.dag.upstream}


@contextlib.contextmanager
def workplace(
    project: Path, profile: str, layers: list[dict[str, Any]], here: bool, flow_run_id: str
) -> Iterator[tuple[Path, int]]:
    """Where the run works: its own workspace, or with `here` the project."""
    if not here:
        with isolated.claim(project, profile, layers, flow_run_id) as place:
            yield place
        return
    with isolated.lock(project, flow_run_id) as descriptor:
        overlay(project / "params.yaml", *layers)
        yield project, descriptor


def execute(
    project: Path,
    stages: list[str],
    profile: str,
    layers: list[dict[str, Any]],
    force: bool,
    here: bool,
    submit: Submit,
    flow_run_id: str = "",
    name: str = "pipeline",
) -> State:
    """Run the pipeline, or a part of it; Prefect's word for how it ended."""
    stage_process.allow()
    uri = tracking_uri(project)
    with workplace(project, profile, layers, here, flow_run_id) as (root, descriptor):
        logger.info("workspace: %s", root.relative_to(project) if root != project else ".")
        if edited := isolated.uncommitted(project):
            logger.info("with edits that are in no commit: %s", ", ".join(edited))
        dag, stale = read_state(root, stages, restore=not here)
        run = Run(root, dag, stale, force, {}, (descriptor,))
        idle = not (run.stale or force)
        if submit is submit_task:
            show_plan(run.stale, dag)
        with PipelineRun(root, uri=uri, run_name=name, idle=idle) as parent:
            run.env.update(
                stage_process.environment(
                    MLFLOW_TRACKING_URI=uri,
                    CRAWL2CHAT_FLOW_RUN=flow_run_id,
                    CRAWL2CHAT_FLOW_NAME=name,
                    CRAWL2CHAT_PIPELINE_RUN=parent.run_id or "",
                )
            )
            guard = None if idle else watchdog.start(uri, flow_run_id, parent.run_id or "")
            stage_process.set_watchdog(guard)
            try:
                results = run_all(run, submit)
            except BaseException:
                if parent.run_id:
                    mark_killed(uri, parent.run_id)
                raise
            finally:
                stage_process.set_watchdog(None)
                if guard:
                    with contextlib.suppress(OSError):
                        guard.write("done\n")
                        guard.close()
            rows = parent.finish(results)
        if submit is submit_task:
            show_stages(rows)
    failed = [stage for stage, result in results.items() if result.outcome == "Failed"]
    if failed:
        first = results[failed[0]]
        return (Crashed if first.killed else Failed)(message=f"{failed[0]}: {first.reason}")
    counts = {name: sum(result.outcome == name for result in results.values()) for name in ("Ran", "Cached", "Skipped")}
    return Completed(message=", ".join(f"{number} {name.lower()}" for name, number in counts.items() if number))


# ---- the flow


def title() -> str:
    """What a flow run is called: what it runs and with which values."""
    given = flow_run.parameters or {}
    parts = [", ".join(map(str, given.get("stages") or [])) or "all stages", given.get("profile") or ""]
    parts += [f"{key}={value}" for key, value in (given.get("overrides") or {}).items()]
    parts += [f"snapshot {given['snapshot']}" if given.get("snapshot") else "", "forced" if given.get("force") else ""]
    return " · ".join(filter(None, parts))[:200]


@flow(name="crawl2chat", flow_run_name=title, log_prints=True)
@in_a_sentence
def pipeline(
    stages: list[Stage] | None = None,
    profile: Profile | None = None,
    overrides: dict[str, Any] | None = None,
    snapshot: str = "",
    force: bool = False,
    here: bool = False,
) -> State:
    """Run the pipeline from a web crawl to a chat model.

    Args:
        stages: only these stages; all when empty.
        profile: a file of profiles/, laid over params.yaml.
        overrides: values over params.yaml, such as {"pretrain.depth": 4}; of this run only.
        snapshot: a crawl in inputs/snapshots by its date, or `newest`.
        force: run stages even when nothing changed.
        here: work in the project's own folder, and write the overrides into its params.yaml.
    """
    project = Path.cwd()
    wanted, chosen = [str(stage) for stage in stages or []], str(profile or "")
    layers = checked(project, wanted, chosen, overrides or {}, snapshot, here)
    served = "PREFECT__FLOW_RUN_ID" in os.environ
    with Supervision(str(flow_run.id or ""), served):
        return execute(
            project,
            wanted,
            chosen,
            layers,
            force,
            here,
            submit_task,
            str(flow_run.id or ""),
            flow_run.name or "pipeline",
        )


def checked(
    project: Path, stages: list[str], profile: str, overrides: dict[str, Any], snapshot: str, here: bool
) -> list[dict[str, Any]]:
    """What is laid over params.yaml. UserError for a stage, profile, snapshot or value that does not exist or fit, for
    a mistake in machine.yaml, and for a folder that DVC cannot work in."""
    known = list(read_yaml(project / "dvc.yaml")["stages"])
    Dag(dict.fromkeys(known, ())).within(stages)
    for stage in known:
        read_machine(stage, project, known)
    chosen = layers_of(project, profile, overrides, snapshot)
    check(project, chosen)
    with open_project(project, git=here):
        return chosen


@program
def main(arguments: list[str]) -> int:
    """The command line; 0, or 1 when a stage failed."""
    parser = argparse.ArgumentParser(prog="python -m flows.pipeline", description="Run the pipeline as a Prefect flow.")
    parser.add_argument("stages", nargs="*", help="only these stages")
    parser.add_argument("--profile", default="", help="a file of profiles/, without .yaml")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values over params.yaml")
    parser.add_argument("--snapshot", default="", help="a crawl in inputs/snapshots by its date, or `newest`")
    parser.add_argument("--force", action="store_true", help="run stages even when nothing changed")
    parser.add_argument("--here", action="store_true", help="work in this folder instead of a workspace")
    options = parser.parse_args(arguments)
    project = Path.cwd()
    settings = read_settings(options.set)
    layers = checked(project, options.stages, options.profile, settings, options.snapshot, options.here)
    if server_address():
        state = pipeline(
            stages=options.stages,
            profile=options.profile or None,
            overrides=settings,
            snapshot=options.snapshot,
            force=options.force,
            here=options.here,
            return_state=True,
        )
    else:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        state = execute(project, options.stages, options.profile, layers, options.force, options.here, submit_thread)
    logger.info(message_of(state))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
