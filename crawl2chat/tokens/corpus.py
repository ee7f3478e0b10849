"""The corpus as a stream of rows, a thousand documents at a time.

In: a folder of `documents-*.parquet`. Out: tuples of the named columns, in the order of the files.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError

# Held in memory at a time.
ROWS = 1_024


def read(folder: Path, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Rows of `columns`; a UserError where there is no corpus, or one without them."""
    files = sorted(folder.glob("documents-*.parquet"))
    if not files:
        raise UserError(f"The folder {folder.name} holds no documents-*.parquet: it is no curated corpus.")
    return rows(files, columns)


def rows(files: list[Path], columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """The rows of files, `ROWS` of them read at a time."""
    import pyarrow.parquet as pq

    for path in files:
        with pq.ParquetFile(path) as file:
            lacking = [column for column in columns if column not in file.schema_arrow.names]
            if lacking:
                raise UserError(f"{path.name} has no column {', '.join(lacking)}: curate the corpus again.")
            for batch in file.iter_batches(ROWS, columns=list(columns)):
                yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
