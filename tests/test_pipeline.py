"""The whole pipeline at its smallest size, by the commands a person uses: all stages, then nothing left to do."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from flows.overrides import layers_of
from flows.summary import read_metrics, terminal
from flows.verify import differences, read_lock
from flows.workspace import prepare
from stages.files import read_yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
# What every run reports, whatever its size.
KEYS = {
    "crawl": ["pages", "bytes"],
    "extract": ["documents", "f1"],
    "filter": ["documents", "precision", "recall"],
    "deduplicate": ["documents", "duplicate_precision", "duplicate_recall", "pii_recall", "contaminated"],
    "curation_report": ["waterfall", "reasons"],
    "index": ["pages", "passages", "found", "found_rare"],
    "tokenizer": ["vocab_size", "bytes_per_token"],
    "tokenize": ["train_tokens", "val_tokens"],
    "pretrain": ["parameters", "val_bpb", "flops"],
    "probe": ["known_fraction", "recall_rare", "recall_frequent"],
    "conversations": ["conversations", "refusals"],
    "sft": ["val_loss"],
    "reason": ["accuracy_before", "accuracy_after"],
    "preferences": ["prompts", "rankings", "labeler_agreement"],
    "reward": ["pair_accuracy", "length_baseline_accuracy"],
    "rlhf": ["gold_before", "gold_after", "kl"],
    "evaluate": ["base", "sft", "reasoner", "chat"],
    "export": [],
    "report": ["path"],
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A smoke run of every stage, in a folder of its own."""
    from flows.stage_process import environment

    folder = tmp_path_factory.mktemp("smoke")
    make_project(folder)
    done = repro(folder, environment())
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return folder


def make_project(folder: Path) -> None:
    """A workspace of the smallest size, on a machine of its own."""
    prepare(ROOT, folder, layers_of(ROOT, "smoke", {}), None)
    (folder / "machine.yaml").unlink(missing_ok=True)
    (folder / "machine.yaml").write_text('accelerator: cpu\ncompile: "off"\n')


def repro(folder: Path, env: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["dvc", "repro", *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=1800
    )


def test_every_stage_has_its_metrics(workspace: Path) -> None:
    metrics = read_metrics(workspace)
    missing = [(stage, key) for stage, keys in KEYS.items() for key in keys if key not in metrics[stage]]
    assert not missing
    models = [metrics["evaluate"][name] for name in ("base", "sft", "reasoner", "chat")]
    assert all(set(model) == set(models[0]) for model in models)


def test_accuracies_have_n_and_an_interval(workspace: Path) -> None:
    for values in (read_metrics(workspace)["evaluate"]["chat"], read_metrics(workspace)["reward"]):
        for key in [key for key in values if key.endswith("_low")]:
            name = key.removesuffix("_low")
            assert {f"{name}_n", f"{name}_high"} <= set(values), name


def test_nothing_is_left_to_do(workspace: Path, command) -> None:
    assert "Data and pipelines are up to date." in command(workspace, "dvc", "status").stdout


def test_the_final_model_is_an_ordinary_hugging_face_folder(workspace: Path) -> None:
    names = {path.name for path in (workspace / "models/export").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"} <= names
    config = json.loads((workspace / "models/export/config.json").read_text())
    assert config["architectures"] == ["Qwen3ForCausalLM"]


def test_the_report_and_the_summary_show_the_run(workspace: Path) -> None:
    page = (workspace / "report/index.html").read_text(encoding="utf-8")
    metrics = read_metrics(workspace)
    assert f"{metrics['deduplicate']['documents']:,}" in page and page.count("<svg") >= 5
    text = terminal(workspace)
    assert all(stage in text for stage in KEYS)
    assert "make chat" in text


def test_nothing_unpickles_and_no_out_names_this_machine(workspace: Path) -> None:
    outs = [out["path"] for entry in read_yaml(workspace / "dvc.lock")["stages"].values() for out in entry["outs"]]
    files = [file for out in outs for file in [workspace / out, *(workspace / out).rglob("*")] if file.is_file()]
    assert files
    assert not [file for file in files if file.suffix in (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".bin.index")]
    here = str(workspace).encode()
    assert not [file for file in files if here in file.read_bytes()]


def test_two_clones_of_a_commit_from_empty_caches_agree_to_the_byte(workspace: Path, tmp_path: Path) -> None:
    """The run is committed, cloned and run again from nothing: the same dvc.lock, and git sees no change."""
    from flows.stage_process import environment

    origin, clone = tmp_path / "origin", tmp_path / "clone"
    leave = shutil.ignore_patterns(".work", "cache", "tmp", "config.local", "__pycache__", "mlflow.db*", "mlartifacts")
    shutil.copytree(workspace, origin, ignore=leave, symlinks=True)
    shutil.copy(ROOT / ".dvc/.gitignore", origin / ".dvc")
    (origin / ".gitignore").write_text((ROOT / ".gitignore").read_text().replace("/inputs/*/*\n", ""))
    git(origin, "init", "--quiet")
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "--message", "The run")
    git(tmp_path, "clone", "--quiet", str(origin), str(clone))
    shutil.copy(workspace / "machine.yaml", clone)
    done = repro(clone, environment())
    assert done.returncode == 0, done.stderr[-3000:]
    assert (clone / "models/chat/model.safetensors").exists()
    assert git(clone, "status", "--porcelain") == ""
    assert (clone / "dvc.lock").read_bytes() == (workspace / "dvc.lock").read_bytes()
    assert not differences(read_lock(str(workspace)), read_lock(str(clone)))


def git(folder: Path, *arguments: str) -> str:
    """What git says in `folder`, as somebody."""
    command = ["git", "-c", "user.name=somebody", "-c", "user.email=somebody@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_outs_come_back_from_the_cache(workspace: Path, command) -> None:
    shutil.rmtree(workspace / "models")
    assert command(workspace, "dvc", "checkout", "-q").returncode == 0
    assert (workspace / "models/chat/model.safetensors").exists()
