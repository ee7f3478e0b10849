"""Runs one stage as `dvc repro -s <stage>` in a process group of its own, and says what became of it and why.

DVC does not pass a signal on to the stage: only killing the whole group stops both. The registry of running groups
lives here, in an imported module, so that a flow that is cancelled finds them whatever thread started them.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stages.files import read_yaml

Outcome = Literal["Ran", "Cached", "Skipped", "Failed"]
# Seconds between asking a cancelled stage to stop and killing it.
GRACE = 3.0


@dataclass(frozen=True)
class Result:
    outcome: Outcome
    reason: str
    # Ended by a signal that nobody in this program sent: out of memory, or a person's `kill`.
    killed: bool = False


# What a network or a server that is busy says of itself: worth another try. Anything else is not.
TRANSIENT = re.compile(
    r"ConnectionError|ConnectTimeout|ReadTimeout|RemoteDisconnected|IncompleteRead|Connection (reset|aborted|refused)"
    r"|Temporary failure in name resolution|\b(429|502|503|504) (Server|Client) Error|database is locked"
)
# Seconds before each further try.
PAUSES = (5.0, 30.0)


_running: set[subprocess.Popen[str]] = set()
_lock = threading.Lock()
_stopping = threading.Event()
_watchdog: Any = None


def environment(**extra: str) -> dict[str, str]:
    """What a stage's command finds: this Python's folder first on PATH, and unbuffered output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path, "PYTHONUNBUFFERED": "1"} | extra


def run_stage(
    root: Path,
    stage: str,
    *,
    force: bool,
    log: Callable[[str], None],
    env: dict[str, str],
    minutes: float | None = None,
    held: tuple[int, ...] = (),
) -> Result:
    """Reproduce one stage, passing each line of output to `log`; again after a fault of the network.

    Args:
        minutes: how long the stage may take.
        held: file descriptors that the stage holds open too, such as the workspace's lock.
    """
    for pause in (*PAUSES, None):
        result = try_stage(root, stage, force, log, env, minutes, held)
        if result.outcome != "Failed" or result.killed or pause is None or not TRANSIENT.search(result.reason):
            break
        log(f"a fault that may pass: {result.reason}; once more in {pause:.0f} s")
        if _stopping.wait(pause):
            break
    return result


def try_stage(
    root: Path,
    stage: str,
    force: bool,
    log: Callable[[str], None],
    env: dict[str, str],
    minutes: float | None,
    held: tuple[int, ...],
) -> Result:
    """One `dvc repro` of a stage."""
    before = lock_entry(root, stage)
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage]
    with _lock:
        if _stopping.is_set():
            return Result("Failed", "cancelled before it started")
        process = subprocess.Popen(
            command + (["--force"] if force else []),
            cwd=root,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=held,
        )
        _running.add(process)
    tell_watchdog("+", process.pid)
    late = threading.Event()
    timer = threading.Timer((minutes or 0) * 60, lambda: (late.set(), end(process)))
    if minutes:
        timer.start()
    lines = []
    for line in process.stdout:
        if line := line.strip():
            lines.append(line)
            log(line)
    code = process.wait()
    timer.cancel()
    tell_watchdog("-", process.pid)
    with _lock:
        _running.discard(process)
    if late.is_set():
        return Result("Failed", f"{stage} took longer than timeout_minutes in machine.yaml, {minutes:g}")
    return judge(stage, code, lines, before, lock_entry(root, stage))


def judge(stage: str, code: int, lines: list[str], before: dict[str, Any], after: dict[str, Any]) -> Result:
    """What happened, from DVC's exit status and words, with the reason a person wants to read."""
    if _stopping.is_set():
        return Result("Failed", f"{stage} was stopped")
    signals = [int(found[1]) for line in lines if (found := re.search(r"exited with -(\d+)$", line))]
    if code < 0 or signals:
        name = signal.Signals(-code if code < 0 else signals[0]).name
        return Result("Failed", f"{stage} was stopped by {name}; run again, it goes on from its checkpoint", True)
    if code:
        errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        errors += [line for line in lines if re.match(r"(ERROR|\w*Error)\b", line)]
        return Result("Failed", errors[0] if errors else f"{stage} failed with exit status {code}")
    text = "\n".join(lines)
    if "is cached - skipping run" in text:
        return Result("Cached", "these inputs and parameters ran before: outs restored from the run-cache")
    if "Running stage" in text:
        return Result("Ran", changes(before, after))
    return Result("Skipped", "nothing changed")


def changes(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Which dependencies and parameters differ between two entries of dvc.lock."""
    if not before:
        return "first run"
    old = {dep["path"]: dep.get("md5") for dep in before.get("deps", [])}
    new = {dep["path"]: dep.get("md5") for dep in after.get("deps", [])}
    changed = [path for path in new if old.get(path) != new[path]] + [path for path in old if path not in new]
    for section in after.get("params", {}).get("params.yaml", {}):
        was = before.get("params", {}).get("params.yaml", {}).get(section)
        now = after["params"]["params.yaml"][section]
        if isinstance(was, dict) and isinstance(now, dict):
            keys = sorted({*was, *now})
            changed += [f"{section}.{key}" for key in keys if was.get(key) != now.get(key)]
        elif was != now:
            changed.append(section)
    if before.get("cmd") != after.get("cmd"):
        changed.append("command")
    return "changed: " + ", ".join(changed) if changed else "forced, or its outs were missing"


def lock_entries(root: Path) -> dict[str, dict[str, Any]]:
    """Stage → its entry in dvc.lock, of those that have run."""
    lock = root / "dvc.lock"
    return read_yaml(lock).get("stages", {}) if lock.exists() else {}


def lock_entry(root: Path, stage: str) -> dict[str, Any]:
    """The stage's entry in dvc.lock; empty when it never ran."""
    return lock_entries(root).get(stage, {})


def last_run(root: Path, stage: str) -> dict[str, Any]:
    """How the stage's last run on this machine went, as the runner noted it; empty where it never ran."""
    note = root / ".work" / "last" / f"{stage}.json"
    return json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}


def stop_all() -> None:
    """Stop every running stage with all its children, and let no other start."""
    _stopping.set()
    with _lock:
        running = list(_running)
    for process in running:
        signal_group(process, signal.SIGTERM)
    for process in running:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """Ask a stage's whole group to stop, and kill what is left of it after a moment."""
    signal_group(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    # The group's leader may have ended while the stage goes on.
    signal_group(process, signal.SIGKILL)


def set_watchdog(stream: Any) -> None:
    """Where the groups of stages are told to the process that ends them if this one is killed."""
    global _watchdog
    _watchdog = stream


def tell_watchdog(sign: str, group: int) -> None:
    with _lock:
        if _watchdog:
            with contextlib.suppress(OSError, ValueError):
                _watchdog.write(f"{sign}{group}\n")
                _watchdog.flush()


def allow() -> None:
    """Let stages start again: a flow begins."""
    _stopping.clear()


def signal_group(process: subprocess.Popen[str], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
