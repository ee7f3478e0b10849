"""What every test shares: quiet tools, no tracking unless a test asks for it, and a project of three toy stages."""

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crawl2chat.logs import ROOTS
from stages import QUIET

ROOT = Path(__file__).parents[1]
os.environ.update(QUIET)
os.environ["CRAWL2CHAT_TRACKING"] = "off"
os.environ.pop("MLFLOW_TRACKING_URI", None)

# Each toy stage waits and fails as its parameters say; `second` keeps a checkpoint of how far it came.
TOYS = {
    "first": """
from pathlib import Path
from crawl2chat.parameters import Params

class FirstParams(Params):
    letters: int = 3

def first(out: Path, params: FirstParams, seed: int):
    print("first is working")
    out.mkdir()
    (out / "text").write_text("x" * params.letters + str(seed))
    return {"letters": params.letters, "third": 1 / 3, "endless": float("inf")}
""",
    "second": """
import time
from pathlib import Path
from crawl2chat.errors import UserError
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker

class Rates(Params):
    learning: float = 3e-4

HEADLINE = {"second": {"accuracy": "steps"}}

class SecondParams(Params):
    steps: int = 3
    pause: float = 0.0
    fail: bool = False
    rates: Rates = Rates()

def second(source: Path, out: Path, out_curve: Path, params: SecondParams, tracker: Tracker, work: Path):
    if params.fail:
        raise UserError("second cannot go on; set second.fail to false.")
    checkpoint = work / "step"
    began = int(checkpoint.read_text()) if checkpoint.exists() else 0
    out.mkdir()
    for step in range(began, params.steps):
        (out / "model.safetensors").write_text(str(step))
        checkpoint.write_text(str(step + 1))
        tracker.metrics({"loss": 1 / (step + 1)}, step=step)
        print("step", step, flush=True)
        time.sleep(params.pause)
    (out / "config.json").write_text("{}")
    (out / "model.safetensors").write_text((source / "text").read_text())
    out_curve.write_text("step,loss\\n0,1\\n")
    tracker.table("samples", [{"prompt": "a", "answer": "b"}])
    tracker.facts({"rate": 2.5})
    tracker.model("best", checkpoint, {"val_loss": 0.5}, step=2)
    return {"began": began, "steps": params.steps}
""",
    "third": """
from pathlib import Path

def third(source: Path, out: Path):
    out.write_text((source / "model.safetensors").read_text() * 2)
    return {"size": out.stat().st_size}
""",
}
PIPELINE = """
stages:
  first:
    cmd: python -m stages first --out data/first
    deps: [stages/first.py]
    params: [seed, first]
    outs: [data/first]
    metrics: [metrics/first.json: {cache: false}]
  second:
    cmd: python -m stages second --source data/first --out models/second --out-curve plots/second.csv
    deps: [stages/second.py, data/first]
    params: [seed, second]
    outs: [models/second]
    plots: [plots/second.csv: {cache: false}]
    metrics: [metrics/second.json: {cache: false}, metrics/headline/second.json: {cache: false}]
  third:
    cmd: python -m stages third --source models/second --out data/third
    deps: [stages/third.py, models/second]
    params: [seed, third]
    outs: [data/third]
    metrics: [metrics/third.json: {cache: false}]
"""
PARAMETERS = "seed: 7\nfirst: {letters: 3}  # how many\nsecond: {steps: 3}\nthird: {}\n"


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    """A command line that a test calls configures the loggers, which would hide records from a later test's caplog."""
    yield
    for root in ROOTS:
        logger = logging.getLogger(root)
        logger.handlers, logger.propagate = [], True
        logger.setLevel(logging.NOTSET)


@pytest.fixture
def toys(tmp_path: Path) -> Path:
    """A project with this one's runner and three stages of its own, under DVC without git."""
    root = tmp_path / "project"
    # The modules of the runner, without the real stages.
    keep = {
        "__init__.py",
        "__main__.py",
        "runner.py",
        "files.py",
        "hashes.py",
        "headline.py",
        "mlflow_names.py",
        "mlflow_runs.py",
        "mlflow_store.py",
        "mlflow_tracker.py",
        "mlflow_views.py",
        "mlflow_writer.py",
        "program.py",
        "settings.py",
    }
    shutil.copytree(ROOT / "stages", root / "stages", ignore=lambda folder, names: set(names) - keep)
    for stage, code in TOYS.items():
        (root / "stages" / f"{stage}.py").write_text(code)
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "params.yaml").write_text(PARAMETERS)
    (root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvcignore", root)
    shutil.copy(ROOT / ".dvc" / "config", root / ".dvc")
    (root / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
    return root


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated MLflow store without runs: to migrate one takes seconds, to copy it none."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def tracked(toys: Path, empty_store: Path) -> Path:
    """The toy project with an MLflow store."""
    shutil.copy(empty_store, toys / "mlflow.db")
    return toys


Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def command() -> Command:
    """`command(folder, "stages", "first", …)` runs `python -m stages first …` there."""

    def run(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=folder,
            env=os.environ | {"PATH": path} | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
