"""Two runs are compared out by out, and the stage is named where they part."""

import subprocess
from pathlib import Path

import pytest

from flows.verify import differences, main

LOCK = """schema: '2.0'
stages:
  first:
    cmd: a
    deps: [{path: code.py, md5: '1'}]
    params: {params.yaml: {seed: 7}}
    outs: [{path: data/first, md5: '%s'}]
  second:
    cmd: b
    deps: [{path: data/first, md5: '%s'}]
    outs: [{path: data/second, md5: '%s'}, {path: metrics/second.json, md5: '5'}]
"""


def run(folder: Path, *hashes: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "dvc.lock").write_text(LOCK % hashes)
    return folder


def test_the_same_bytes_are_said_to_be_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = run(tmp_path / "a", "1", "1", "2"), run(tmp_path / "b", "1", "1", "2")
    assert main([str(a), str(b / "dvc.lock")]) == 0
    assert capsys.readouterr().out == "all 3 outs are the same\n"


def test_the_stage_is_named_where_they_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = run(tmp_path / "a", "1", "1", "2"), run(tmp_path / "b", "9", "9", "8")
    assert main([str(a), str(b)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "first: the same inputs gave other bytes",
        "    data/first",
        "second: its inputs differ: data/first",
        "    data/second",
        "2 of 3 outs differ",
    ]


def test_a_stage_of_one_run_only_is_a_difference() -> None:
    assert differences({"first": {"outs": []}}, {}) == [("first", [], "only one of the runs has this stage")]


def test_a_revision_of_git_is_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, "1", "1", "2")
    monkeypatch.chdir(tmp_path)
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "One"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True)
    assert main([]) == 0
    run(tmp_path, "1", "1", "3")
    assert main([]) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere"], "nowhere is no folder or file, and no git revision that has a dvc.lock"),
        (["."], "has no dvc.lock: nothing has run there"),
        (["a", "b", "c"], "name one run or two"),
    ],
)
def test_a_run_that_is_none_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
