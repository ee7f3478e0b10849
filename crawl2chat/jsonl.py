"""JSON lines, one object a line: what the project's own parts write and read, and people may edit by hand.

Users' data sets, which may be broken in many ways, are read by `crawl2chat.records`; here a bad line is an error.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """One object a line, keys in the order of the object, UTF-8."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Every object of the file. Raises UserError as `numbered_rows` does."""
    return [row for _, row in numbered_rows(path)]


def numbered_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """`file:line` and object of each line that is not blank.

    Raises UserError where there is no such file, and naming file and line for a line that is no JSON object.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; name an existing file of JSON lines.")
    with path.open(encoding="utf-8") as file:  # not splitlines(), which also splits at characters that text may hold
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}:{number} is not JSON ({error}); correct or remove the line.") from None
            if not isinstance(row, dict):
                raise UserError(f"{path}:{number} is not a JSON object; correct or remove the line.")
            yield f"{path}:{number}", row
