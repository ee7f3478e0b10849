"""The process that stores a stage's events in MLflow: one run per execution, in the experiment of its stage.

In: JSON lines from stages/mlflow_tracker.py on standard input. Out: the run with parameters, metrics in batches,
datasets by digest, tables, models; its id on standard output. Models are hard-linked into the artifact folder, never
copied. The run begins and ends with the stage, however long MLflow takes. Nothing here may stop a stage: what fails is
one warning on standard error.
"""

import contextlib
import json
import logging
import math
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawl2chat import logs
from crawl2chat.secrets import redacted
from stages.hashes import md5, outs_digest
from stages.headline import path_of
from stages.mlflow_names import FINAL, in_curves, of_a_stage
from stages.mlflow_runs import Parent, changed_inputs, is_code, mark_gone, run_name, surroundings
from stages.mlflow_store import flatten, is_number, log_params, open_client, set_tags

# Metrics in one request: MLflow's own limit.
BATCH = 1000
# Seconds between batches.
FLUSH = 2.0
# The model's name in the registry.
REGISTERED = "crawl2chat"
# Its whole card among the artifacts of the run that exported it, and as many characters of it as a server's database
# takes for a version's description.
CARD, LONGEST_CARD = "model_card.md", 5000

# By its full name: as a program this module is called __main__.
logger = logging.getLogger("stages.mlflow_writer")


def main() -> None:
    """Store events until the stage closes the pipe."""
    # A cancelled stage gets these with its whole group; the writer stays until the pipe closes, and marks the run.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A server that does not answer is given up after seconds, not minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "false")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    logs.configure()
    events = incoming()
    start = next(events)
    # Of a workspace too: MLflow looks up in its default store, beside the working folder, the model that is registered.
    os.environ["MLFLOW_TRACKING_URI"] = start["uri"]
    try:
        writer = Writer(start)
    except Exception as error:
        trouble = first_line(error)
        logger.warning(
            f"MLflow at {start['uri']} cannot be used ({trouble}); this run of {start['stage']} is not tracked."
        )
        for _ in events:  # keep reading, so that the stage never waits for the pipe
            pass
        return
    for event in events:
        try:
            writer.take(event)
        except Exception as error:
            logger.warning(f"MLflow did not store {event['kind']} ({first_line(error)}).")
    with contextlib.suppress(BrokenPipeError):  # a stage that was killed reads no more
        print(writer.run_id, flush=True)


def first_line(error: Exception) -> str:
    return redacted(f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200] if str(error).strip() else ''}")


def incoming() -> Iterator[dict[str, Any]]:
    """Events as they come, read by a thread so that the pipe is never full. Ends with "idle" ones between, and "killed"
    when the pipe closes without a last word."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    last = ""
    while last not in ("finish", "fail", "killed"):
        try:
            line = lines.get(timeout=FLUSH)
            event = json.loads(line) if line else {"kind": "killed", "time": int(time.time() * 1000)}
        except queue.Empty:
            event = {"kind": "idle"}
        last = event["kind"]
        yield event


class Writer:
    """An open MLflow run."""

    def __init__(self, start: dict[str, Any]) -> None:
        self.stage, self.root, self.inputs = start["stage"], Path(start["root"]), start["inputs"]
        self.client, self.experiment = open_client(start["uri"], self.stage)
        mark_gone(self.client)
        self.parent = Parent(self.client, start["uri"], self.root, start["time"])
        self.run_id = self.open(Path(start["work"]) / "mlflow_run", start["time"])
        data = {path: digest for path, digest in self.inputs.items() if not is_code(path)}
        code = {path: digest for path, digest in self.inputs.items() if is_code(path)}
        tags = {f"dvc.dep.{path}": digest for path, digest in data.items()} | {"dvc.code": outs_digest(code)}
        tags |= {f"machine.{key}": str(value) for key, value in flatten(start["machine"]).items()}
        tags |= surroundings(self.root, f"stages/{self.stage}.py", start["process"])
        if self.parent.run_id:
            tags |= {"pipeline.run": self.parent.run_id, "mlflow.parentRunId": self.parent.run_id}
        set_tags(self.client, self.run_id, tags)
        self.client.log_inputs(self.run_id, self.datasets())
        self.pending: list[Any] = []
        self.last_step = 0
        self.monitor: Any = None
        self.uri, self.opened = start["uri"], time.monotonic()
        log_params(self.client, self.run_id, start["params"])

    def datasets(self) -> list[Any]:
        """The data the stage reads, by name and DVC's hash: no byte of it is read here."""
        from mlflow.data.http_dataset_source import HTTPDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag

        read = {path: digest for path, digest in self.inputs.items() if path.startswith("data/")}
        found = [
            MetaDataset(HTTPDatasetSource(f"dvc://{path}"), name=path, digest=digest[:36])
            for path, digest in read.items()
        ]
        tags = [InputTag("mlflow.data.context", self.stage)]
        return [DatasetInput(dataset._to_mlflow_entity(), tags) for dataset in found]

    def open(self, remembered: Path, started: int) -> str:
        """A new run, or the one in which this very work was interrupted."""
        with contextlib.suppress(Exception):
            run_id = remembered.read_text().strip()
            self.client.update_run(run_id, status="RUNNING")
            return run_id
        name = run_name(self.root, self.stage, changed_inputs(self.root, [self.stage], self.inputs))
        run_id = self.client.create_run(self.experiment, run_name=name, start_time=started).info.run_id
        remembered.write_text(run_id)
        return run_id

    def watch(self, uri: str) -> Any:
        """Load of processor, memory, disk and accelerators every ten seconds, by MLflow's own monitor."""
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(self.run_id, sampling_interval=10, samples_before_logging=1, tracking_uri=uri)
        monitor.start()
        return monitor

    def take(self, event: dict[str, Any]) -> None:
        """Store one event; metrics wait for their batch."""
        kind = event["kind"]
        if kind != "metrics" or len(self.pending) >= BATCH // 2:
            self.flush()
        if not self.monitor and time.monotonic() - self.opened > 10:  # not worth its start in a short stage
            self.monitor = self.watch(self.uri)
        getattr(self, f"on_{kind}")(event)

    def flush(self) -> None:
        pending, self.pending = self.pending, []
        for start in range(0, len(pending), BATCH):
            self.client.log_batch(self.run_id, metrics=pending[start : start + BATCH])

    def on_idle(self, event: dict[str, Any]) -> None:
        """Nothing new: the flush has been done."""

    def on_params(self, event: dict[str, Any]) -> None:
        log_params(self.client, self.run_id, event["values"])

    def on_metrics(self, event: dict[str, Any]) -> None:
        self.last_step = max(self.last_step, event["step"])
        self.add({in_curves(name): value for name, value in event["values"].items()}, event["time"], event["step"])

    def add(self, numbers: dict[str, float], now: int, step: int) -> None:
        """Numbers for the next batch; those that are none are left out."""
        from mlflow.entities import Metric

        self.pending += [Metric(key, value, now, step) for key, value in numbers.items() if math.isfinite(value)]

    def on_table(self, event: dict[str, Any]) -> None:
        columns = {name: [row.get(name) for row in event["rows"]] for name in event["rows"][0]}
        self.client.log_table(self.run_id, columns, f"tables/{event['name']}.json")

    def on_artifact(self, event: dict[str, Any]) -> None:
        self.client.log_artifact(self.run_id, event["path"], event["folder"] or None)

    def on_model(self, event: dict[str, Any]) -> None:
        self.log_model(event["name"], Path(event["path"]), event["metrics"], event["step"])

    def log_model(self, name: str, path: Path, metrics: dict[str, float], step: int, digest: str = "") -> str:
        """A logged model whose files are hard links; returns its id."""
        from mlflow.entities import LoggedModelOutput

        tags = {"stage": self.stage, "step": str(step)} | ({"dvc.md5": digest} if digest else {})
        model = self.client.create_logged_model(self.experiment, name=name, source_run_id=self.run_id, tags=tags)
        link(path, model.artifact_location)
        self.client.finalize_logged_model(model.model_id, "READY")
        self.client.log_outputs(self.run_id, [LoggedModelOutput(model.model_id, step)])
        for key, value in metrics.items():
            self.client.log_metric(self.run_id, key, value, step=step, model_id=model.model_id)
        return model.model_id

    def on_finish(self, event: dict[str, Any]) -> None:
        """The headline, all other numbers as a file, hashes of the outs, the models among them, and success."""
        self.add(of_a_stage(event["rows"]), event["time"], self.last_step)
        facts = flatten(event["facts"])
        self.add({f"took/{key}": value for key, value in facts.items() if is_number(value)}, event["time"], 0)
        self.flush()
        self.client.log_dict(self.run_id, event["metrics"], "metrics.json")
        hashes = {path: md5(self.root / path) for path in event["outs"]}
        tags = {f"dvc.out.{path}": digest for path, digest in hashes.items()} | {"dvc.outs": outs_digest(hashes)}
        tags |= {f"machine.{key}": value for key, value in facts.items() if isinstance(value, str)}
        set_tags(self.client, self.run_id, tags)
        for path, digest in hashes.items():
            if (self.root / path / "config.json").exists():
                numbers = self.evaluation() if self.stage == "export" else of_a_stage(event["rows"])
                model_id = self.log_model(Path(path).name, self.root / path, numbers, 0, digest)
                if self.stage == "export":
                    self.register(model_id, self.root / path, digest)
            elif path.startswith(("report", "plots")):
                self.on_artifact({"path": str(self.root / path), "folder": ""})
        self.end("FINISHED", event)

    def register(self, model_id: str, folder: Path, digest: str) -> None:
        """A version of the final model in the registry: challenger, and champion where there is none yet."""
        from mlflow.exceptions import MlflowException

        with contextlib.suppress(MlflowException):  # it exists from an earlier run
            self.client.create_registered_model(REGISTERED)
        card = (folder / "README.md").read_text(encoding="utf-8")
        self.client.log_text(self.run_id, card, CARD)
        evaluation = {f"evaluation.{name}": str(value) for name, value in self.evaluation().items()}
        version = self.client.create_model_version(
            REGISTERED,
            source=f"models:/{model_id}",
            run_id=self.run_id,
            model_id=model_id,
            tags={"dvc.md5": digest} | evaluation,
            description=shortened(card),
        )
        self.client.set_registered_model_alias(REGISTERED, "challenger", version.version)
        if "champion" not in self.client.get_registered_model(REGISTERED).aliases:
            self.client.set_registered_model_alias(REGISTERED, "champion", version.version)

    def evaluation(self) -> dict[str, float]:
        """What the exam says about the chat model, which is what is exported."""
        path = self.root / path_of(FINAL)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def on_fail(self, event: dict[str, Any]) -> None:
        set_tags(self.client, self.run_id, {"error": event["reason"]})
        self.end("FAILED", event)

    def on_killed(self, event: dict[str, Any]) -> None:
        self.end("KILLED", event)

    def end(self, status: str, event: dict[str, Any]) -> None:
        if self.monitor:
            self.monitor.finish()
        self.client.set_terminated(self.run_id, status, end_time=event["time"])
        self.parent.note(self.stage, status, event.get("rows", {}), event["time"])


def shortened(card: str) -> str:
    """A model card that fits a version's description, cut at the end of a line."""
    if len(card) <= LONGEST_CARD:
        return card
    note = f"\n\n… {CARD} of the version's run has the rest."
    return card[: LONGEST_CARD - len(note)].rpartition("\n")[0] + note


def link(source: Path, location: str) -> None:
    """Hard links of a file or folder in a local artifact folder; a server's store gets none, only the hash."""
    from urllib.parse import unquote, urlparse

    parts = urlparse(location)
    if parts.scheme not in ("", "file"):
        return
    target = Path(unquote(parts.path))
    for file in [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / (file.name if source.is_file() else file.relative_to(source))
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.hardlink_to(file)
        except OSError:  # another disk, or one without hard links
            place.symlink_to(file.resolve())


if __name__ == "__main__":
    main()
