"""The project's own line-by-line JSON files: written by one stage, read by the next.

Users' files, which may be broken in many ways, are read by `crawl2chat.records`; here a bad line is an error.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """One object a line, keys in the order given, UTF-8."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """Every line as an object. Raises UserError naming file and line for one that is none."""
    if not path.exists():
        raise UserError(f"{path} does not exist; run the stage that writes it, or name another file.")
    rows = []
    with path.open(encoding="utf-8") as file:  # not splitlines(), which also splits at characters that text may hold
        for number, line in enumerate(file, start=1):
            try:
                rows.append(json.loads(line))
            except ValueError:
                raise UserError(f"{path}:{number} is not JSON: mend or remove the line.") from None
    return rows


def read_tasks(folder: Path, *skills: str, split: str | None = None) -> list[dict[str, Any]]:
    """Tasks of a folder in the order of its files: of these skills (all by default) and this split (any by default)."""
    return [
        task
        for file in sorted(folder.glob("*.jsonl"))
        for task in read_jsonl(file)
        if (not skills or task["skill"] in skills) and (split is None or task["split"] == split)
    ]
