"""Snapshots by date: which are taken, what each trial reads, and what is said of each against the one before."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crawl2chat.curation import corpus
from crawl2chat.errors import UserError
from flows import drift
from flows.backfill import in_words, run_dates, snapshots, trials
from flows.stage_process import Result
from flows.trials import Trial
from stages.files import read_yaml

ROOT = Path(__file__).parents[2]
FOLDER = Path("inputs/snapshots")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with the real code, three snapshots of a crawl, and something that is none."""
    for name in ("crawl2chat", "stages", "dvc.yaml", "params.yaml", ".dvcignore"):
        (tmp_path / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "inputs", tmp_path / "inputs", ignore=shutil.ignore_patterns("snapshots"))
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", tmp_path / ".dvc")
    (tmp_path / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    for day in ("2026-09-01", "2026-10-01", "2026-11-01", "notes"):
        (tmp_path / FOLDER / day / "text").mkdir(parents=True)
        (tmp_path / FOLDER / day / "text" / "page.txt").write_text(day)
    return tmp_path


def write_corpus(folder: Path, flooded: bool) -> Path:
    """400 documents of many domains; of a flooded one a tenth is from one domain."""
    rng = np.random.default_rng(len(folder.name) + flooded)
    domains = [f"d{rng.integers(40)}.example" for _ in range(400)]
    rows = [
        corpus.row({"id": str(n), "text": f"text {n}", "metadata": {"domain": domain, "language": "en"}})
        | {"domain": "flood.example" if flooded and n % 10 == 0 else domain}
        for n, domain in enumerate(domains)
    ]
    folder.mkdir(parents=True)
    corpus.frame_of(rows).write_parquet(folder / "documents-00000.parquet")
    return folder


def test_every_date_is_read_in_turn_and_compared_with_the_one_before(root: Path) -> None:
    order = []

    def run(one: Trial, env: dict[str, str]) -> Result:
        reference = one.folder / "inputs" / "reference"
        order.append((one.name, (one.folder / "inputs/snapshots" / one.name / "text" / "page.txt").read_text()))
        assert bool(list(reference.glob("*.parquet"))) == (len(order) > 1)
        write_corpus(one.folder / "data" / "corpus", flooded=one.name == "2026-11-01")
        return Result("Ran", "")

    made = trials(root, FOLDER, snapshots(root, FOLDER, "", ""), "deduplicate", {"seed": 3})
    assert [one.stages for one in made] == [["crawl", "extract", "filter", "deduplicate"]] * 3
    params = read_yaml(made[0].folder / "params.yaml")
    assert (params["seed"], params["crawl"]["source"]) == (3, "files")
    found = run_dates(root, made, run, in_words)
    assert order == [(day, day) for day in ("2026-09-01", "2026-10-01", "2026-11-01")]
    assert found["2026-10-01"] == "steady" and found["2026-11-01"].startswith("domain flood.example 0 → 0.1")


def test_a_range_of_dates_and_what_is_no_date(root: Path) -> None:
    assert snapshots(root, FOLDER, "2026-09-15", "2026-10-31") == ["2026-10-01"]
    for arguments, sentence in (
        ((FOLDER, "2027-01-01", ""), "has no snapshot between 2027-01-01 and the last day"),
        ((FOLDER, "1.10.2026", ""), "'1.10.2026' is no date; write it like 2026-11-30"),
        ((Path("inputs/none"), "", ""), "inputs/none is no folder of the project"),
        ((root / FOLDER, "", ""), "is no folder of the project"),
    ):
        with pytest.raises(UserError, match=sentence):
            snapshots(root, *arguments)


def test_drift_is_a_state_and_an_exit_status(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(drift, "create_table_artifact", lambda *_, **__: None)
    even, other = (write_corpus(tmp_path / name / "data" / "corpus", flooded=False) for name in ("even", "other"))
    flood = write_corpus(tmp_path / "flood" / "data" / "corpus", flooded=True)
    assert drift.check_drift.fn(even, other).name == "Steady"
    state = drift.check_drift.fn(tmp_path / "even", tmp_path / "flood")
    assert state.name == "Drifted" and state.message.startswith("domain flood.example")
    assert drift.main([str(even), str(other)]) == 0 and "none has drifted" in capsys.readouterr().out
    assert drift.main([str(even), str(flood)]) == 1 and "domain flood.example" in capsys.readouterr().out
    assert drift.main([str(even), str(tmp_path / "none")]) == 1
    assert "none is not there; name a project, a workspace or a corpus" in capsys.readouterr().err
