"""Surroundings that cannot work, for every program of the flows: one sentence, exit status 1, no server started."""

import errno
import importlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import isolated, pipeline, serve, stage_process, summary, ui

Told = Callable[..., str]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """`told(main, argument, …)` is the one sentence with which a program ends."""

    def run(main: Callable[[list[str]], int], *arguments: str) -> str:
        assert main(list(arguments)) == 1
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1, error
        return error.strip()

    return run


@pytest.fixture
def here(toys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(toys)
    return toys


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: Any, **__: Any) -> None:
        raise AssertionError("a server was started")

    monkeypatch.setattr(ui, "start", started)
    monkeypatch.setattr(serve, "serve", started)


# ---- addresses


@pytest.fixture(params=["nothing listens", "nothing answers", "no HTTP"])
def address(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address at which there is no Prefect, as PREFECT_API_URL."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    monkeypatch.setattr("flows.prefect_server.PATIENCE", 0.5)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if request.param != "nothing listens":
            server.listen()
        if request.param == "no HTTP":
            threading.Thread(target=lambda: server.accept()[0].sendall(b"220 mail\r\n"), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: url}):
            yield url


@pytest.mark.parametrize("name", ["pipeline", "serve", "sweep"])
def test_an_address_at_which_no_prefect_answers(name: str, address: str, here: Path, told: Told, monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "check", lambda *_: None)
    monkeypatch.setattr("flows.sweep.check", lambda *_: None)
    arguments = ["third.size", "--variant", "up", "first.letters=9"] if name == "sweep" else []
    assert told(importlib.import_module(f"flows.{name}").main, *arguments) == (
        f"error: Prefect at {address} does not answer; start it with `make ui`, or unset PREFECT_API_URL to do without."
    )


# ---- what does not exist, or does not parse


@pytest.mark.parametrize(
    ("main", "arguments", "sentence"),
    [
        (pipeline.main, ["frist"], "no stage is called 'frist'; the stages are first, second, third."),
        (pipeline.main, ["--profile", "smok"], "there is no profile 'smok'; the profiles are none."),
        (pipeline.main, ["--snapshot", "2026-13-01"], "there is no crawl snapshot inputs/snapshots/2026-13-01;"),
        (pipeline.main, ["--set", "frist.letters=3"], "params.yaml has no section 'frist'; did you mean first?"),
        (serve.main, ["--nightly", "nonsense"], "'nonsense' is no schedule; write five fields as cron has them"),
        (serve.main, ["--nightly", "99 3 * * *"], "'99 3 * * *' is no schedule;"),
        (serve.main, [], "PREFECT_API_URL is not set; `make ui` starts a server"),
        (ui.main, ["--root", "nowhere"], "run from the project's root."),
        (summary.main, ["--root", "nowhere"], "dvc.yaml is not in nowhere; run from the project's root."),
        (ui.main, ["--prefect-port", "99999"], "--prefect-port 99999 is no port; name one from 1 to 65535."),
    ],
)
def test_what_does_not_exist_or_parse(main: Any, arguments: list[str], sentence: str, here: Path, told: Told) -> None:
    assert sentence in told(main, *arguments)
    assert not (here / "workspaces").exists() and not (here / "nowhere").exists()


def test_a_mistake_in_machine_yaml(here: Path, told: Told) -> None:
    (here / "machine.yaml").write_text("wokers: 3\n")
    assert "machine.yaml: wokers is unknown; did you mean workers?" in told(pipeline.main)
    assert not (here / "workspaces").exists()


def test_a_port_that_is_taken(here: Path, told: Told) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        assert f"port {port} is taken; name another with --mlflow-port." in told(ui.main, "--mlflow-port", port)


@pytest.mark.parametrize("main", [pipeline.main, serve.main])
def test_a_folder_that_is_no_project(main: Any, tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(main) == f"error: dvc.yaml is not in {tmp_path}; run from the project's root."


# ---- disks


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, "error: the disk is full ({path}): make room (`dvc gc --workspace`, old runs in .work/)"),
        (errno.EROFS, "error: the folder cannot be written ({path}): give yourself the right to"),
    ],
)
def test_a_disk_that_takes_no_workspace(
    number: int, sentence: str, here: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(number, "no", str(target))

    monkeypatch.setattr("flows.workspace.shutil.copy2", refuse)
    said = told(pipeline.main)
    (folder,) = (here / isolated.PLACE).iterdir()
    assert said.startswith(sentence.format(path=f"{folder}/")[:40])
    (here / "profiles").mkdir()
    (here / "profiles/own.yaml").write_text("{}")
    (here / "inputs").mkdir()
    assert told(importlib.import_module("flows.workspace").main, "own").startswith(sentence.format(path="")[:20])


def test_a_folder_that_cannot_be_locked(here: Path, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(isolated.os, "open", refuse)
    monkeypatch.setattr(isolated.os, "access", lambda *_: False)
    assert "cannot be written (Permission denied); make it writable, or use another." in told(pipeline.main)


def test_a_mistake_in_a_flow_is_the_message_of_its_state(here: Path) -> None:
    """What a form sends is known only when the flow begins."""
    state = pipeline.pipeline.fn(stages=["frist"])
    assert state.is_failed() and state.message == "no stage is called 'frist'; the stages are first, second, third."


# ---- git and DVC


@pytest.fixture
def instant(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the flow in a project without git, its stages without DVC; what it says."""
    (here / ".dvc" / "config.local").unlink()
    monkeypatch.setattr(stage_process, "run_stage", lambda *_, **__: stage_process.Result("Ran", "first run"))

    def run(*arguments: str) -> str:
        pipeline.main(list(arguments))
        return "".join(capsys.readouterr())

    return run


def test_without_git_a_run_in_its_own_workspace_works_and_one_here_says_what_to_do(here: Path, instant: Any) -> None:
    assert "3 ran" in instant()
    said = instant("--here")
    assert said.startswith(f"error: {here} is no git checkout: leave out --here, or let DVC do without git")
    assert "dvc config --local core.no_scm true" in said and said.count("\n") == 1


def test_a_folder_that_dvc_does_not_know(here: Path, told: Told) -> None:
    (here / ".dvc").rename(here / "dvc")
    assert told(pipeline.main) == f"error: {here} has no .dvc folder: DVC does not know it; clone the project whole."


def test_a_run_takes_edits_along_that_are_in_no_commit_and_says_which(here: Path, instant: Any) -> None:
    (here / ".gitignore").write_text("/workspaces\n__pycache__\n")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "First"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=here, check=True)
    assert "in no commit" not in instant()
    (here / "stages" / "first.py").write_text("# edited\n")
    (here / "notes").write_text("no part of what a run takes")
    assert "with edits that are in no commit: stages/first.py\n" in instant()
    (workspace,) = (here / isolated.PLACE).iterdir()
    assert (workspace / "stages" / "first.py").read_text() == "# edited\n"


def test_a_remote_that_does_not_answer_stops_no_run(here: Path, instant: Any) -> None:
    settings = (here / ".dvc" / "config").read_text()
    assert "[core]" in settings
    remote = (
        settings.replace("[core]", "[core]\n    remote = gone") + "['remote \"gone\"']\n    url = http://127.0.0.1:9/\n"
    )
    (here / ".dvc" / "config").write_text(remote)
    assert "3 ran" in instant()
    (here / ".dvc" / "config").write_text(settings + "[core]\n")
    said = instant()
    assert said.startswith(f"error: DVC does not take {here}: config file error: Duplicate section name")


def test_a_missing_remote_is_told_by_dvc(toys: Path, command: Any) -> None:
    assert command(toys, "dvc", "repro", "-q", "first").returncode == 0
    for made in (".dvc/cache", "data"):
        shutil.rmtree(toys / made)
    pull = command(toys, "dvc", "pull", "first")
    assert pull.returncode and "Traceback" not in pull.stderr and "no default remote set" in pull.stderr
