"""The corpus as a stream of rows: what training and encoding read, a few thousand documents at a time.

In: `documents-*.parquet` of the stage deduplicate. Out: tuples of the columns asked for, in the order of the files.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError

ROWS = 1_024  # held in memory at a time


def read(folder: Path, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Rows of `columns`; a UserError where there is no corpus, or one without them."""
    files = sorted(folder.glob("documents-*.parquet"))
    if not files:
        raise UserError(f"The folder {folder.name} holds no documents-*.parquet; run the stage deduplicate first.")
    return rows(files, columns)


def rows(files: list[Path], columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """What is in the files, `ROWS` at a time."""
    import pyarrow.parquet as pq

    for path in files:
        with pq.ParquetFile(path) as file:
            lacking = [column for column in columns if column not in file.schema_arrow.names]
            if lacking:
                raise UserError(f"{path.name} has no column {', '.join(lacking)}; run the stage deduplicate again.")
            for batch in file.iter_batches(ROWS, columns=list(columns)):
                yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
