"""Tracking with a real sqlite store: what a run holds, that models are not copied, and that failure costs a warning
only."""

import errno
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from stages import mlflow_writer
from stages.files import read_yaml, write_json
from stages.hashes import outs_digest
from stages.mlflow_names import COMMON, in_charts, in_curves
from stages.mlflow_runs import HOST, PROCESS, mark_gone, process_id, surroundings
from stages.mlflow_store import flatten, log_params, open_client, project_of, set_tags, tracking_uri
from stages.mlflow_views import KIND, TAG, comparison_link, experiment_link, latest_comparison, run_link
from stages.mlflow_writer import REGISTERED, link

SECOND = ["second", "--source", "data/first", "--out", "models/second", "--out-curve", "plots/second.csv"]
ON = {"CRAWL2CHAT_TRACKING": "on"}


def client_of(root: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{root}/mlflow.db")


def runs_of(root: Path, stage: str) -> list[Any]:
    client = client_of(root)
    return client.search_runs([client.get_experiment_by_name(stage).experiment_id])


def wait_for(condition: Callable[[], object], patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@pytest.fixture
def reproduced(tracked: Path, command) -> Path:
    done = command(tracked, "dvc", "repro", "second", **ON)
    assert done.returncode == 0, done.stderr
    return tracked


@pytest.mark.slow
def test_a_run_holds_everything(reproduced: Path) -> None:
    (run,) = runs_of(reproduced, "second")
    lock = read_yaml(reproduced / "dvc.lock")["stages"]
    recorded = {out["path"]: out["md5"] for out in lock["second"]["outs"]}
    tags = run.data.tags
    assert run.info.status == "FINISHED" and run.info.run_name == "second · no git · first run"
    assert run.data.params == {"seed": "7", "steps": "3", "pause": "0.0", "fail": "False", "rates.learning": "0.0003"}
    assert {path: tags[f"dvc.out.{path}"] for path in recorded} == recorded
    assert tags["dvc.outs"] == outs_digest(recorded)
    assert tags["dvc.dep.data/first"] == lock["first"]["outs"][0]["md5"]
    assert run.data.metrics["accuracy"] == 3  # the headline, by its common name
    # What the stage took stands beside its metrics here, and in no file of the run.
    assert run.data.metrics["took/rate"] == 2.5
    assert "rate" not in (reproduced / "metrics" / "second.json").read_text()
    history = client_of(reproduced).get_metric_history(run.info.run_id, "loss")
    assert [(point.step, round(point.value, 3)) for point in history] == [(0, 1.0), (1, 0.5), (2, 0.333)]
    (dataset,) = run.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == ("data/first", lock["first"]["outs"][0]["md5"])
    files = {file.path for file in client_of(reproduced).list_artifacts(run.info.run_id)}
    assert {"tables", "second.csv", "metrics.json"} <= files


@pytest.mark.slow
def test_a_run_says_who_ran_what_and_lasts_as_long_as_its_stage(tracked: Path, command) -> None:
    """A stage of a second is over before MLflow is imported."""
    (tracked / "params.yaml").write_text("seed: 7\nfirst: {}\nsecond: {steps: 4, pause: 0.2}\nthird: {}\n")
    assert command(tracked, "dvc", "repro", "second", **ON).returncode == 0
    (run,) = runs_of(tracked, "second")
    assert run.data.tags["mlflow.source.name"] == "stages/second.py"
    assert run.data.tags["mlflow.user"]
    assert run.info.end_time - run.info.start_time >= 800


@pytest.mark.slow
def test_plain_dvc_has_a_run_above_its_stages_that_opens_on_what_changed(reproduced: Path, command) -> None:
    (whole,) = runs_of(reproduced, "pipeline")
    stages = [run for stage in ("first", "second") for run in runs_of(reproduced, stage)]
    assert {run.data.tags["mlflow.parentRunId"] for run in stages} == {whole.info.run_id}
    assert whole.info.status == "FINISHED" and whole.data.params["second.steps"] == "3"
    assert whole.data.metrics["second/accuracy"] == 3
    assert whole.info.start_time <= min(run.info.start_time for run in stages)
    assert whole.info.end_time >= max(run.info.end_time for run in stages)

    (reproduced / "params.yaml").write_text("seed: 7\nfirst: {letters: 3}\nsecond: {steps: 4}\nthird: {}\n")
    assert command(reproduced, "dvc", "repro", "second", **ON).returncode == 0
    newest = runs_of(reproduced, "pipeline")[0]
    assert newest.info.run_name == "pipeline · no git · second.steps=4"
    assert runs_of(reproduced, "second")[0].info.run_name == "second · no git · second.steps=4"


@pytest.mark.slow
def test_models_can_be_opened_and_carry_their_numbers_and_hash(reproduced: Path) -> None:
    client = client_of(reproduced)
    experiment = client.get_experiment_by_name("second").experiment_id
    models = {model.name: model for model in client.search_logged_models([experiment])}
    assert set(models) == {"second", "best"}
    assert models["best"].metrics[0].value == 0.5
    kept = Path(models["second"].artifact_location.removeprefix("file://")) / "model.safetensors"
    assert kept.read_text() == "xxx7"
    (version,) = [model.tags["dvc.md5"] for model in models.values() if "dvc.md5" in model.tags]
    outs = read_yaml(reproduced / "dvc.lock")["stages"]["second"]["outs"]
    assert version == next(out["md5"] for out in outs if out["path"] == "models/second")


def test_every_number_gets_a_name_that_the_store_takes(tmp_path: Path) -> None:
    from mlflow.entities import Metric

    client = client_of(tmp_path)
    run = client.create_run(client.create_experiment("names"))
    numbers = flatten({"transfer": {"gzip+chunked": 0.5, "a/b": {"🎯 c": 2}}, "kept": 1})
    client.log_batch(run.info.run_id, metrics=[Metric(name, value, 0, 0) for name, value in numbers.items()])
    stored = client.get_run(run.info.run_id).data.metrics
    assert stored == {"transfer.gzip_chunked": 0.5, "transfer.a/b._ c": 2, "kept": 1}


def test_models_are_linked_not_copied(tmp_path: Path) -> None:
    (tmp_path / "model" / "deep").mkdir(parents=True)
    source = tmp_path / "model" / "deep" / "model.safetensors"
    source.write_text("gigabytes")
    link(tmp_path / "model", (tmp_path / "artifacts of it").as_uri())
    assert (tmp_path / "artifacts of it/deep/model.safetensors").stat().st_ino == source.stat().st_ino
    link(source, "mlflow-artifacts:/1/models")  # a server's store
    assert source.stat().st_nlink == 2


@pytest.mark.slow
def test_a_failed_stage_says_why(tracked: Path, command) -> None:
    (tracked / "params.yaml").write_text("seed: 7\nfirst: {}\nsecond: {fail: true}\nthird: {}\n")
    command(tracked, "dvc", "repro", "second", **ON)
    (run,) = runs_of(tracked, "second")
    assert run.info.status == "FAILED"
    assert "second cannot go on" in run.data.tags["error"]


@pytest.mark.slow
def test_a_killed_stage_is_marked_and_goes_on_in_the_same_run(tracked: Path, command) -> None:
    (tracked / "params.yaml").write_text("seed: 7\nfirst: {}\nsecond: {steps: 300, pause: 0.1}\nthird: {}\n")
    command(tracked, "stages", "first", "--out", "data/first")
    process = subprocess.Popen(
        [sys.executable, "-m", "stages", *SECOND], cwd=tracked, env=os.environ | ON, stdout=subprocess.PIPE, text=True
    )
    wait_for(lambda: list(tracked.glob(".work/second/*/mlflow_run")))  # the writer has opened the run
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: runs_of(tracked, "second")[0].info.status == "KILLED")
    (killed,) = runs_of(tracked, "second")
    assert killed.info.status == "KILLED"
    for step in tracked.glob(".work/second/*/step"):
        step.write_text("299")
    assert command(tracked, "stages", *SECOND, **ON).returncode == 0
    (resumed,) = runs_of(tracked, "second")
    assert (resumed.info.run_id, resumed.info.status) == (killed.info.run_id, "FINISHED")


@pytest.mark.slow
def test_mlflow_that_answers_nothing_costs_a_warning_and_seconds(tracked: Path, command) -> None:
    with socket.socket() as silent:  # takes connections, never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        done = command(tracked, "stages", "first", "--out", "data/first", MLFLOW_TRACKING_URI=address, **ON)
    assert done.returncode == 0
    assert (tracked / "metrics/first.json").exists()
    assert f"warning: MLflow at {address} cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - started < 40


@pytest.mark.slow
def test_two_stages_that_meet_at_a_fresh_store_both_keep_their_runs(toys: Path) -> None:
    """MLflow's own migration fails when two processes meet in it."""
    (toys / "data" / "first").mkdir(parents=True)
    (toys / "data/first/text").write_text("x")
    commands = (["first", "--out", "data/again"], SECOND)
    pair = [
        subprocess.Popen([sys.executable, "-m", "stages", *arguments], cwd=toys, env=os.environ | ON)
        for arguments in commands
    ]
    assert [process.wait() for process in pair] == [0, 0]
    assert [run.info.status for stage in ("first", "second") for run in runs_of(toys, stage)] == ["FINISHED"] * 2


@pytest.mark.slow
def test_ten_runs_at_once_on_a_store_that_does_not_exist_are_all_there(tmp_path: Path) -> None:
    """MLflow's migration breaks when two meet in it, and sqlite takes one writer at a time."""
    program = (
        "import sys; from pathlib import Path; from stages.mlflow_store import open_client, tracking_uri\n"
        "client, experiment = open_client(tracking_uri(Path(sys.argv[1])), 'many')\n"
        "run = client.create_run(experiment).info.run_id\n"
        "for step in range(20): client.log_metric(run, 'loss', step, step=step)\n"
        "client.set_terminated(run)\n"
    )
    crowd = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(10)
    ]
    complaints = [process.communicate()[1] for process in crowd]
    assert [process.returncode for process in crowd] == [0] * 10, complaints
    runs = runs_of(tmp_path, "many")
    assert [(run.info.status, run.data.metrics["loss"]) for run in runs] == [("FINISHED", 19.0)] * 10


def test_workspaces_and_experiments_share_the_store_of_their_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    inside = [project, project / "workspaces" / "real", project / ".dvc" / "tmp" / "exps" / "tmp1"]
    for folder in inside:
        folder.mkdir(parents=True)
        (folder / "dvc.yaml").write_text("stages: {}")
    assert {project_of(folder) for folder in inside} == {project}
    assert {tracking_uri(folder) for folder in inside} == {f"sqlite:///{project}/mlflow.db"}
    assert surroundings(inside[1])["workspace"] == "workspaces/real" and "workspace" not in surroundings(project)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    assert tracking_uri(inside[1]) == "http://mlflow.example"


def test_a_run_in_a_workspace_is_as_dirty_as_the_project_that_its_code_is_from(tmp_path: Path) -> None:
    workspace = tmp_path / "workspaces" / "runs" / "one"
    workspace.mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("/workspaces\n")
    for name in ("dvc.yaml", "dvc.lock"):
        (tmp_path / name).write_text("stages: {}\n")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "First"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=tmp_path, check=True)

    def dirty() -> list[str]:
        return [surroundings(folder)["git.dirty"] for folder in (tmp_path, workspace)]

    (tmp_path / "dvc.lock").write_text("stages: {first: {}}\n")  # changes with every run
    assert dirty() == ["false", "false"]
    (tmp_path / "dvc.yaml").write_text("stages: {first: {}}\n")
    assert dirty() == ["true", "true"]


@pytest.mark.slow
def test_an_experiment_of_dvc_in_a_folder_that_is_deleted_leaves_its_run_in_the_project(tracked: Path, command) -> None:
    (tracked / ".dvc" / "config.local").unlink()
    (tracked / ".gitignore").write_text("mlflow.db*\nmlartifacts\n.work\n__pycache__\n/data\n/models\n")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "First"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=tracked, check=True)
    done = command(tracked, "dvc", "exp", "run", "--temp", "-n", "longer", "-S", "second.steps=5", "second", **ON)
    assert done.returncode == 0, done.stderr
    (run,) = runs_of(tracked, "second")
    assert run.info.run_name == "second · longer · first run" and run.data.params["steps"] == "5"
    assert run.data.tags["mlflow.source.git.commit"] and run.data.tags["dvc.experiment"] == "longer"
    (whole,) = runs_of(tracked, "pipeline")
    assert whole.info.run_name.startswith("pipeline · longer") and whole.info.status == "FINISHED"


@pytest.fixture
def write(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Stores the events of a stage of tmp_path/workspaces/real in the project's store; the store's client."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    root = tmp_path / "workspaces" / "real"
    root.mkdir(parents=True)
    (root / "dvc.yaml").write_text("stages: {}")
    monkeypatch.chdir(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "as it was")  # and is again after the test
    monkeypatch.setattr(mlflow_writer.signal, "signal", lambda *_: None)

    def run(stage: str, last: dict[str, Any]) -> Any:
        start = {"kind": "start", "uri": f"sqlite:///{tmp_path}/mlflow.db", "root": str(root), "stage": stage}
        start |= {"inputs": {}, "work": str(root), "params": {}, "machine": {}, "process": os.getpid(), "time": 1}
        events = [start, {"kind": "metrics", "values": {"loss": 1.0}, "time": 1, "step": 1}, last | {"time": 2}]
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(event) + "\n" for event in events)))
        mlflow_writer.main()
        return client_of(tmp_path)

    return run


def test_a_registered_version_has_its_card_and_its_evaluation(tmp_path: Path, write: Callable[..., Any]) -> None:
    root = tmp_path / "workspaces" / "real"
    export = root / "models" / "export"
    export.mkdir(parents=True)
    (export / "config.json").write_text("{}")
    card = "# A model\n\n" + "One line of a long card.\n" * 400
    (export / "README.md").write_text(card)
    write_json(root / "metrics/headline/evaluate_chat.json", {"accuracy": 0.75, "bpb": 0.5})
    client = write("export", {"kind": "finish", "metrics": {}, "rows": {}, "facts": {}, "outs": ["models/export"]})
    assert set(client.get_registered_model(REGISTERED).aliases) == {"challenger", "champion"}
    version = client.get_model_version(REGISTERED, "1")
    assert {key: version.tags[key] for key in version.tags if key.startswith("evaluation.")} == {
        "evaluation.accuracy": "0.75",
        "evaluation.bpb": "0.5",
    }
    assert version.tags["dvc.md5"] and version.run_id
    (model,) = client.search_logged_models([client.get_run(version.run_id).info.experiment_id])
    assert {metric.key: metric.value for metric in model.metrics} == {"accuracy": 0.75, "bpb": 0.5}
    # A server's column holds 5,000 characters, and takes no version with more.
    assert version.description.startswith("# A model\n\nOne line") and len(version.description) <= 5000
    assert version.description.endswith("model_card.md of the version's run has the rest.")
    kept = Path(client.download_artifacts(version.run_id, "model_card.md", str(tmp_path)))
    assert kept.read_text() == card


@pytest.mark.parametrize("full", ["open_client", "log_params"])
def test_a_full_disk_below_mlflow_is_one_warning_and_stops_nothing(
    full: str, write: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "mlflow.db")

    monkeypatch.setattr(mlflow_writer, full, refuse)
    write("second", {"kind": "fail", "reason": ""})
    warning = capsys.readouterr().err
    assert "cannot be used (OSError: [Errno 28] No space left on device: 'mlflow.db')" in warning
    assert warning.startswith("warning: MLflow at ") and warning.count("\n") == 1


def test_a_run_whose_process_is_gone_is_killed_and_no_other(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    experiment = client.create_experiment("second")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    dead = process_id(ended.pid)
    ended.wait()
    tags = surroundings(tmp_path)
    lost = client.create_run(experiment, tags=tags | {PROCESS: dead or f"{ended.pid}:0"}).info.run_id
    others = [
        client.create_run(experiment, tags=tags).info.run_id,  # of this very process
        client.create_run(experiment, tags=tags | {HOST: "elsewhere", PROCESS: "1:0"}).info.run_id,
        client.create_run(experiment).info.run_id,  # not ours
    ]
    assert mark_gone(client) == [lost]
    assert client.get_run(lost).info.status == "KILLED"
    assert {client.get_run(run).info.status for run in others} == {"RUNNING"}


def test_secrets_reach_neither_parameters_nor_tags_and_any_number_of_both_is_kept(tmp_path: Path) -> None:
    client = client_of(tmp_path)
    run = client.create_run(client.create_experiment("second")).info.run_id
    values = {"storage": {"s3": {"secret": "abc", "anon": False}}, "list": "https://me:abc@host/x"}
    log_params(client, run, values | {f"dial_{number}": number for number in range(250)})
    set_tags(client, run, {"error": "s3://me:abc@host failed"} | {f"tag_{number}": "x" for number in range(250)})
    data = client.get_run(run).data
    assert data.params["storage.s3.secret"] == "***" and data.params["storage.s3.anon"] == "False"
    assert len(data.params) == 253 and len([name for name in data.tags if name.startswith("tag_")]) == 250
    assert "abc" not in str(data)


def test_the_numbers_that_matter_come_first_in_the_alphabet_by_the_same_names_everywhere() -> None:
    front = {name for name in COMMON.values() if "/" not in name}
    assert front == {"loss", "val_loss", "bpb", "accuracy", "reward", "kl", "gold"}
    assert in_curves("gradient_norm") == "training/gradient_norm"
    assert in_curves("held_out_length") == "held_out/length"
    rows = {"pretrain": {"val_loss": 2.0}, "evaluate_base": {"bpb": 1.0}, "evaluate_chat": {"bpb": 0.5, "accuracy": 1}}
    charts = in_charts(rows)
    assert (charts["bpb"], charts["evaluate_base/bpb"], charts["val_loss"]) == (0.5, 1.0, 2.0)


KILLED_WHILE_MIGRATING = """
import os, signal, sys
import alembic.command
import mlflow
from stages.mlflow_store import open_client

def migrate(config, revision):
    config.attributes["connection"].exec_driver_sql("CREATE TABLE _alembic_tmp_experiments (id INTEGER)")
    config.attributes["connection"].commit()
    os.kill(os.getpid(), signal.SIGKILL)

alembic.command.upgrade = migrate
open_client(f"sqlite:///{sys.argv[1]}/mlflow.db", "first")
"""


@pytest.mark.slow
def test_a_store_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    """MLflow makes its tables by migrations, each of them saved: half of them are no store, nor the start of one."""
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_MIGRATING, str(tmp_path)])
    assert killed.returncode == -signal.SIGKILL
    _, experiment = open_client(f"sqlite:///{tmp_path}/mlflow.db", "first")
    assert client_of(tmp_path).get_experiment(experiment).name == "first"
    assert not list(tmp_path.glob("mlflow.db.new*"))


def test_links_open_runs_and_not_traces() -> None:
    address = "http://127.0.0.1:5000"
    assert experiment_link(address, "3").endswith("/#/experiments/3/runs?viewStateShareKey=columns&" + KIND)
    assert run_link(address, "3", "ab") == f"{address}/#/experiments/3/runs/ab?{KIND}"
    link = comparison_link(address, ["3", "3"], ["ab", "cd"])
    assert unquote(link) == f'{address}/#/compare-runs?runs=["ab","cd"]&experiments=["3"]&{KIND}'


def test_an_experiment_has_a_view_with_the_columns_that_matter_and_the_last_runs_are_compared(tmp_path: Path) -> None:
    client, experiment = open_client(f"sqlite:///{tmp_path}/mlflow.db", "second")
    state = json.loads(client.get_experiment(experiment).tags[TAG])
    assert "metrics.`bpb`" in state["selectedColumns"]
    assert latest_comparison(client, "", "second") == ""
    runs = [client.create_run(experiment, start_time=start).info.run_id for start in (1, 2, 3)]
    for run in runs:
        client.set_terminated(run)
    link = unquote(latest_comparison(client, "", "second"))
    assert runs[2] in link and runs[1] in link and runs[0] not in link
