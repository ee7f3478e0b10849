"""Reads the records of a folder of JSON files: what every reader of users' data sets needs before it looks at content.

In: a folder of .json and .jsonl files, plain, gzip or zstd. Out: records with the name of the place they came from, in
an order that only file names and contents decide. What cannot be read is counted by reason and named, never lost.
"""

import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError

ENDINGS = tuple(kind + packed for kind in (".json", ".jsonl") for packed in ("", ".gz", ".zst"))
# Stands in a folder that is there only because there was no data for it.
ABOUT = "about.json"


class Broken(Counter[str]):
    """How many records were refused, by reason; `named` keeps which ones, as `file:record: reason (detail)`."""

    def __init__(self) -> None:
        super().__init__()
        self.named: list[str] = []

    def refuse(self, place: str, reason: str, detail: str = "") -> None:
        """Counts one record. `reason` is short and the same for all alike; `detail` may say more about this one."""
        self[reason] += 1
        self.named.append(f"{place}: {reason}" + (f" ({detail})" if detail else ""))


class BadRecord(ValueError):
    """A record that cannot be used: `args` are the reason and perhaps a detail, as `Broken.refuse` takes them."""


@dataclass(frozen=True)
class Record:
    """One record: `place` is `file:line`, `file:index` (from 1) or `file:key`, with the file relative to its folder."""

    place: str
    file: str
    value: Any


def read_records(folder: Path, broken: Broken) -> Iterator[Record]:
    """Yields every record below `folder`, files in the order of their names.

    A .jsonl file holds a record a line; a .json file one list of records, one object of records by key, one record, or
    lines after all. Unreadable lines and files are refused into `broken`.

    Raises UserError where the folder is missing.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; name a folder of .json or .jsonl files (.gz and .zst are read too)."
        )
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).as_posix()):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or path.name == ABOUT:
            continue
        if not path.name.endswith(ENDINGS):
            broken.refuse(name, "not a .json or .jsonl file")
            continue
        for place, value in _values(path, name, broken):
            yield Record(f"{name}:{place}", name, value)


def _values(path: Path, name: str, broken: Broken) -> Iterator[tuple[int | str, Any]]:
    lines: Iterable[bytes] = _lines(path, name, broken)
    if ".jsonl" not in path.name:
        lines = list(lines)
        try:
            yield from _parts(json.loads(b"".join(lines)))
            return
        except ValueError as error:
            if not lines or not _is_json(lines[0]):  # else the .json is really a record a line
                broken.refuse(name, "not JSON", str(error))
                return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except ValueError as error:
                broken.refuse(f"{name}:{number}", "not JSON", str(error))
            else:
                yield number, value


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _parts(whole: Any) -> Iterator[tuple[int | str, Any]]:
    if isinstance(whole, list):
        yield from enumerate(whole, start=1)
    elif isinstance(whole, dict) and whole and all(isinstance(value, dict) for value in whole.values()):
        yield from whole.items()  # conversations by key, as Topical-Chat has them
    else:
        yield 1, whole


def _lines(path: Path, name: str, broken: Broken) -> Iterator[bytes]:
    """Lines of a file, unpacked; a packed file that breaks off gives what lies before the break."""
    import zstandard

    with path.open("rb") as raw:
        if path.suffix == ".gz":
            stream: io.BufferedIOBase = gzip.GzipFile(fileobj=raw)
        elif path.suffix == ".zst":
            stream = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))
        else:
            stream = raw
        try:
            yield from stream
        except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
            broken.refuse(name, "file breaks off or is not what its ending says", str(error))
