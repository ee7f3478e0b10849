"""What Prefect, DVC and MLflow cost around the work itself: `python -m benchmarks.consoles`.

In: a toy project of eight stages that do nothing, made in a temporary folder; the current folder's metrics. Out: a line
for each measurement, and last one line of JSON: `noop_flow_seconds`, a flow run with nothing to do, start of the
process included; `overhead_per_stage`, seconds of a stage in a flow beyond the same stage by `dvc repro`;
`mlflow_share`, MLflow's share of the time of a stage that reports twenty times a second, more often than any does;
`metrics_rows`, values that `dvc metrics show` prints.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import command

ROOT = Path(__file__).parents[1]
STAGES = 8
# Steps of a twentieth of a second in the stage that reports metrics.
STEPS = 400
# A stage's time is measured inside it: its steps only, not its start.
CODE = """
import time
from pathlib import Path
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker

class StepParams(Params):
    steps: int = 0
    pause: float = 0.05

def {name}(source: Path, out: Path, params: StepParams, tracker: Tracker):
    started = time.perf_counter()
    for step in range(params.steps):
        time.sleep(params.pause)
        tracker.metrics({{"loss": 1 / (step + 1)}}, step=step)
    Path("seconds-{name}").write_text(str(time.perf_counter() - started))
    out.write_text(source.read_text() + "{name}")
    return {{"steps": params.steps}}
"""
STAGE = """  {name}:
    cmd: python -m stages {name} --source {source} --out out-{name}
    deps: [{source}, stages/{name}.py]
    params: [seed, {name}]
    outs: [out-{name}]
    metrics: [metrics/{name}.json: {{cache: false}}]
"""


def make_project(root: Path) -> None:
    """A chain of stages under DVC, with this project's runner."""
    real = {stage.stem for stage in (ROOT / "stages").glob("*.py")} & set(stage_names())
    shutil.copytree(
        ROOT / "stages", root / "stages", ignore=lambda _, names: {f"{name}.py" for name in real} | {"__pycache__"}
    )
    names = [f"step_{number}" for number in range(STAGES)]
    lines, source = ["stages:\n"], "start"
    for name in names:
        (root / "stages" / f"{name}.py").write_text(CODE.format(name=name))
        lines.append(STAGE.format(name=name, source=source))
        source = f"out-{name}"
    (root / "start").write_text("")
    (root / "dvc.yaml").write_text("".join(lines))
    (root / "params.yaml").write_text("seed: 1\n" + "".join(f"{name}: {{steps: 0}}\n" for name in names))
    shutil.copy(ROOT / ".dvcignore", root)
    (root / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc" / "config", root / ".dvc")
    (root / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")


def stage_names() -> list[str]:
    from stages.files import read_yaml

    return list(read_yaml(ROOT / "dvc.yaml")["stages"])


def timed(root: Path, *command: str, **extra: str) -> float:
    """Seconds of a command."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "CRAWL2CHAT_TRACKING": "off"} | extra
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", *command], cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout[-1000:]}{done.stderr[-1000:]}")
    return time.perf_counter() - started


def inside(root: Path) -> float:
    return float((root / "seconds-step_0").read_text())


def rows(values: object) -> int:
    """Numbers in what `dvc metrics show --json` prints."""
    if isinstance(values, dict):
        return sum(map(rows, values.values()))
    return int(not isinstance(values, str))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_project(root)
        by_dvc = timed(root, "dvc", "repro", "--force")
        print(f"dvc repro, {STAGES} stages: {by_dvc:.1f} s")
        by_flow = timed(root, "flows.pipeline", "--here", "--force")
        print(f"the same by a flow: {by_flow:.1f} s")
        noop = timed(root, "flows.pipeline", "--here")
        print(f"nothing to do: {noop:.1f} s")
        setting = ("--here", "--force", "--set", f"step_0.steps={STEPS}", "--")
        timed(root, "flows.pipeline", *setting, "step_0")
        alone = inside(root)
        timed(root, "flows.pipeline", *setting, "step_0", CRAWL2CHAT_TRACKING="on")
        tracked = inside(root)
        print(f"{STEPS} steps: {alone:.2f} s, tracked {tracked:.2f} s")
    shown = subprocess.run([sys.executable, "-m", "dvc", "metrics", "show", "--json"], capture_output=True, text=True)
    results = {
        "noop_flow_seconds": round(noop, 2),
        "overhead_per_stage": round((by_flow - by_dvc) / STAGES, 2),
        "mlflow_share": round(max(0.0, tracked / alone - 1), 4),
        "metrics_rows": rows(json.loads(shown.stdout)),
    }
    print(json.dumps(results))


if __name__ == "__main__":
    command(main)
