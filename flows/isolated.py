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
from flows.overrides import nested, overlay
from flows.workspace import CODE, link_machine, make_repository
from stages.files import read_yaml, remove

PLACE = Path("workspaces") / "runs"
# Finished workspaces that are kept; the oldest beyond go. What they made stays in the DVC cache.
KEPT = 12
LOCK = ".work/lock"


def profile_path(project: Path, profile: str) -> Path:
    """The file of a profile. UserError, with the profiles that there are, for one that does not exist."""
    path = project / "profiles" / f"{profile}.yaml"
    if not path.exists():
        profiles = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml"))) or "none"
        raise UserError(f"there is no profile {profile!r}; the profiles are {profiles}.")
    return path


def newest_snapshot(project: Path) -> str:
    """The latest crawl in inputs/snapshots, whose folders are named by date; empty where there is none."""
    folders = [path for path in (project / "inputs" / "snapshots").glob("*") if path.is_dir()]
    return max(folders, key=lambda path: path.name).relative_to(project).as_posix() if folders else ""


def changes(project: Path, profile: str, overrides: dict[str, Any], snapshot: str = "") -> list[dict[str, Any]]:
    """What a run lays over params.yaml, in this order: its profile, a crawl snapshot, single values."""
    layers = [read_yaml(profile_path(project, profile))] if profile else []
    place = newest_snapshot(project) if snapshot == "newest" else snapshot and f"inputs/snapshots/{snapshot}"
    if place:
        if not (project / place).is_dir():
            raise UserError(f"there is no crawl snapshot {place}; put its files there, or name another.")
        layers.append({"crawl": {"source": "files", "inputs": place}})
    return [*layers, nested(overrides)]


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
    for name in CODE:
        mirror(project / name, folder / name)
    # dvc.lock and, as no cache holds them, the numbers it speaks of.
    made = () if (folder / "dvc.lock").exists() else ("dvc.lock", "metrics", "plots")
    for name in made:
        mirror(project / name, folder / name)
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
    for layer in layers:
        overlay(folder / "params.yaml", layer)


def share_cache(project: Path, folder: Path) -> None:
    """Let DVC in `folder` use the project's cache, so that what any run made is there for all."""
    from dvc.repo import Repo

    with Repo(str(project)) as repo:
        place = Path(repo.cache.local_cache_dir)
    place.mkdir(parents=True, exist_ok=True)
    settings = f"[core]\n    no_scm = true\n[cache]\n    dir = {place}\n"
    (folder / ".dvc" / "config.local").write_text(settings, encoding="utf-8")


def mirror(source: Path, target: Path) -> None:
    """Make `target` the same as `source`; files that are the same already stay, and with them their bytecode."""
    if source.is_dir():
        target.mkdir(exist_ok=True)
        names = {path.name for path in source.iterdir()} - {"__pycache__"}
        for stale in {path.name for path in target.iterdir()} - names - {"__pycache__"}:
            remove(target / stale)
        for name in names:
            mirror(source / name, target / name)
    elif source.exists():
        there = target.stat() if target.exists() else None
        here = source.stat()
        if not there or (there.st_size, there.st_mtime_ns) != (here.st_size, here.st_mtime_ns):
            remove(target)
            shutil.copy2(source, target)


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
