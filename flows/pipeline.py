"""The pipeline as one Prefect flow: a task for each stage of dvc.yaml, in DVC's order, its output in the task's log.

    python -m flows.pipeline [stage …] [--force] [--set pretrain.depth=4]

In: the project in the current folder. Out: what `dvc repro` writes; task states Ran, Cached, Skipped or Failed with
the reason; one MLflow run in the experiment `pipeline` above the runs of the stages, also of those not run again.
Works without a server; with one, set PREFECT_API_URL (`make ui` starts it).
"""

# A deployment's entry point has to be a flow, so Prefect is imported at the top here, and nowhere else.
import argparse
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

from prefect import allow_failure, flow, get_run_logger, task
from prefect.artifacts import create_table_artifact
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State
from prefect.task_runners import ThreadPoolTaskRunner

from crawl2chat import logs
from crawl2chat.errors import UserError
from flows import stage_process
from flows.dag import read_dag
from flows.mlflow_links import PipelineRun
from flows.overrides import nested, overlay, read_settings
from flows.stage_process import Result

# Stages that may run at the same time.
SLOTS = threading.BoundedSemaphore(max(1, (os.cpu_count() or 2) // 2))
# More than stages: one that waits for another must not take its place.
THREADS = 64

logger = logging.getLogger(__name__)


@task(task_run_name="{stage}", cache_policy=None, persist_result=False)
def run_stage(
    stage: str, root: Path, upstream: tuple[str, ...], results: dict[str, Result], force: bool, env: dict[str, str]
) -> State:
    """One stage: not run when one before it failed."""
    failed = [name for name in upstream if results[name].outcome == "Failed"]
    if failed:
        result = Result("Failed", f"not run: {', '.join(failed)} failed")
    else:
        with SLOTS:
            result = stage_process.run_stage(root, stage, force=force, log=get_run_logger().info, env=env)
    results[stage] = result
    kind = Failed if result.outcome == "Failed" else Completed
    return kind(name=result.outcome, message=result.reason)


@flow(name="crawl2chat", log_prints=True, task_runner=ThreadPoolTaskRunner(max_workers=THREADS))
def pipeline(
    stages: list[str] | None = None,
    overrides: dict[str, Any] | None = None,
    force: bool = False,
    root: Path | None = None,
) -> State:
    """Run the pipeline from a web crawl to a chat model.

    Args:
        stages: only these stages; all when empty.
        overrides: values for params.yaml, such as {"pretrain.depth": 4}; written into the file.
        force: run stages even when nothing changed.
        root: the project's folder; the current one when empty.
    """
    root = (root or Path.cwd()).resolve()
    stage_process.allow()
    if overrides:
        overlay(root / "params.yaml", nested(overrides))
    dag = read_dag(root).within(stages or [])
    results: dict[str, Result] = {}
    futures: dict[str, PrefectFuture[Any]] = {}
    with PipelineRun(root) as run:
        env = stage_process.environment(
            CRAWL2CHAT_FLOW_RUN=str(flow_run.id or ""), CRAWL2CHAT_PIPELINE_RUN=run.run_id or ""
        )
        try:
            for stage, upstream in dag.upstream.items():
                # `results` instead of Prefect's own passing on of states, which would call these tasks NotReady.
                futures[stage] = run_stage.submit(
                    stage,
                    root,
                    upstream,
                    results,
                    force,
                    env,
                    wait_for=[allow_failure(futures[name]) for name in upstream],
                )
            for future in futures.values():
                future.wait()
        except BaseException:  # cancelled: the stages live in other process groups and would go on
            stage_process.stop_all()
            raise
        rows = run.finish(results)
    create_table_artifact(rows, key="stages", description="What became of each stage")
    failed = [stage for stage, result in results.items() if result.outcome == "Failed"]
    if failed:
        return Failed(message=f"{failed[0]}: {results[failed[0]].reason}")
    counts = {name: sum(result.outcome == name for result in results.values()) for name in ("Ran", "Cached", "Skipped")}
    return Completed(message=", ".join(f"{number} {name.lower()}" for name, number in counts.items() if number))


def main(arguments: list[str]) -> int:
    """The command line; 0, or 1 when a stage failed."""
    parser = argparse.ArgumentParser(prog="python -m flows.pipeline", description="Run the pipeline as a Prefect flow.")
    parser.add_argument("stages", nargs="*", help="only these stages")
    parser.add_argument("--force", action="store_true", help="run stages even when nothing changed")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values for params.yaml")
    options = parser.parse_args(arguments)
    logs.configure()
    try:
        state = pipeline(options.stages, read_settings(options.set), options.force, return_state=True)
    except UserError as error:
        logger.error(error)
        return 1
    return 0 if state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
