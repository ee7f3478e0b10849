"""Files that appear whole or not at all, and the two readers that every stage's surroundings share."""

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML 1.2 file, as DVC reads it (so 3e-4 is a number)."""
    try:
        return parse_yaml(path.read_text(encoding="utf-8"), path.name)
    except FileNotFoundError:
        raise UserError(f"{path.name} is not in {path.parent}; run from the project's root.") from None


def parse_yaml(text: str, name: str) -> dict[str, Any]:
    """The YAML 1.2 text of what is called `name`."""
    from ruamel.yaml import YAML, YAMLError

    try:
        return YAML(typ="safe").load(text) or {}
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise UserError(f"{name} is not valid YAML{where}: {getattr(error, 'problem', error)}.") from None


def check_or_write(path: Path, text: str, arguments: list[str]) -> int:
    """What a program does that makes `path`: shows the lines that differ from `text`, or with --write writes it.
    Returns 1 where lines differ, else 0."""
    if arguments == ["--write"]:
        path.write_text(text, encoding="utf-8")
        return 0
    now = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    differing = [line.strip() for line in text.splitlines() if line not in now]
    print("\n".join(differing or [f"{path} is as the code says"]))
    return 1 if differing else 0


def publish(source: Path, target: Path) -> None:
    """Move a finished out to its place, synced to disk first, so that it is there whole or not at all."""
    sync(source)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove(target)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # The out's folder is on another disk: copy beside the target, then rename there.
        beside = target.with_name(f".{target.name}.partial")
        remove(beside)
        shutil.copytree(source, beside) if source.is_dir() else shutil.copy2(source, beside)
        sync(beside)
        beside.rename(target)
    sync_entry(target.parent)


def discard(work: Path) -> None:
    """Delete a folder. Killed at any moment it leaves the whole folder or none, never a part of it."""
    finished = work.with_name(f".{work.name}.done")
    remove(finished)  # of a run that was killed here
    work.rename(finished)
    remove(finished)


def remove(path: Path) -> None:
    """Remove a file, folder or link, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Flush a file, or a folder with all that is in it, to disk."""
    for part in [*path.rglob("*"), path] if path.is_dir() else [path]:
        sync_entry(part)


def sync_entry(path: Path) -> None:
    """Flush one file's contents or one folder's list of names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    aside.write_text(json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    sync_entry(aside)
    aside.rename(path)
