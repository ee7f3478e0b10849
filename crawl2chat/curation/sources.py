"""Collects a person's own files into the layout of a crawl.

In: a folder with any of `crawl/`, `text/` (documents), `chat/`, `preferences/`, `verifiable/`; a folder with none of them
is taken as documents. Out: `pages/`, `chat/`, `preferences/`, `verifiable/`, each with the files as found or, where
there are none, an `about.json` that says so. Files are copied, never linked: an out may be made read-only.
"""

import hashlib
import json
import shutil
from pathlib import Path

import zstandard

from crawl2chat.curation.records import Found, kind_of, open_binary, read_file
from crawl2chat.errors import UserError
from crawl2chat.parameters import Params

DOCUMENTS, OTHERS = ("crawl", "text"), ("chat", "preferences", "verifiable", "blocklists", "quality")


class CollectParams(Params):
    """How much of a large collection is taken; the choice depends on names and the seed only."""

    max_files: int = 0  # document files, 0 for all; the ones with the smallest hash
    max_megabytes: float = 0.0  # of document files, 0 for all
    rates: dict[str, float] = {}  # {path or its beginning: share of its JSONL lines that is taken}, others 1


def _chance(seed: int, *parts: object) -> float:
    """A number in [0, 1) that is the same whenever the same thing is asked."""
    digest = hashlib.sha256("\n".join(map(str, (seed, *parts))).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def collect(inputs: Path, out: Path, params: CollectParams, seed: int) -> dict[str, int]:
    """Copy what is usable from `inputs` to `out`; returns files and bytes by kind, and the files left out."""
    if not inputs.is_dir():
        raise UserError(
            f"The input folder {inputs.name} does not exist; set crawl.inputs in params.yaml to your folder."
        )
    roots = [inputs / name for name in DOCUMENTS if (inputs / name).is_dir()]
    if not roots and not any((inputs / name).is_dir() for name in OTHERS):
        roots = [inputs]
    found = sorted(path for root in roots for path in root.rglob("*") if path.is_file())
    documents = [path for path in found if kind_of(path) and path.name != "README.md"]
    if not documents:
        raise UserError(
            f"The input folder {inputs.name} holds no documents: put WARC, ARC, JSONL, Parquet, text or HTML files "
            "into it or into its subfolders crawl/ and text/."
        )
    counts = {"files": 0, "bytes": 0, "unused_files": len(found) - len(documents)}
    for path in _chosen(documents, inputs, params, seed):
        name = path.relative_to(inputs)
        rate = next(
            (
                rate
                for start, rate in sorted(params.rates.items(), reverse=True)
                if name.as_posix().startswith(start)
            ),
            1.0,
        )
        target = out / "pages" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if rate < 1.0 and kind_of(path) == "jsonl":
            target = _sample(path, target, name, rate, seed)
        else:
            shutil.copyfile(path, target)
        counts["files"] += 1
        counts["bytes"] += target.stat().st_size
    for kind in OTHERS:
        (out / kind).mkdir(parents=True)
        files = (
            sorted(path for path in (inputs / kind).rglob("*") if path.is_file())
            if (inputs / kind).is_dir()
            else []
        )
        for path in files:
            target = out / kind / path.relative_to(inputs / kind)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        counts[f"{kind}_files"] = len(files)
        if not files:
            about(out / kind, "none")
    return counts


def about(folder: Path, kind: str) -> None:
    """Mark a folder that holds nothing, so that it exists in every copy of the data."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "about.json").write_text(json.dumps({"kind": kind}) + "\n")


def _chosen(documents: list[Path], inputs: Path, params: CollectParams, seed: int) -> list[Path]:
    """Files in order of their hash until a limit is reached, then in order of their names."""
    order = sorted(documents, key=lambda path: _chance(seed, path.relative_to(inputs).as_posix()))
    if params.max_files:
        order = order[: params.max_files]
    if params.max_megabytes:
        total, kept = 0, []
        for path in order:
            total += path.stat().st_size
            if total <= params.max_megabytes * 2**20 or not kept:
                kept.append(path)
        order = kept
    return sorted(order)


def _sample(path: Path, target: Path, name: Path, rate: float, seed: int) -> Path:
    """A share of the lines of a JSONL file, broken ones included: they are counted where documents are read."""
    plain = target.name.split(".jsonl")[0]
    target = target.with_name(f"{plain}.jsonl.zst")
    with open_binary(path) as source, zstandard.open(target, "wb") as out:
        for number, line in enumerate(source):
            if _chance(seed, name.as_posix(), number) < rate:
                out.write(line)
    return target


def count_pages(pages: Path) -> int:
    """Documents in all files, as the stage extract will find them."""
    files = sorted(path for path in pages.rglob("*") if path.is_file())
    return sum(isinstance(record, Found) for path in files for record in read_file(path, 2**25))
