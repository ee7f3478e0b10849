"""A miniseries on toys: what each depth is given, what is run again, what the page and the table say."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from training_toys import TINY, make_tokenizer, make_tokens

from crawl2chat.errors import UserError
from flows.miniseries import PLACE, check, main, plan, series, study, terminal, trial
from flows.stage_process import Result
from flows.sweep import numbers
from flows.trials import Trial, run_stages
from stages.files import read_yaml, write_json
from stages.settings import read_machine

ROOT = Path(__file__).parents[2]
TOY = {f"pretrain.{key}": value for key, value in TINY.items() if key != "batch_rows"}
TOY |= {"pretrain.context": 32, "pretrain.batch_rows": 2, "pretrain.tokens_per_parameter": 0.003}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the real code and parameters, and the tokens of a toy corpus."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("crawl2chat", "stages", "dvc.yaml", "params.yaml", ".dvcignore", "inputs"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", folder / ".dvc")
    (folder / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    make_tokens(folder / "data" / "tokens", make_tokenizer(folder / "models" / "tokenizer"), count=60)
    return folder


def in_process(one: Trial, env: dict[str, str]) -> Result:
    """Stands in for DVC: losses of a planted law, without training."""
    folder, depth = one.folder, int(one.name.split()[1])
    numbers = plan(folder, depth)
    loss = 200 * numbers["flops"] ** -0.15
    metrics = {key: numbers[key] for key in ("parameters", "train_tokens", "flops")}
    metrics |= {"val_loss": loss, "val_bpb": loss / 2}
    write_json(folder / "metrics" / "pretrain.json", metrics)
    note = {"seconds": 1.0, "facts": {"device_hours": depth / 3600, "cost": 0.5}}
    write_json(folder / ".work" / "last" / "pretrain.json", note)
    return Result("Ran", "first run")


@pytest.mark.slow
def test_a_depth_is_run_once_and_again_only_when_something_changed(root: Path) -> None:
    """A real depth under DVC, the same again, then with another parameter."""

    outcomes = []

    def run(one: Trial, env: dict[str, str]) -> Result:
        result = run_stages(one, env | {"OMP_NUM_THREADS": "1"}, print)
        outcomes.append(result.outcome)
        return result

    (first,) = series(root, [1], TOY, run)
    (again,) = series(root, [1], TOY, run)
    series(root, [1], TOY | {"pretrain.batch_rows": 1}, run)
    assert outcomes == ["Ran", "Skipped", "Ran"]
    assert again | {"state": "Ran"} == first
    assert 0 < first["val_loss"] < np.log(320) + 1 and first["device_seconds"] > 0
    assert not (root / "models" / "base").exists()
    trial(root, 1, TOY)
    expected = plan(root / PLACE / "depth-1", 1)
    assert {key: first[key] for key in expected} == expected


def test_the_depth_decides_what_params_yaml_says_of_another_model(root: Path, tmp_path: Path) -> None:
    for name in ("crawl2chat", "stages", "dvc.yaml", ".dvcignore", ".dvc", "data", "models", "inputs"):
        (tmp_path / name).symlink_to(root / name)
    params = (ROOT / "params.yaml").read_text().replace("hidden_size: null", "hidden_size: 256", 1)
    (tmp_path / "params.yaml").write_text(params)
    given = read_yaml(trial(tmp_path, 3, {"pretrain.muon_lr": 0.0}).folder / "params.yaml")["pretrain"]
    assert (given["depth"], given["hidden_size"], given["muon_lr"]) == (3, None, 0.0)
    with pytest.raises(UserError, match="pretrain.adam_lr is unknown; did you mean pretrain.adamw_lr"):
        trial(tmp_path, 3, {"pretrain.adam_lr": 1.0})


def test_a_depth_runs_where_the_project_says_that_pretraining_does(root: Path, tmp_path: Path) -> None:
    for name in ("crawl2chat", "stages", "dvc.yaml", "params.yaml", ".dvcignore", ".dvc", "data", "models", "inputs"):
        (tmp_path / name).symlink_to(root / name)
    (tmp_path / "machine.yaml").write_text("accelerator: cpu\npretrain: {devices: 2}\nsft: {devices: 1}\n")
    folder = trial(tmp_path, 1, {}).folder
    assert read_machine("pretrain", folder, ["pretrain", "sft"]).devices == 2


def test_the_law_is_told_with_prediction_and_measurement(root: Path) -> None:
    rows = series(root, [1, 2, 3, 4], {"pretrain.tokens_per_parameter": 3.0}, in_process)
    found = study(root, rows)
    assert found["laws"]["flops"]["exponent"] == pytest.approx(0.15, rel=1e-6)
    assert found["tried"]["depth"] == 4
    assert found["tried"]["loss"] == pytest.approx(rows[-1]["val_loss"], rel=1e-6)
    assert found["next"]["depth"] == 5
    assert found["next"]["loss"] == pytest.approx(200 * found["next"]["flops"] ** -0.15, rel=1e-6)
    place = root / PLACE
    assert json.loads((place / "law.json").read_text()) == found
    runs = list(csv.DictReader((place / "runs.csv").open()))
    assert [(row["depth"], float(row["device_seconds"]), row["cost"]) for row in runs] == [
        (str(depth), pytest.approx(depth), "0.5") for depth in (1, 2, 3, 4)
    ]
    page = (place / "index.html").read_text()
    assert page.count("<svg") == 3 and "Depth 4, predicted by the smaller ones" in page
    text = terminal(rows, found)
    assert "is read up to" in text and "past 4 times a law for fresh text promises too much" in text


def test_a_depth_that_fails_ends_the_series_with_its_reason(root: Path) -> None:
    def run(one: Trial, env: dict[str, str]) -> Result:
        return Result("Failed", "depth 3: no room") if one.name == "depth 3" else in_process(one, env)

    (root / PLACE / "runs.csv").unlink(missing_ok=True)
    with pytest.raises(UserError, match="depth 3: no room"):
        series(root, [1, 2, 3, 4], {}, run)
    assert [row["depth"] for row in csv.DictReader((root / PLACE / "runs.csv").open())] == ["1", "2"]


def test_what_is_missing_is_told_in_a_sentence(root: Path, tmp_path: Path, capsys) -> None:
    for name in ("crawl2chat", "stages", "dvc.yaml", "params.yaml", ".dvcignore", ".dvc"):
        (tmp_path / name).symlink_to(root / name)
    with pytest.raises(UserError, match="two depths or more"):
        check([1])
    with pytest.raises(UserError, match="'1,x' is no list of numbers"):
        numbers("1,x")
    assert main(["--depths", "1,2", "--root", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert (
        error.startswith("error: data/tokens is not there; run `dvc repro tokenize` first") and error.count("\n") == 1
    )


def test_the_folder_of_sweeps_is_no_part_of_the_project() -> None:
    assert "sweeps/" in (ROOT / ".gitignore").read_text().split(os.linesep)
