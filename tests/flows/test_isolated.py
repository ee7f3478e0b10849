"""Runs that neither wait for nor spoil each other: workspaces, their locks, what a killed flow leaves behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawl2chat.errors import UserError
from flows import stage_process, watchdog
from flows.dag import read_state
from flows.isolated import abandoned, claim, lock
from flows.overrides import check, layers_of
from flows.prefect_server import OwnOrigin
from flows.stage_process import judge
from stages.files import read_yaml


def contents(folder: Path) -> dict[Path, bytes]:
    kept = (path for path in folder.rglob("*") if path.is_file() and "workspaces" not in path.parts)
    return {path: path.read_bytes() for path in kept if ".dvc/tmp" not in str(path) and "__pycache__" not in path.parts}


def test_two_runs_at_once_have_a_workspace_each_and_the_project_stays_as_it_is(toys: Path) -> None:
    before = contents(toys)
    with claim(toys, "", [{"second": {"steps": 9}}]) as (one, _):
        with claim(toys, "", [{"second": {"steps": 9}}]) as (two, _):
            assert one != two
            assert read_yaml(two / "params.yaml")["second"]["steps"] == 9
        (one / ".work/second").mkdir()
    assert contents(toys) == before
    assert read_yaml(toys / "params.yaml")["second"]["steps"] == 3
    with claim(toys, "", [{"second": {"steps": 9}}]) as (again, _):  # the same once more finds its checkpoints
        assert (again / ".work/second").is_dir()
    with claim(toys, "", [{"second": {"steps": 8}}]) as (other, _):
        assert other != again


def test_a_new_workspace_takes_over_what_the_project_has_made(toys: Path, command) -> None:
    """As after `dvc pull`: outs and metrics are there, and nothing says how they came about but dvc.lock."""
    done = command(toys, "dvc", "repro")
    assert done.returncode == 0, done.stderr
    shutil.rmtree(toys / ".dvc/cache/runs")
    with claim(toys, "", [{}]) as (workspace, _):
        assert read_state(workspace, [], restore=True)[1] == frozenset()
    with claim(toys, "", [{"third": {}, "second": {"steps": 4}}]) as (workspace, _):
        assert read_state(workspace, [], restore=True)[1] == {"second", "third"}


def test_a_taken_folder_names_the_process_whole(tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(UserError, match=f"^PID {os.getpid()} works in "), lock(tmp_path):
        pass


HOLDER = "import sys, time; from pathlib import Path; from flows.isolated import lock\n"
HOLDER += "with lock(Path(sys.argv[1]), 'the-flow-run'): print('held', flush=True); time.sleep(60)"


def test_a_killed_run_frees_its_workspace_and_is_known_as_abandoned(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline().strip() == "held"
    assert list(abandoned(tmp_path)) == []
    with pytest.raises(UserError, match=f"PID {holder.pid} works"), lock(tmp_path):
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert list(abandoned(tmp_path)) == ["the-flow-run"]
    with lock(tmp_path):
        pass


def test_the_newest_snapshot_becomes_the_crawl(toys: Path) -> None:
    assert layers_of(toys, "", {}, "newest") == [{}]
    for date in ("2026-10-01", "2026-11-01"):
        (toys / "inputs/snapshots" / date).mkdir(parents=True)
    newest, _ = layers_of(toys, "", {}, "newest")
    assert newest == {"crawl": {"source": "files", "inputs": "inputs/snapshots/2026-11-01"}}
    with pytest.raises(UserError, match="no crawl snapshot inputs/snapshots/2025-01-01"):
        layers_of(toys, "", {}, "2025-01-01")
    with pytest.raises(UserError, match="there is no profile 'smok'; the profiles are none"):
        layers_of(toys, "smok", {})


def test_a_value_is_checked_before_anything_starts() -> None:
    project = Path(__file__).parents[2]
    check(project, [{"pretrain": {"steps": 5}}])
    with pytest.raises(UserError, match="pretrain.steps"):
        check(project, [{"pretrain": {"steps": "many"}}])
    with pytest.raises(UserError, match="pretrain.stepps is unknown; did you mean pretrain.steps"):
        check(project, [{"pretrain": {"stepps": 5}}])


def test_a_stage_killed_from_outside_is_told_apart_from_one_that_failed() -> None:
    lines = ["ERROR: failed to reproduce 's': failed to run: python -m stages s, exited with -9"]
    assert judge("s", 255, lines, {}, {}).killed and "SIGKILL" in judge("s", 255, lines, {}, {}).reason
    assert not judge("s", 255, ["error: no text."], {}, {}).killed


@pytest.fixture
def few_seconds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stage_process, "PAUSES", (0.0, 0.0))
    stage_process.allow()
    yield


def test_only_faults_that_may_pass_are_tried_again(few_seconds: None, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def fails_with(reason: str) -> int:
        tries.clear()
        failed = stage_process.Result("Failed", reason)
        monkeypatch.setattr(stage_process, "try_stage", lambda *_: tries.append(1) or failed)
        stage_process.run_stage(Path(), "s", force=False, log=lambda line: None, env={})
        return len(tries)

    assert fails_with("requests.exceptions.ConnectionError: host is gone") == 3
    assert fails_with("no text in pages.") == 1
    assert fails_with("ValueError: odd") == 1


def test_a_stage_that_takes_too_long_is_stopped(toys: Path) -> None:
    stage_process.allow()
    (toys / "params.yaml").write_text("seed: 7\nfirst: {letters: 3}\nsecond: {steps: 900, pause: 0.1}\nthird: {}\n")
    env = stage_process.environment()
    stage_process.run_stage(toys, "first", force=False, log=print, env=env)
    result = stage_process.run_stage(toys, "second", force=False, log=print, env=env, minutes=0.1)
    assert result.outcome == "Failed" and "took longer than timeout_minutes in machine.yaml, 0.1" in result.reason


def test_the_watchdog_ends_the_stages_of_a_flow_that_is_killed() -> None:
    stage = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    finished = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    stream = watchdog.start("", "", "")
    stream.write(f"+{stage.pid}\n+{finished.pid}\n-{finished.pid}\n")
    stream.close()  # as the operating system does for a killed process
    assert stage.wait(30) == -signal.SIGTERM
    time.sleep(0.1)
    assert finished.poll() is None
    finished.kill()
    finished.wait()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "127.0.0.1:4200"}, 200),
        ({"host": "localhost:4200", "origin": "http://localhost:4200"}, 200),
        ({"host": "localhost:4200", "origin": "http://evil.example"}, 403),
        ({"host": "localhost:4200", "origin": "null"}, 403),
        ({"host": "evil.example"}, 400),
    ],
)
def test_prefects_server_answers_its_own_page_only(headers: dict[str, str], status: int) -> None:
    from starlette.responses import PlainTextResponse
    from starlette.testclient import TestClient

    from flows.prefect_server import behind_checks

    app = behind_checks(PlainTextResponse("the API"), 4200)
    assert isinstance(app.app, OwnOrigin)
    assert TestClient(app).post("/api/flow_runs/filter", headers=headers, json={}).status_code == status
