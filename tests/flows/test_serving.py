"""Deployments on a real server: schedule, cancelling, two runs at once, a worker that is killed."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from flows.isolated import PLACE
from flows.ui import CODE, start_prefect, stop, wait_until_up

pytestmark = pytest.mark.slow

LONG = {"second.steps": 1000, "second.pause": 0.05}
# Seconds until something has happened that takes a few on an idle machine.
PATIENCE = 240


def until(what: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.2)
    return answer


class Served:
    """A toy project whose flows are served."""

    def __init__(self, api: str, root: Path) -> None:
        self.api, self.root = api, root
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = os.environ | {
            "PREFECT_API_URL": api,
            "CRAWL2CHAT_TRACKING": "on",
            "PATH": path,
            "PYTHONPATH": CODE,
        }
        self.worker: subprocess.Popen[bytes] | None = None

    def serve(self, *arguments: str) -> None:
        with (self.root.parent / "serve.log").open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "flows.serve", *arguments],
                cwd=self.root,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.api}/{path}", data, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def deployment(self, name: str) -> str | None:
        named = {"deployments": {"name": {"any_": [name]}}}
        found = self.ask("deployments/filter", named)
        return found[0]["id"] if found else None

    def start(self, overrides: dict[str, Any]) -> str:
        deployment = until(lambda: self.deployment("full run"))
        run = self.ask(f"deployments/{deployment}/create_flow_run", {"parameters": {"overrides": overrides}})
        return run["id"]

    def pause(self, name: str) -> None:
        """No further run by the deployment's schedule."""
        self.ask(f"deployments/{self.deployment(name)}/pause_deployment", {})

    def state(self, run: str) -> str:
        return self.ask(f"flow_runs/{run}")["state"]["type"]

    def tasks(self, run: str) -> dict[str, str]:
        tasks = self.ask("task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return {task["name"]: task["state"]["name"] for task in tasks}

    def finished(self, deployment: str) -> list[str]:
        """The completed runs of a deployment, the oldest first."""
        wanted = {
            "deployments": {"name": {"any_": [deployment]}},
            "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
            "sort": "START_TIME_ASC",
        }
        return [run["id"] for run in self.ask("flow_runs/filter", wanted)]

    def working(self) -> list[str]:
        """Flow runs that have not ended."""
        ended = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED", "SCHEDULED"]
        return [run["id"] for run in self.ask("flow_runs/filter", {}) if run["state"]["type"] not in ended]

    def steps(self) -> list[Path]:
        """The checkpoints of `second`, wherever it runs."""
        return list((self.root / PLACE).glob("*/.work/second/*/step"))

    def reached(self, step: int) -> Path | None:
        return next((path for path in self.steps() if int(path.read_text() or 0) >= step), None)

    def alive(self) -> list[int]:
        """Processes of `second`."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            inside = (process.info["cwd"] or "").startswith(str(self.root))
            if inside and "stages second" in " ".join(process.info["cmdline"] or []):
                found.append(process.pid)
        return found

    def mlflow_states(self, flow_run: str) -> dict[str, str]:
        """Experiment → status of the runs that belong to a flow run."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.root}/mlflow.db")
        names = {each.experiment_id: each.name for each in client.search_experiments()}
        stages = client.search_runs(list(names), f"tags.`prefect.flow_run` = '{flow_run}'")
        parents = {run.data.tags.get("pipeline.run") for run in stages} - {None}
        runs = [*stages, *map(client.get_run, parents)]
        return {names[run.info.experiment_id]: run.info.status for run in runs}


@pytest.fixture
def served(tracked: Path) -> Iterator[Served]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = start_prefect(tracked, port)
    api = f"http://127.0.0.1:{port}/api"
    toys = Served(api, tracked)
    try:
        wait_until_up("Prefect", f"{api}/health", server, tracked / ".work" / "prefect.log")
        yield toys
    finally:
        if toys.worker:
            stop(toys.worker)
        stop(server)


def test_from_a_schedule_to_a_worker_that_is_killed(served: Served) -> None:
    # A schedule fires by itself, and finds nothing to do the second time.
    served.serve("--nightly", "* * * * *")
    first, second = until(lambda: served.finished("nightly")[:2] if len(served.finished("nightly")) > 1 else None)
    assert set(served.tasks(first).values()) == {"Ran"} and len(served.tasks(first)) == 3
    assert set(served.tasks(second).values()) == {"Skipped"}
    assert not (served.root / "dvc.lock").exists()  # the project's own folder is as it was
    served.pause("nightly")
    until(lambda: not served.working())

    # Cancelled from the API: the stage is gone in five seconds, MLflow knows it, and a rerun goes on.
    run = served.start(LONG)
    checkpoint = until(lambda: served.reached(150))  # seconds: until then MLflow knows of the stage
    served.ask(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})
    until(lambda: not served.alive(), 5)
    until(lambda: served.state(run) == "CANCELLED")
    states = served.mlflow_states(run)
    assert states["second"] == "KILLED" and states["pipeline"] == "KILLED"
    reached = int(checkpoint.read_text())
    checkpoint.write_text("998")  # the rest of the thousand steps would only take time
    rerun = served.start(LONG)
    until(lambda: served.state(rerun) == "COMPLETED")
    workspace = checkpoint.parents[3]
    assert reached >= 150 and json.loads((workspace / "metrics/second.json").read_text())["began"] == 998
    (reference,) = [path for path in (served.root / PLACE).iterdir() if path != workspace]
    out = "models/second/model.safetensors"
    assert (workspace / out).read_bytes() == (reference / out).read_bytes()

    # Two at once, each with its own parameters and outs.
    pair = [served.start({"first.letters": 5}), served.start({"first.letters": 6})]
    until(lambda: {served.state(each) for each in pair} == {"COMPLETED"})
    texts = {path.read_text() for path in (served.root / PLACE).glob("*/data/first/text")}
    assert {"xxxxx7", "xxxxxx7"} <= texts

    # The worker is killed: the stage ends, the run is Crashed, and the next one is not held up.
    lost = served.start(LONG | {"seed": 8})
    until(lambda: served.reached(5) and served.alive())
    served.worker.kill()
    served.worker.wait()
    until(lambda: served.state(lost) == "CRASHED", 120)
    until(lambda: not served.alive(), 10)
    served.serve()
    following = served.start({"first.letters": 7})
    until(lambda: served.state(following) == "COMPLETED")
