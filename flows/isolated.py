"""A workspace for one run: the project's code as it is today, its DVC cache, parameters of this run only.

In: the project, a profile, values for params.yaml. Out: a folder in workspaces/runs/ that nobody else writes to while
its lock is held. Its name follows from what the run is to do, so that a run that was stopped and is started again finds
its checkpoints; a second run of the same kind at the same time takes the next folder. The operating system frees the
lock when the process ends, however it ends. The project's own folder is not changed.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError
from flows.dag import open_project
from flows.overrides import overlay
from flows.workspace import CODE, copy, link_machine, make_repository
from stages.mlflow_runs import git

PLACE = Path("workspaces") / "runs"
# Finished workspaces that are kept; the oldest beyond go. What they made stays in the DVC cache.
KEPT = 12
LOCK = ".work/lock"


@contextlib.contextmanager
def lock(folder: Path, flow_run: str = "") -> Iterator[int]:
    """Hold a folder for writing; the lock's file descriptor. UserError, with the holder's PID, when it is taken."""
    path = folder / LOCK
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror}); make it writable, or use another.") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 100).decode().partition(" ")[0] or "unknown"
            raise UserError(
                f"PID {holder} works in {folder}; wait for it, or leave out --here to run beside it."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()} {flow_run}".encode())
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def claim(project: Path, profile: str, layers: list[dict[str, Any]], flow_run: str = "") -> Iterator[tuple[Path, int]]:
    """A prepared workspace, held until the end of the block, and its lock's file descriptor."""
    identity = hashlib.sha256(json.dumps(layers, sort_keys=True, default=str).encode()).hexdigest()[:8]
    number, name = 1, f"{profile or 'project'}-{identity}"
    with contextlib.ExitStack() as stack:
        while True:
            folder = project / PLACE / (name if number == 1 else f"{name}-{number}")
            try:
                descriptor = stack.enter_context(lock(folder, flow_run))
                break
            except UserError:
                if not os.access(folder, os.W_OK):
                    raise
                number += 1
        clear_old(project, folder)
        fill(project, folder, layers)
        yield folder, descriptor


def fill(project: Path, folder: Path, layers: list[dict[str, Any]]) -> None:
    """Today's code and parameters in a workspace, what the project has made as a start, and the shared cache."""
    copy(project, folder, CODE)
    # dvc.lock, and the headlines and curves it speaks of, which git holds and no cache does.
    if not (folder / "dvc.lock").exists():
        copy(project, folder, ("dvc.lock", "metrics", "plots"))
    for place in ("metrics", "plots"):
        (folder / place).mkdir(exist_ok=True)
    if (project / "inputs").is_dir():
        (folder / "inputs").mkdir(exist_ok=True)
        for source in (project / "inputs").iterdir():
            link = folder / "inputs" / source.name
            if not link.is_symlink():
                link.symlink_to(source.resolve())
    link_machine(project, folder)
    make_repository(project, folder)
    share_cache(project, folder)
    overlay(folder / "params.yaml", *layers)


def uncommitted(project: Path) -> list[str]:
    """Files of which a run takes what no commit has: the project's code and parameters, and its profiles."""
    changed = git(project, "status", "--porcelain", "--", *CODE, "profiles")
    return [line.split(maxsplit=1)[1] for line in changed.splitlines()]


def share_cache(project: Path, folder: Path) -> None:
    """Let DVC in `folder` use the project's cache, so that what any run made is there for all."""
    with open_project(project) as repo:
        place = Path(repo.cache.local_cache_dir)
    place.mkdir(parents=True, exist_ok=True)
    settings = f"[core]\n    no_scm = true\n[cache]\n    dir = {place}\n"
    (folder / ".dvc" / "config.local").write_text(settings, encoding="utf-8")


def clear_old(project: Path, own: Path) -> None:
    """Remove the oldest workspaces beyond those that are kept, except where a run is going on."""
    folders = [path for path in (project / PLACE).iterdir() if path != own and path.is_dir()]
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        with contextlib.suppress(UserError), lock(folder):
            shutil.rmtree(folder, ignore_errors=True)


def abandoned(project: Path) -> Iterator[str]:
    """Flow runs that held a workspace last, and hold it no more."""
    for path in [project / LOCK, *(project / PLACE).glob(f"*/{LOCK}")]:
        if path.exists():
            flow_run = path.read_text(encoding="utf-8").partition(" ")[2]
            with contextlib.suppress(UserError), lock(path.parents[1], flow_run):
                if flow_run:
                    yield flow_run
