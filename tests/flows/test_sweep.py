"""A sweep on toy stages: own folders, what is run again, pairs over seeds, and what is said before anything starts."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flows.sweep import BASELINE, verdicts
from flows.trials import chosen_stages

ROOT = Path(__file__).parents[2]

# A stage whose number depends on its dial and, noisily, on the seed.
NOISY = """
import random
from pathlib import Path
from crawl2chat.parameters import Params

class ThirdParams(Params):
    gain: float = 0.0

def third(source: Path, out: Path, params: ThirdParams, seed: int):
    out.write_text((source / "model.safetensors").read_text())
    noise = random.Random(seed).gauss(0, 1), random.Random(f"{seed} {params.gain}").gauss(0, 0.01)
    return {"score": params.gain + sum(noise), "nested": {"loss": -params.gain}}
"""


@pytest.fixture
def project(toys: Path, command) -> Path:
    (toys / "stages" / "third.py").write_text(NOISY)
    (toys / "crawl2chat").mkdir()
    (toys / "inputs").mkdir()
    assert command(toys, "dvc", "repro", "-q").returncode == 0
    return toys


def sweep(root: Path, *arguments: str) -> tuple[int, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    # The toys use the installed library; an empty folder of that name would hide it.
    shutil.rmtree(root / "crawl2chat", ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "flows.sweep", *arguments],
        cwd=root,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=900,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_verdict_rests_on_pairs_of_seeds() -> None:
    base = [0.0, 10.0, 20.0]
    values = {
        BASELINE: base,
        "up": [value + gain for value, gain in zip(base, (1.0, 1.1, 0.9), strict=True)],
        "noise": [1.0, 9.0, 21.0],
        "nothing": base,
    }
    spent = dict.fromkeys(values, (1.0, None))
    assert [row.verdict for row in verdicts(values, spent, lower=False)] == ["", "better", "too noisy", "the same"]
    assert [row.verdict for row in verdicts(values, spent, lower=True)] == ["", "worse", "too noisy", "the same"]
    alone = {BASELINE: [1.0], "up": [2.0]}
    assert [row.verdict for row in verdicts(alone, dict.fromkeys(alone, (1.0, None)), lower=False)] == ["", "too noisy"]


@pytest.mark.slow
def test_variants_run_beside_the_project_once_and_against_the_baseline(project: Path) -> None:
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file() and ".dvc" not in path.parts}
    call = ["third.score", "--from", "third", "--seeds", "1,2,3", "--jobs", "2"]
    call += ["--variant", "up", "third.gain=1.5", "--variant", "down", "third.gain=-1.5"]
    code, output = sweep(project, *call)
    assert code == 0, output
    found = json.loads((project / "sweeps/sweep/results.json").read_text())
    assert {row["variant"]: row["verdict"] for row in found["rows"]} == {BASELINE: "", "up": "better", "down": "worse"}
    assert "| up | " in output and "3 seeds | better" in output
    assert (project / "sweeps/sweep/up-2/data/third").exists() and not (
        project / "sweeps/sweep/up-2/data/first"
    ).exists()
    # Killed after four of nine runs: what is done is not done again.
    notes = sorted((project / "sweeps/sweep").glob("*/.work/last/third.json"))
    for note in notes[4:]:
        shutil.rmtree(note.parents[2])
    times = {note: note.stat().st_mtime_ns for note in notes[:4]}
    code, again = sweep(project, *call)
    assert code == 0 and {note: note.stat().st_mtime_ns for note in times} == times
    assert json.loads((project / "sweeps/sweep/results.json").read_text())["values"] == found["values"]
    assert {path: path.read_bytes() for path in before if path.exists()} == before


def test_the_stages_between_two_are_chosen_by_the_graph(toys: Path) -> None:
    assert chosen_stages(toys, "", "second") == ["first", "second"]
    assert chosen_stages(toys, "second", "third") == ["second", "third"]
    assert chosen_stages(toys, "third", "third") == ["third"]
    assert chosen_stages(ROOT, "sft", "reward") == ["sft", "reason", "preferences", "reward"]


@pytest.mark.slow
def test_a_failure_names_variant_seed_and_stage(project: Path) -> None:
    code, output = sweep(
        project, "second.began", "--from", "second", "--seeds", "5", "--variant", "ill", "second.fail=true"
    )
    assert code == 1 and "error: ill, seed 5: second: second cannot go on; set second.fail to false." in output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["third.score"], "a sweep needs a variant"),
        (["third.score", "--variant", "up", "third.gian=1"], "third.gian is unknown; did you mean third.gain"),
        (["third.score", "--variant", "up", "thrid.gain=1"], "params.yaml has no section 'thrid'"),
        (["third.score", "--variant", "a b", "third.gain=1"], "'a b' cannot name a variant"),
        (["third.score", "--variant", "up", "third.gain=1", "--seeds", "x"], "'x' is no list of numbers"),
        (["third.scroe", "--variant", "up", "third.gain=1"], "has no number scroe; there is score, nested"),
        (["third", "--variant", "up", "third.gain=1"], "'third' is no number of a stage"),
        (["forth.score", "--variant", "up", "third.gain=1"], "no stage is called 'forth'"),
        (["first.letters", "--from", "third", "--variant", "up", "third.gain=1"], "first does not depend on third"),
    ],
)
def test_what_cannot_work_is_told_before_anything_starts(
    toys: Path, arguments: list[str], sentence: str, monkeypatch, capsys
) -> None:
    import types

    from flows.sweep import main

    module = types.ModuleType("stages.third")
    exec(NOISY, module.__dict__)
    monkeypatch.setitem(sys.modules, "stages.third", module)
    (toys / "metrics").mkdir()
    (toys / "metrics/third.json").write_text('{"score": 1.0, "nested": {"loss": 2.0}}')
    assert main([*arguments, "--root", str(toys)]) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert not (toys / "sweeps").exists()
