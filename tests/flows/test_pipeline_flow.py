"""The flow on a real Prefect server and a real MLflow store: states, reasons, links, failure and cancellation."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.ui import start_prefect, stop, wait_until_up

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server on loopback; the address of its API."""
    folder = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start_prefect(folder, port)
    api = f"http://127.0.0.1:{port}/api"
    try:
        wait_until_up("Prefect", f"{api}/health", process, folder / ".work" / "prefect.log")
        yield api
    finally:
        stop(process)


def ask(api: str, path: str, body: dict[str, Any]) -> Any:
    import urllib.request

    request = urllib.request.Request(f"{api}/{path}", json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


class Flow:
    """Runs the flow in a toy project and asks the server what it has stored."""

    def __init__(self, api: str, root: Path) -> None:
        self.api, self.root = api, root
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.environment = os.environ | {"PREFECT_API_URL": api, "CRAWL2CHAT_TRACKING": "on", "PATH": path}

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "flows.pipeline", *arguments],
            cwd=self.root,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=240)
        return process.returncode, output

    def latest(self) -> dict[str, Any]:
        (run,) = ask(self.api, "flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 1})
        return run

    def states(self) -> dict[str, tuple[str, str]]:
        """Stage → (name of its state, message) in the latest flow run."""
        tasks = ask(self.api, "task_runs/filter", {"flow_runs": {"id": {"any_": [self.latest()["id"]]}}})
        return {task["name"]: (task["state"]["name"], task["state"]["message"]) for task in tasks}


@pytest.fixture
def flow(server: str, tracked: Path) -> Flow:
    return Flow(server, tracked)


def stage_links(root: Path) -> list[dict[str, str]]:
    """For each run of the pipeline, the latest first: stage → MLflow run."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("pipeline").experiment_id], order_by=["start_time DESC"])
    tags = [
        {
            key.removeprefix("stage."): json.loads(value)
            for key, value in run.data.tags.items()
            if key.startswith("stage.") and not key.endswith(".status")
        }
        for run in runs
    ]
    return [{stage: row["mlflow run"] for stage, row in stages.items()} for stages in tags]


def test_ran_skipped_cached_each_with_its_reason_and_its_mlflow_run(flow: Flow) -> None:
    code, output = flow.run("--here")
    assert code == 0, output
    assert flow.states() == {stage: ("Ran", "first run") for stage in ("first", "second", "third")}
    assert "first is working" in output

    code, output = flow.run("--here")
    assert flow.states() == {stage: ("Skipped", "nothing changed") for stage in ("first", "second", "third")}

    flow.run("--here", "--set", "second.steps=4")
    states = flow.states()
    assert states["first"][0] == "Skipped"
    assert states["second"] == ("Ran", "changed: second.steps")

    flow.run("--here", "--set", "second.steps=3")
    assert flow.states()["second"][0] == "Cached"
    reverted, _, original = stage_links(flow.root)  # a run with nothing to do leaves none
    assert reverted == original
    assert all(original.values())


def test_a_failure_stops_what_depends_on_it_and_names_the_stage(flow: Flow) -> None:
    code, output = flow.run("--set", "second.fail=true")
    assert code == 1
    assert flow.states() == {
        "first": ("Ran", "first run"),
        "second": ("Failed", "second cannot go on; set second.fail to false."),
        "third": ("Failed", "not run: second failed"),
    }
    state = flow.latest()["state"]
    assert (state["name"], state["message"]) == ("Failed", "second: second cannot go on; set second.fail to false.")


def alive(root: Path) -> list[str]:
    """Processes working in a folder's stages."""
    import psutil

    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        command = " ".join(process.info["cmdline"] or [])
        if process.info["cwd"] == str(root) and "stages second" in command:
            found.append(command)
    return found


def test_cancelled_it_stops_the_stage_and_a_rerun_resumes(flow: Flow) -> None:
    """Prefect cancels by SIGTERM."""
    process = flow.start("--here", "--set", "second.steps=1000", "second.pause=0.05")
    for line in process.stdout:
        if "step 5" in line:
            break
    assert alive(flow.root)
    # What has not begun is there already, by name.
    waiting = [state for name, (state, _) in flow.states().items() if name.startswith("third")]
    assert waiting == ["Pending"]
    process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + 5
    while alive(flow.root):
        assert time.monotonic() < deadline, alive(flow.root)
        time.sleep(0.1)
    process.stdout.close()
    process.wait(60)
    (step,) = flow.root.glob(".work/second/*/step")
    reached = int(step.read_text())
    assert reached >= 5
    step.write_text("999")  # the rest of the thousand steps would only take time
    code, output = flow.run("second", "--here")
    assert code == 0, output
    assert json.loads((flow.root / "metrics/second.json").read_text())["began"] == 999
