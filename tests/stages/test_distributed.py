"""Two processes train what one would: the same batches or rollouts, and the same losses, advantages and weights within
rounding. One process goes on from two processes' checkpoint and the other way round. A stage on several devices prints
and publishes once."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from distributed_toy import STEPS, reinforce, run, world_of
from safetensors.torch import load_file
from training_toys import SHAPE, TINY, make_tokenizer, make_tokens

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.training.fabric import start_fabric
from stages.pretrain import PretrainParams
from stages.settings import tuned

ROOT = Path(__file__).parents[2]
# Two processes add the same numbers in another order. Muon and AdamW enlarge that where gradients are next to nothing,
# as those of queries, keys and values are at first, behind output matrices of zeros.
LOSS = 2e-4  # nats
WEIGHT = 0.01  # norm of a matrix's difference over its norm, after 8 steps at full rate


def torchrun(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests/toys")])
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CRAWL2CHAT_TRACKING": "off"},
        capture_output=True,
        text=True,
        timeout=550,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """The folder of runs by this process and by two."""
    folder = tmp_path_factory.mktemp("distributed")
    make_tokens(folder / "tokens", make_tokenizer(folder / "tokenizer"))
    run(folder, "one", 0, devices=1)
    run(folder, "grown", 0, stop=4, devices=1, checkpoint_every=4)
    world_of(folder)
    reinforce(folder, "one", 0, devices=1)
    done = torchrun(folder, str(ROOT / "tests/toys/distributed_toy.py"), str(folder))
    assert done.returncode == 0, done.stderr
    (folder / "stderr").write_text(done.stderr)
    return folder


def losses(folder: Path) -> list[float]:
    rows = list(csv.DictReader((folder / "curve0.csv").open()))
    return [float(row["train_loss"]) for row in rows] + [float(rows[-1]["val_bpb"])]


def close(one: Path, other: Path) -> None:
    assert losses(one) == pytest.approx(losses(other), abs=LOSS)
    assert len(losses(one)) == STEPS + 1
    weights, others = (load_file(folder / "rank0/model.safetensors") for folder in (one, other))
    assert weights.keys() == others.keys()
    apart = {name: float((w - others[name]).norm() / w.norm()) for name, w in weights.items()}
    assert max(apart.values()) < WEIGHT, apart


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_processes_train_what_one_would(runs, strategy: str) -> None:
    close(runs / strategy, runs / "one")


@pytest.mark.slow
def test_every_process_ends_with_the_same_whole_model(runs) -> None:
    for strategy in ("ddp", "fsdp2"):
        one, other = (load_file(runs / strategy / f"rank{rank}/model.safetensors") for rank in (0, 1))
        assert all(torch.equal(weight, other[name]) for name, weight in one.items())


@pytest.mark.slow
def test_one_process_goes_on_where_two_were(runs) -> None:
    begun = runs / "begun"
    assert [path.name for path in (begun / "work/checkpoints").iterdir()] == ["step-00000004"]
    run(runs, "begun", 0, devices=1, checkpoint_every=4)
    close(begun, runs / "one")


@pytest.mark.slow
def test_two_processes_go_on_where_one_was_with_the_model_cut_over_them(runs) -> None:
    assert "resuming at step 4 of 8" in (runs / "stderr").read_text()
    close(runs / "grown", runs / "one")


def newest_weights(folder: Path) -> Path:
    """Of the last checkpoint: rlhf may publish those of an earlier step."""
    return max(folder.glob("work/**/step-*/model.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["reason", "rlhf"])
def test_two_processes_reinforce_what_one_would(runs, stage: str) -> None:
    """Rollouts, rewards and with them the advantages of the first step are equal; what follows from sums is close."""
    one, two = (json.loads((runs / f"{name}-{stage}/measured0.json").read_text()) for name in ("one", "two"))
    exact = {
        "reason": ("reward", "accuracy", "format", "length", "finished", "zero_variance"),
        "rlhf": ("length", "finished"),
    }
    assert len(one["rows"]) == len(two["rows"]) >= 3
    assert all(one["rows"][0][key] == two["rows"][0][key] for key in exact[stage])
    for row, other in zip(one["rows"], two["rows"], strict=True):
        assert list(row) == list(other)
        assert other == pytest.approx(row, rel=1e-3, abs=1e-4)
    weights, others = (load_file(newest_weights(runs / f"{name}-{stage}")) for name in ("one", "two"))
    apart = {name: float((w - others[name]).norm() / w.norm().clamp_min(1e-3)) for name, w in weights.items()}
    assert max(apart.values()) < 1e-3, apart


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["reason", "rlhf"])
def test_every_process_ends_with_the_same_policy_and_the_same_numbers(runs, stage: str) -> None:
    folder = runs / f"two-{stage}"
    one, other = (load_file(folder / f"rank{rank}/model.safetensors") for rank in (0, 1))
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())
    assert (folder / "measured0.json").read_bytes() == (folder / "measured1.json").read_bytes()
    assert (folder / "curve0.csv").read_bytes() == (folder / "curve1.csv").read_bytes()


def test_reinforcement_learning_refuses_to_cut_a_model_over_devices() -> None:
    with pytest.raises(UserError, match="strategy is fsdp2 and reinforcement learning keeps the whole model"):
        start_fabric(Machine(accelerator="cpu", devices=2, strategy="fsdp2"))


def project(folder: Path, inputs: Path, **machine) -> Path:
    """A project with this one's pretrain stage alone."""
    folder.mkdir()
    params = tuned(PretrainParams, **TINY, **SHAPE, steps=4).model_dump(mode="json")
    where = {"accelerator": "cpu", "precision": "32-true", "compile": "off", "strategy": "ddp", **machine}
    (folder / "machine.yaml").write_text(yaml.safe_dump({"pretrain": where}))
    (folder / "params.yaml").write_text(yaml.safe_dump({"seed": 1, "pretrain": params}))
    (folder / "dvc.yaml").write_text("stages:\n  pretrain:\n    cmd: python -m stages pretrain\n")
    (folder / "none").mkdir()
    for name in ("tokens", "tokenizer"):
        (folder / name).symlink_to(inputs / name)
    return folder


STAGE = (
    "stages pretrain --tokens tokens --tokenizer tokenizer --init-from none --out base --out-curve curve.csv"
).split()


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["torchrun", "lightning"])
def test_a_stage_on_two_devices_speaks_and_publishes_once(runs, tmp_path, command, launcher: str) -> None:
    if launcher == "torchrun":
        folder = project(tmp_path / "project", runs)
        done = torchrun(folder, "-m", *STAGE)
    else:
        folder = project(tmp_path / "project", runs, devices=2)
        done = command(folder, *STAGE, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pretrain: parameters") == 1 and "2 device(s)" in done.stdout
    assert sorted(path.name for path in (folder / "base").iterdir())[-3:] == [
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert json.loads((folder / "metrics/pretrain.json").read_text())["steps"] == 4
    assert not list((folder / ".work/pretrain").iterdir())  # nothing is left of either process


def test_the_rank_is_known_however_the_process_was_started() -> None:
    from stages.runner import rank_of

    world = {"WORLD_SIZE": "4"}
    assert rank_of({}) == 0
    assert rank_of(world | {"RANK": "3", "LOCAL_RANK": "1"}) == 3  # torchrun
    assert rank_of({"SLURM_NTASKS": "8", "SLURM_PROCID": "5", "SLURM_LOCALID": "1"}) == 5
    assert rank_of({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}) == 0
    assert rank_of(world | {"NODE_RANK": "0", "LOCAL_RANK": "1"}) == 1  # Lightning's launcher
    assert rank_of(world | {"NODE_RANK": "1"}) != 0


@pytest.mark.parametrize("left_over", ["RANK", "NODE_RANK", "LOCAL_RANK"])
def test_a_rank_that_something_else_left_behind_is_not_believed(left_over: str) -> None:
    """Else the stage would do nothing, silently, with exit status 0."""
    from stages.runner import rank_of

    assert rank_of({left_over: "1"}) == 0
    assert rank_of({left_over: "1", "WORLD_SIZE": "1"}) == 0
