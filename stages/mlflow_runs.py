"""What MLflow's runs are called, who is behind them, and what holds several of them together.

A run is named by what makes it different. It carries the process it belongs to: one whose process is gone is KILLED.
The stages of one `dvc repro`, `dvc exp run` or flow hang below one run of the experiment `pipeline`.
"""

import contextlib
import getpass
import os
import socket
import subprocess
from pathlib import Path
from typing import Any

from crawl2chat.secrets import redacted
from stages.files import read_yaml
from stages.mlflow_names import in_charts
from stages.mlflow_store import flatten, lock_of, log_params, open_client, project_of, set_tags

PIPELINE = "pipeline"
# Of a run's process: the machine, and number and start on it, which no later process has again.
HOST, PROCESS = "process.host", "process.id"
# What changes while the pipeline runs and does not make the code dirty, wherever in the checkout `root` is.
WRITTEN = tuple(f":(top,exclude,glob)**/{written}" for written in ("dvc.lock", "metrics/**", "plots/**"))
# Things that a name lists before it says how many more.
LISTED = 2


# ---- names and tags


def run_name(root: Path, subject: str, changed: list[str]) -> str:
    """`sft · 4a658f0 · sft.steps`: what ran, in which experiment, flow or commit, and what was new about it."""
    named = os.environ.get("DVC_EXP_NAME") or os.environ.get("CRAWL2CHAT_FLOW_NAME")
    origin = named or git(root, "rev-parse", "--short", "HEAD") or "no git"
    news = ", ".join(changed[:LISTED]) + (f" +{len(changed) - LISTED}" if len(changed) > LISTED else "")
    return " · ".join(part for part in (subject, origin, news) if part)


def changed_inputs(root: Path, stages: list[str], hashes: dict[str, str] | None = None) -> list[str]:
    """What differs from the last run that dvc.lock has: parameters with their new values, then data, then code."""
    lock = root / "dvc.lock"
    recorded = read_yaml(lock).get("stages", {}) if lock.exists() else {}
    entries = [recorded[stage] for stage in stages if stage in recorded]
    if not entries:
        return ["first run"]
    params = read_yaml(root / "params.yaml")
    was: dict[str, Any] = {}
    for entry in entries:
        was |= entry.get("params", {}).get("params.yaml", {})
    now = {key: params.get(key) for key in was}
    before, after = flatten(was), flatten(now)
    changed = [f"{key}={after.get(key)}" for key in sorted({*before, *after}) if before.get(key) != after.get(key)]
    if hashes is not None:
        known = {dep["path"]: dep.get("md5") for entry in entries for dep in entry.get("deps", [])}
        other = sorted(path for path in hashes if known.get(path) != hashes[path])
        code = [path for path in other if is_code(path)]
        changed += [path for path in other if path not in code] + (["code"] if code else [])
    return [redacted(text) for text in changed]


def is_code(path: str) -> bool:
    return path.startswith(("crawl2chat/", "stages/"))


def surroundings(root: Path, source: str = "flows/pipeline.py", process: int | None = None) -> dict[str, str]:
    """Tags to filter by: who ran which code, where, in which run of the pipeline, and in which `process`."""
    commit = git(root, "rev-parse", "HEAD")
    dirty = git(root, "status", "--porcelain", "--untracked-files=no", "--", ":(top)", *WRITTEN)
    parent = os.environ.get("CRAWL2CHAT_PIPELINE_RUN", "")
    tags = {
        "mlflow.source.name": source,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": commit,
        "git.commit": commit,
        "git.dirty": str(bool(dirty)).lower() if commit else "",
        "dvc.experiment": os.environ.get("DVC_EXP_NAME", ""),
        "pipeline.run": parent,
        "mlflow.parentRunId": parent,
        "prefect.flow_run": os.environ.get("CRAWL2CHAT_FLOW_RUN", ""),
        "workspace": workspace_name(root),
        HOST: socket.gethostname(),
        PROCESS: process_id(process or os.getpid()),
    }
    with contextlib.suppress(OSError, KeyError, ImportError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    return {key: value for key, value in tags.items() if value}


def workspace_name(root: Path) -> str:
    """The folder below the project's; empty for the project itself."""
    home = project_of(root)
    return "" if home == root.resolve() else root.resolve().relative_to(home).as_posix()


def git(root: Path, *arguments: str) -> str:
    """What git says; nothing where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


# ---- processes


def process_id(number: int) -> str:
    """Number and start of a process: an id that no later process has again. Empty when there is none."""
    import psutil

    try:
        return f"{number}:{psutil.Process(number).create_time():.0f}"
    except psutil.Error:
        return ""


def dvc_process() -> int | None:
    """The `dvc repro` or `dvc exp run` that this process works for."""
    import psutil

    if not os.environ.get("DVC_STAGE"):
        return None
    with contextlib.suppress(psutil.Error):
        for parent in psutil.Process().parents():
            if any(Path(part).name == "dvc" for part in parent.cmdline()[:3]):
                return parent.pid
    return None


def mark_gone(client: Any) -> list[str]:
    """Mark every run as KILLED that is RUNNING by a process of this machine which is no more; returns their ids."""
    experiments = [each.experiment_id for each in client.search_experiments()]
    if not experiments:
        return []
    running = client.search_runs(experiments, "attributes.status = 'RUNNING'", max_results=1000)
    gone = []
    for run in running:
        process = run.data.tags.get(PROCESS, "")
        here = run.data.tags.get(HOST) == socket.gethostname()
        if here and process and process_id(int(process.partition(":")[0])) != process:
            client.set_terminated(run.info.run_id, "KILLED")
            gone.append(run.info.run_id)
    return gone


# ---- the run above the stages


class Parent:
    """The run of the experiment `pipeline` that a stage belongs to: the one that a flow has opened, or the one of the
    `dvc repro` that is at work, which its first stage opens. That one has the state of its latest stage, and lasts from
    the beginning of the first to the end of the latest: nothing has to close it."""

    def __init__(self, client: Any, uri: str, root: Path, started: int) -> None:
        self.client, self.root = client, root
        self.run_id = os.environ.get("CRAWL2CHAT_PIPELINE_RUN", "")
        # A flow ends the run that it opened itself.
        self.own = not self.run_id and (process := dvc_process()) is not None
        if self.own:
            self.run_id = self.open(uri, process, started)

    def open(self, uri: str, process: int, started: int) -> str:
        _, experiment = open_client(uri, PIPELINE)
        tags = surroundings(self.root, "dvc.yaml", process)
        with lock_of(uri):
            query = f"tags.`{PROCESS}` = '{tags[PROCESS]}' and tags.`{HOST}` = '{tags[HOST]}'"
            found = self.client.search_runs([experiment], query, max_results=1)
            if found:
                self.client.update_run(found[0].info.run_id, status="RUNNING")
                return found[0].info.run_id
            stages = list(read_yaml(self.root / "dvc.yaml")["stages"])
            name = run_name(self.root, PIPELINE, changed_inputs(self.root, stages))
            run = self.client.create_run(experiment, run_name=name, tags=tags, start_time=started)
        log_params(self.client, run.info.run_id, read_yaml(self.root / "params.yaml"))
        return run.info.run_id

    def note(self, stage: str, status: str, rows: dict[str, dict[str, float]], now: int) -> None:
        """What became of a stage, its headline among the numbers of the whole, and the state of the whole."""
        if not self.run_id:
            return
        from mlflow.entities import Metric

        set_tags(self.client, self.run_id, {f"stage.{stage}.status": status})
        numbers = [Metric(name, value, now, 0) for name, value in in_charts(rows).items()]
        self.client.log_batch(self.run_id, metrics=numbers)
        if self.own:
            self.client.set_terminated(self.run_id, status, end_time=now)
