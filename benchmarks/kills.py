"""Kills the stages of curation at random moments, and compares what they write in the end with a quiet run.

`python -m benchmarks.kills [--kills 20] [--seed 1] [--domains 20]`

In: nothing; a small web is made in a temporary project. Out: a line a kill, then one line of JSON: kills, how many of
them hit a running stage, and whether all outs are byte for byte those of the undisturbed run. Only the stage itself
gets SIGKILL, as from the kernel's out-of-memory killer: its workers must notice.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from benchmarks import command

ROOT = Path(__file__).parents[1]
STAGES = ("extract", "filter", "deduplicate", "curation_report")
OUTS = ("data/extracted", "data/filtered", "data/corpus", "data/removed", "plots/curation")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--domains", type=int, default=20, help="size of the web")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = prepare(Path(folder) / "project", options.domains)
        seconds = {stage: run(project, stage) for stage in STAGES}
        expected = digest(project)
        print(", ".join(f"{stage} {duration:.1f} s" for stage, duration in seconds.items()), flush=True)
        rng, hits, wrong = Random(options.seed), 0, []
        for number in range(options.kills):
            stage = STAGES[number % len(STAGES)]
            if number % len(STAGES) == 0:
                forget(project)
            moment = rng.uniform(0.0, seconds[stage])
            hit = kill(project, stage, moment)
            hits += hit
            print(f"{stage} {'killed' if hit else 'had ended'} at {moment:.2f} s", flush=True)
            seconds[stage] = min(seconds[stage], run(project, stage))
            if stage == STAGES[-1] or number == options.kills - 1:
                for rest in STAGES[STAGES.index(stage) + 1 :]:
                    run(project, rest)
                if digest(project) != expected:
                    wrong.append(number)
    print(json.dumps({"kills": options.kills, "hits": hits, "identical": not wrong}))
    return 1 if wrong else 0


def prepare(folder: Path, domains: int) -> Path:
    """This project with parameters of the smallest size, two workers, and a crawl."""
    from flows import workspace

    settings = {"crawl.web.domains": domains} | {f"{stage}.tasks": 4 for stage in STAGES[:-1]}
    workspace.prepare(ROOT, folder, ROOT / "profiles" / "smoke.yaml", None, settings)
    (folder / "machine.yaml").write_text("workers: 2\n")
    run(folder, "crawl")
    return folder


def start(project: Path, stage: str) -> subprocess.Popen:
    from stages.files import read_yaml

    command = read_yaml(project / "dvc.yaml")["stages"][stage]["cmd"].replace("${crawl.inputs}", "inputs")
    arguments = [sys.executable, *command.split()[1:]]
    environment = os.environ | {"CRAWL2CHAT_TRACKING": "off", "PYTHONPATH": str(project)}
    return subprocess.Popen(arguments, cwd=project, env=environment, stdout=subprocess.DEVNULL)


def run(project: Path, stage: str) -> float:
    """Run a stage to its end; returns seconds."""
    before = time.monotonic()
    if start(project, stage).wait():
        raise RuntimeError(f"{stage} failed")
    return time.monotonic() - before


def kill(project: Path, stage: str, seconds: float) -> bool:
    """Start a stage and kill it after so many seconds; whether it was still at work."""
    process = start(project, stage)
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return True


def forget(project: Path) -> None:
    """Remove outs and work of all curation stages."""
    for name in (*OUTS, *(f".work/{stage}" for stage in STAGES)):
        shutil.rmtree(project / name, ignore_errors=True)


def digest(project: Path) -> str:
    """One hash over names and bytes of all outs."""
    hashes = hashlib.sha256()
    for name in OUTS:
        for path in sorted(path for path in (project / name).rglob("*") if path.is_file()):
            hashes.update(path.relative_to(project).as_posix().encode() + path.read_bytes())
    return hashes.hexdigest()


if __name__ == "__main__":
    command(main)
