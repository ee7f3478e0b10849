"""Reads whatever people keep pages in: WARC, ARC, WET, JSONL, Parquet and text files, compressed or not.

In: a file. Out: for every record either a `Found` (HTML or text with its address) or a `Lost` with a reason; none is
passed over in silence.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path

from crawl2chat.curation.reading.archives import read_archive
from crawl2chat.curation.reading.documents import read_html, read_jsonl, read_parquet, read_text
from crawl2chat.curation.reading.files import kind_of
from crawl2chat.curation.reading.records import Found, Lost

READERS = {"warc": read_archive, "jsonl": read_jsonl, "parquet": read_parquet, "text": read_text, "html": read_html}


def read_file(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    """All records of one file. `max_bytes` bounds one record after decompression."""
    kind = kind_of(path)
    if kind is None:
        yield Lost("unknown_file_type", 0, detail=path.suffix)
        return
    try:
        yield from READERS[kind](path, max_bytes)
    except (OSError, EOFError, zlib.error, ValueError, RuntimeError) as error:  # damage below the records
        yield Lost("broken_file", 0, detail=f"{type(error).__name__}: {error}"[:200])
