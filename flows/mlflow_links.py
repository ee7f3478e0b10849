"""The pipeline's own run in MLflow, and the way from a reused stage back to the run that made its outs.

A stage that DVC skips or restores logs nothing. Its entry in dvc.lock has the hashes of its outs; every stage run is
tagged with their digest (stages/hashes.py): equal digests, same outs.
"""

import json
import logging
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError
from flows.stage_process import Result, lock_entries
from stages.hashes import outs_digest
from stages.mlflow_store import tracking_uri

EXPERIMENT = "pipeline"

logger = logging.getLogger(__name__)


def reader(root: Path) -> Any:
    """A client that looks things up in the project's store; UserError where there is none, or it does not answer."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    uri = tracking_uri(root)
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        raise UserError(f"{root} has no MLflow store yet; run the pipeline, or set MLFLOW_TRACKING_URI.")
    from mlflow import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    client = MlflowClient(uri)
    try:
        client.search_experiments(max_results=1)
    except Exception as error:
        raise UserError(f"MLflow at {uri} does not answer ({type(error).__name__}).") from None
    return client


class PipelineRun:
    """A run in the experiment `pipeline`, or another, parent of its stages' runs. MLflow's failures are warnings."""

    def __init__(
        self,
        root: Path,
        experiment: str = EXPERIMENT,
        name: str = EXPERIMENT,
        uri: str = "",
        run_name: str = "",
        idle: bool = False,
    ) -> None:
        """`uri`: the store, where it is not the one of `root`; `run_name`: what MLflow calls the run; `idle`: nothing
        is to be done, so there is nothing to record."""
        self.root, self.experiment, self.name = root, experiment, name
        self.uri, self.run_name = uri or tracking_uri(root), run_name or name
        self.idle = idle or os.environ.get("CRAWL2CHAT_TRACKING") == "off"
        self.run_id: str | None = None
        self.client: Any = None

    def __enter__(self) -> "PipelineRun":
        if self.idle:
            return self
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        uri = self.uri
        try:
            from stages.mlflow_runs import surroundings
            from stages.mlflow_store import open_client

            self.client, experiment = open_client(uri, self.experiment)
            self.run_id = self.client.create_run(
                experiment, run_name=self.run_name, tags=surroundings(self.root)
            ).info.run_id
        except Exception as error:
            self.client = None
            logger.warning(
                f"MLflow at {uri} cannot be used ({type(error).__name__}); the {self.name}'s own run is not tracked."
            )
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: Any) -> None:
        if self.run_id and error:
            self.attempt(lambda: self.client.set_terminated(self.run_id, "KILLED"))

    def finish(self, results: dict[str, Result]) -> list[dict[str, str]]:
        """Note what became of each stage, with the run behind it; returns the rows of a table."""
        rows = []
        for stage, result in results.items():
            run = self.find(stage) if result.outcome != "Failed" else None
            rows.append({"stage": stage, "state": result.outcome, "reason": result.reason, "mlflow run": run or ""})
        failed = any(row["state"] == "Failed" for row in rows)
        if self.run_id:
            self.attempt(
                lambda: self.client.log_table(
                    self.run_id, {key: [row[key] for row in rows] for key in rows[0]}, "stages.json"
                )
            )
            for row in rows:
                self.attempt(lambda row=row: self.client.set_tag(self.run_id, f"stage.{row['stage']}", json.dumps(row)))
        self.end("a stage" if failed else "")
        return rows

    @cached_property
    def lock(self) -> dict[str, dict[str, Any]]:
        """dvc.lock by stage, read once: nothing is looked for before all stages have ended."""
        return lock_entries(self.root)

    def find(self, stage: str) -> str | None:
        """The latest run that made the outs which dvc.lock names for a stage."""
        if not self.client:
            return None
        outs = self.lock.get(stage, {}).get("outs", [])
        digest = outs_digest({out["path"]: out.get("md5", "") for out in outs})
        return self.attempt(lambda: self.search(stage, digest))

    def search(self, stage: str, digest: str) -> str | None:
        experiment = self.client.get_experiment_by_name(stage)
        runs = experiment and self.client.search_runs(
            [experiment.experiment_id], f"tags.`dvc.outs` = '{digest}'", order_by=["start_time DESC"], max_results=1
        )
        return runs[0].info.run_id if runs else None

    def end(self, failure: str) -> None:
        """Close the run; it has failed when there is a sentence about a failure."""
        if self.run_id:
            self.attempt(lambda: self.client.set_terminated(self.run_id, "FAILED" if failure else "FINISHED"))

    def attempt(self, action: Any) -> Any:
        try:
            return action()
        except Exception as error:
            logger.warning(f"MLflow did not store or find something ({type(error).__name__}).")
            return None


def mark_killed(uri: str, pipeline_run: str) -> None:
    """Say of a pipeline's run, and of its stages' runs that were going on, that they were killed. Once for all: a stage
    that is killed with its whole group cannot say it itself."""
    from mlflow import MlflowClient

    try:
        client = MlflowClient(uri)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        going = f"attributes.status = 'RUNNING' AND tags.`pipeline.run` = '{pipeline_run}'"
        for run in client.search_runs(experiments, going):
            client.set_terminated(run.info.run_id, "KILLED")
        if client.get_run(pipeline_run).info.status == "RUNNING":
            client.set_terminated(pipeline_run, "KILLED")
    except Exception as error:
        logger.warning(f"MLflow did not take that the run was killed ({type(error).__name__}).")
