"""Tells MLflow about a stage's run without ever being in its way: events go down a pipe to a process of their own.

That process (stages/mlflow_writer.py) imports MLflow, which takes seconds, while the stage is already working; it may
wait for a server that does not answer, or die, and the stage goes on. When the stage is killed, the pipe closes and
the writer marks the run as killed. In: what a stage reports. Out: JSON lines, one an event.
"""

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crawl2chat.tracking import Tracker
from stages.mlflow_store import tracking_uri

# Seconds a finished stage waits for MLflow to take the last events.
PATIENCE = 120

logger = logging.getLogger(__name__)


class RunTracker(Tracker):
    """What the runner asks of a tracker beyond what a stage does. This one keeps nothing."""

    run_id: str | None = None

    def __init__(self) -> None:
        # What the stage took on this machine, for the runner's note about its last run.
        self.kept_facts: dict[str, Any] = {}

    def facts(self, values: dict[str, Any]) -> None:
        self.kept_facts |= values

    def finish(self, metrics: dict[str, Any], rows: dict[str, dict[str, Any]], outs: list[str]) -> None:
        """The stage has succeeded and its outs are in place. `rows`: its headline (stages/headline.py)."""

    def fail(self, reason: str) -> None:
        """The stage ended with an error."""


class MlflowTracker(RunTracker):
    """One MLflow run: opened now, closed by `finish` or `fail`."""

    def __init__(
        self,
        root: Path,
        stage: str,
        params: dict[str, Any],
        machine: dict[str, Any],
        inputs: dict[str, str],
        work: Path,
    ) -> None:
        """`inputs`: DVC hash of every dependency by path. `work` keeps the run's id: a resumed stage goes on in it."""
        super().__init__()
        self.writer = subprocess.Popen(
            [sys.executable, "-m", "stages.mlflow_writer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=root,
            text=True,
        )
        self.warned = False
        self.send(
            "start",
            uri=tracking_uri(root),
            root=str(root),
            stage=stage,
            params=params,
            machine=machine,
            inputs=inputs,
            work=str(work),
            process=os.getpid(),
        )

    def send(self, kind: str, **event: Any) -> None:
        """Pass one event on; when the writer has ended, say so once and drop the rest."""
        try:
            line = json.dumps({"kind": kind, "time": int(time.time() * 1000), **event}, default=str)
            self.writer.stdin.write(line + "\n")
            self.writer.stdin.flush()
        except (OSError, ValueError) as error:
            self.warn(f"MLflow's writer has ended ({error}); the rest of this run is not tracked.")

    def warn(self, sentence: str) -> None:
        if not self.warned:
            logger.warning(sentence)
        self.warned = True

    def params(self, values: dict[str, Any]) -> None:
        # Apart from the stage's own: `steps: null` in params.yaml and the steps that followed from it may not collide.
        self.send("params", values={"derived": values})

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        self.send("metrics", values={name: float(value) for name, value in values.items()}, step=step or 0)

    def table(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        if rows:  # a table without rows has no columns either
            self.send("table", name=name, rows=list(rows))

    def artifact(self, path: Path, folder: str = "") -> None:
        self.send("artifact", path=str(path), folder=folder)

    def model(self, name: str, path: Path, metrics: dict[str, float] | None = None, step: int | None = None) -> None:
        self.send("model", name=name, path=str(path), metrics=metrics or {}, step=step or 0)

    def finish(self, metrics: dict[str, Any], rows: dict[str, dict[str, Any]], outs: list[str]) -> None:
        self.close("finish", metrics=metrics, rows=rows, facts=self.kept_facts, outs=outs)

    def fail(self, reason: str) -> None:
        self.close("fail", reason=reason)

    def close(self, kind: str, **event: Any) -> None:
        """Send the last event and wait until everything is stored, but not for ever."""
        self.send(kind, **event)
        try:
            answer, _ = self.writer.communicate(timeout=PATIENCE)
            self.run_id = answer.strip() or None
        except (subprocess.TimeoutExpired, OSError, ValueError):
            self.writer.kill()
            self.warn(f"MLflow took longer than {PATIENCE} s to store the last events; this run is not complete there.")
