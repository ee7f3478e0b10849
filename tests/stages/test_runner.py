"""The runner: a command line and params.yaml become one call; outs are whole or absent; mistakes are one sentence."""

import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from stages import runner, settings
from stages.files import discard, publish
from stages.hashes import md5

FIRST = ["first", "--out", "data/first"]
SECOND = ["second", "--source", "data/first", "--out", "models/second", "--out-curve", "plots/second.csv"]


@pytest.fixture
def parameters(toys: Path):
    """Replace a section of params.yaml."""

    def write(**sections: str) -> None:
        text = {"first": "{letters: 3}", "second": "{steps: 3}", "third": "{}", "seed": "7"} | sections
        (toys / "params.yaml").write_text("".join(f"{key}: {value}\n" for key, value in text.items() if value))

    return write


def test_outs_and_metrics_are_published_and_the_work_folder_goes(toys: Path, command) -> None:
    done = command(toys, "stages", *FIRST)
    assert done.returncode == 0, done.stderr
    assert (toys / "data/first/text").read_text() == "xxx7"
    assert json.loads((toys / "metrics/first.json").read_text()) == {"letters": 3, "third": 0.333333, "endless": None}
    assert not list((toys / ".work/first").iterdir())
    assert "first: " in done.stdout and "letters 3" in done.stdout


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"first": "{leters: 3}"}, "first.leters is unknown; did you mean first.letters? Allowed: first.letters"),
        ({"second": "{rates: {lerning: 1.0}}"}, "did you mean second.rates.learning? Allowed: second.rates.learning"),
        ({"first": "{letters: many}"}, "first.letters: input should be a valid integer (found 'many')"),
        ({"first": "{letters: true}"}, "first.letters: input should be a valid integer (found True)"),
        ({"first": "[3]"}, "first must be a section of keys and values, not [3]"),
        ({"first": ""}, "has no section 'first'; add `first: {}`"),
        ({"frist": "{}"}, "frist is unknown; did you mean first?"),
        ({"seed": "one"}, "seed must be a whole number, not 'one'"),
        ({"seed": "[1"}, "params.yaml is not valid YAML at line"),
    ],
)
def test_a_mistake_in_params_is_one_sentence_that_names_it(
    toys: Path, parameters, command, sections, sentence: str
) -> None:
    parameters(**sections)
    stage = SECOND if "second" in sections else FIRST
    (toys / "data/first").mkdir(parents=True)
    done = command(toys, "stages", *stage)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_scientific_notation_is_a_number(toys: Path, parameters) -> None:
    parameters(second="{rates: {learning: 3e-4}}")
    sys.path.insert(0, str(toys))
    try:
        section, _ = settings.read_parameters("second", toys, ["first", "second", "third"])
    finally:
        sys.path.remove(str(toys))
    assert section["rates"]["learning"] == 3e-4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name a stage; the stages are first, second, third"),
        (["fist"], "no stage is called 'fist'"),
        (
            ["first", "--out", "x", "--aut", "x"],
            "unrecognized arguments: --aut x. usage: python -m stages first [-h] --out PATH",
        ),
        (["first"], "the following arguments are required: --out"),
        (["first", "--out"], "argument --out: expected one argument"),
        (SECOND, "--source data/first does not exist; run `dvc repro second`"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(toys: Path, command, arguments, sentence: str) -> None:
    done = command(toys, "stages", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert sentence in done.stderr


def test_a_stage_that_fails_leaves_no_out(toys: Path, parameters, command) -> None:
    command(toys, "stages", *FIRST)
    parameters(second="{fail: true}")
    done = command(toys, "stages", *SECOND)
    assert done.returncode == 1
    assert done.stderr == "error: second cannot go on; set second.fail to false.\n"
    assert not (toys / "models").exists() and not (toys / "metrics/second.json").exists()


def start_and_kill(toys: Path, after: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "stages", *SECOND], cwd=toys, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    for line in process.stdout:
        if line.strip() == after:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_killed_it_leaves_nothing_half_written_and_resumes_its_own_work_only(toys: Path, parameters, command) -> None:
    parameters(second="{steps: 30, pause: 0.1}")
    command(toys, "stages", *FIRST)
    start_and_kill(toys, after="step 3")
    assert not (toys / "models/second").exists() and not (toys / "plots").exists()

    # Other parameters: other work, from the beginning.
    parameters(second="{steps: 2}")
    command(toys, "stages", *SECOND)
    assert json.loads((toys / "metrics/second.json").read_text())["began"] == 0

    parameters(second="{steps: 30, pause: 0.1}")
    command(toys, "stages", *SECOND)
    assert json.loads((toys / "metrics/second.json").read_text())["began"] >= 4
    assert (toys / "models/second/model.safetensors").read_text() == "xxx7"


def test_changed_input_is_other_work(toys: Path, parameters, command) -> None:
    parameters(second="{steps: 30, pause: 0.1}")
    command(toys, "stages", *FIRST)
    start_and_kill(toys, after="step 1")
    (toys / "data/first/text").write_text("other")
    parameters(second="{steps: 30, pause: 0.1}")
    started = time.monotonic()
    command(toys, "stages", *SECOND)
    assert json.loads((toys / "metrics/second.json").read_text())["began"] == 0
    assert time.monotonic() - started > 3.0


def test_publish_replaces_what_was_there(tmp_path: Path) -> None:
    for name, text in (("new", "new"), ("old", "old")):
        (tmp_path / name).mkdir()
        (tmp_path / name / text).write_text(text)
    publish(tmp_path / "new", tmp_path / "old")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["new"]
    assert not (tmp_path / "new").exists()


def test_publish_across_disks_copies_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renaming between file systems raises EXDEV; the out still appears under its own name only when complete."""
    (tmp_path / "new").write_text("new")
    rename = Path.rename

    def across(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(18, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)
    publish(tmp_path / "new", tmp_path / "out" / "file")
    assert (tmp_path / "out" / "file").read_text() == "new"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["file"]


def test_hashes_are_those_of_dvc(toys: Path, command) -> None:
    done = command(toys, "dvc", "repro", "-q", "first")
    assert done.returncode == 0, done.stderr
    lock = runner.read_yaml(toys / "dvc.lock")["stages"]["first"]
    recorded = {entry["path"]: entry["md5"] for entry in lock["outs"] + lock["deps"]}
    assert len(recorded) == 3
    assert {path: md5(toys / path) for path in recorded} == recorded


def test_an_empty_folder_has_dvcs_hash_of_one(tmp_path: Path) -> None:
    assert md5(tmp_path) == "d751713988987e9331980363e24189ce.dir"


def test_yaml_of_a_missing_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dvc.yaml is not in .*; run from the project's root"):
        runner.stage_names(tmp_path)


def test_work_that_is_done_is_whole_or_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    work = tmp_path / "0123"
    (work / "documents").mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setattr("stages.files.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            discard(work)
    assert not work.exists()
    (work / "documents").mkdir(parents=True)
    discard(work)
    assert not list(tmp_path.iterdir())


def test_a_machine_is_what_the_file_says_for_all_stages_and_for_this_one(toys: Path) -> None:
    stages = ["first", "second", "third"]
    assert settings.read_machine("first", toys, stages) == Machine()
    (toys / "machine.yaml").write_text("workers: 3\nsecond: {workers: 5, executor: slurm}\n")
    assert settings.read_machine("first", toys, stages) == Machine(workers=3)
    assert settings.read_machine("second", toys, stages) == Machine(workers=5, executor="slurm")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "wokers: 3",
            "machine.yaml: wokers is unknown; did you mean workers? Allowed: timeout_minutes, executor, workers",
        ),
        ("first: {wokers: 3}", "machine.yaml: first.wokers is unknown; did you mean first.workers?"),
        ("workers: 0", "machine.yaml: workers"),
        ("first: 3", "machine.yaml: first must be a section of keys and values, not 3"),
    ],
)
def test_a_mistake_in_machine_yaml_is_one_sentence_that_names_it(toys: Path, command, text: str, sentence: str) -> None:
    (toys / "machine.yaml").write_text(text)
    done = command(toys, "stages", *FIRST)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert sentence in done.stderr


def test_the_machine_makes_no_stage_stale_and_no_checkpoint_foreign(toys: Path, command) -> None:
    assert command(toys, "dvc", "repro", "-q", "first").returncode == 0
    (toys / "machine.yaml").write_text("workers: 3\n")
    done = command(toys, "dvc", "status", "first")
    assert "up to date" in done.stdout
    calls = [
        runner.Call("first", print, {}, {}, {}, None, 1, machine, frozenset())
        for machine in (Machine(), Machine(workers=3))
    ]
    assert len({runner.fingerprint(call, {}) for call in calls}) == 1


@pytest.mark.parametrize(
    ("file", "before", "after", "sentence"),
    [
        ("params.yaml", "pause: 0.2", "pause: 0.0", "second.pause changed while the stage ran"),
        ("params.yaml", "seed: 7", "seed: 8", "seed changed while the stage ran"),
        ("stages/second.py", "fail: bool", "# edited\n    fail: bool", "stages/second.py changed while the stage ran"),
    ],
)
def test_an_edit_while_a_stage_runs_publishes_nothing_and_dvc_does_not_record_it(
    toys: Path, parameters, command, file: str, before: str, after: str, sentence: str
) -> None:
    parameters(second="{steps: 15, pause: 0.2}")
    assert command(toys, "dvc", "repro", "-q", "first").returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "second"],
        cwd=toys,
        env=os.environ | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in process.stdout:
        if line.strip() == "step 2":
            break
    text = (toys / file).read_text()
    assert before in text
    (toys / file).write_text(text.replace(before, after))
    output = process.communicate()[0]
    assert process.returncode != 0
    assert sentence in output and "run `dvc repro second` again" in output
    assert not (toys / "models" / "second").exists()
    assert "second" not in runner.read_yaml(toys / "dvc.lock")["stages"]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (28, "error: the disk is full (models/x): make room (`dvc gc --workspace`, old runs in .work/)"),
        (30, "error: the folder cannot be written (models/x): give yourself the right to"),
    ],
)
def test_a_disk_that_takes_nothing_is_one_sentence(
    toys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, sentence: str
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(number, "cannot write", "models/x")

    monkeypatch.setattr(runner, "run", full)
    assert runner.main(FIRST) == 1
    error = capsys.readouterr().err
    assert error.startswith(sentence) and error.count("\n") == 1


def test_a_disk_that_is_full_when_an_out_is_published_leaves_none(
    toys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(target))

    module = types.ModuleType("stages.first")
    exec((toys / "stages" / "first.py").read_text(), module.__dict__)
    monkeypatch.setitem(sys.modules, "stages.first", module)
    monkeypatch.chdir(toys)
    with monkeypatch.context() as patch:
        patch.setattr(runner, "publish", full)
        assert runner.main(FIRST) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: the disk is full ({toys}/data/first): make room") and error.count("\n") == 1
    assert not (toys / "data").exists() and not (toys / "metrics").exists()
    assert runner.main(FIRST) == 0 and (toys / "data/first/text").read_text() == "xxx7"


def test_any_other_trouble_with_files_is_no_sentence_about_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object) -> None:
        raise FileNotFoundError(2, "no such file", "x")

    monkeypatch.setattr(runner, "run", missing)
    with pytest.raises(FileNotFoundError):
        runner.main(FIRST)


def test_a_secret_among_the_parameters_is_refused_before_dvc_keeps_it(toys: Path, parameters, command) -> None:
    parameters(first="{letters: 3, storage: {s3: {secret: Zq8sEcReT17}}}")
    done = command(toys, "stages", *FIRST)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "first.storage.s3.secret is a secret and would be kept in dvc.lock" in done.stderr
    assert "Zq8sEcReT17" not in done.stderr


def test_the_headline_is_small_files_beside_all_metrics(toys: Path, command) -> None:
    command(toys, "stages", *FIRST)
    assert command(toys, "stages", *SECOND).returncode == 0
    assert json.loads((toys / "metrics/headline/second.json").read_text()) == {"accuracy": 3}
    assert json.loads((toys / "metrics/second.json").read_text()) == {"began": 0, "steps": 3}
