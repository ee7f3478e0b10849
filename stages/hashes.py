"""Content hashes, equal to DVC's own: of a file its md5, of a folder the md5 of its listing with `.dir` behind it.

So a run in MLflow and a line of dvc.lock can be joined on them. Source: dvc_data/hashfile/tree.py.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from stages.files import read_yaml


def md5(path: Path) -> str:
    """DVC's hash of a file or folder; caches of Python and of the desktop are left out, as in .dvcignore."""
    if path.is_file():
        return file_md5(path)
    files = [file for file in path.rglob("*") if file.is_file() and not ignored(file)]
    listing = sorted((file.relative_to(path).as_posix(), file_md5(file)) for file in files)
    # DVC sorts by path and writes the keys of an entry in this order.
    entries = json.dumps([{"md5": digest, "relpath": name} for name, digest in listing])
    return hashlib.md5(entries.encode()).hexdigest() + ".dir"


def file_md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def ignored(path: Path) -> bool:
    """What .dvcignore leaves out."""
    return "__pycache__" in path.parts or path.name == ".DS_Store"


def dependency_hashes(root: Path, stage: str, pipeline: dict[str, Any], inputs: list[Path]) -> dict[str, str]:
    """Path → hash of everything a stage depends on: the deps of its entry in dvc.yaml and its input paths.

    Under DVC, which has just checked them, the outs of earlier stages keep the hash that dvc.lock has for them
    (or for the out around them) instead of being read again.
    """
    declared = [dep for dep in pipeline["stages"][stage].get("deps", []) if "${" not in dep]
    recorded: dict[str, str] = {}
    if os.environ.get("DVC_STAGE") and (root / "dvc.lock").exists():
        for entry in read_yaml(root / "dvc.lock").get("stages", {}).values():
            recorded |= {out["path"]: out["md5"] for out in entry.get("outs", []) if "md5" in out}
    hashes = {}
    for path in sorted({*declared, *map(str, inputs)}):
        known = next((part for part in (path, *map(str, Path(path).parents)) if part in recorded), None)
        hashes[known or path] = recorded[known] if known else md5(root / path)
    return hashes


def outs_digest(hashes: dict[str, str]) -> str:
    """One name for the outs of a run together: what links a reused stage to the run that made them."""
    return hashlib.sha256(json.dumps(sorted(hashes.items())).encode()).hexdigest()[:32]
