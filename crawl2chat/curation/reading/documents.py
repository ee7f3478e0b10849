"""Documents that come as text or as single pages: JSONL, Parquet, text and HTML files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawl2chat.curation.reading.charset import decode_text
from crawl2chat.curation.reading.files import open_binary
from crawl2chat.curation.reading.records import Found, Lost

# A text file whose lines are longer than this on average holds one document a line.
LONG_LINE = 2_000


def document_of(data: Any, place: int, file: str) -> Found | Lost:
    if not isinstance(data, dict):
        return Lost("not_an_object", place)
    if not isinstance(data.get("text"), str):
        return Lost(
            "no_text_field", place, str(data.get("id", "")), detail=f"keys: {', '.join(sorted(map(str, data))[:8])}"
        )
    if not data["text"].strip():
        return Lost("empty_text", place, str(data.get("id", "")))
    more = data.get("metadata") if isinstance(data.get("metadata"), dict) else {}
    known = {
        key: value
        for key in ("url", "title", "date", "language")
        if isinstance(value := data.get(key, more.get(key)), str)
    }
    labels = {key: str(value) for key, value in {**more, **data}.items() if isinstance(value, str | int | float)}
    del labels["text"]
    return Found(data["text"], f"{file}:{data.get('id', place)}", "text", place, known, labels)


def read_jsonl(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    with open_binary(path) as file:
        number = 0
        while line := file.readline(max_bytes + 1):
            number += 1
            if len(line) > max_bytes:
                while line and not line.endswith(b"\n"):
                    line = file.readline(1 << 20)
                yield Lost("too_large", number, detail=f"{path.name}:{number}")
                continue
            if not line.strip():
                continue
            try:
                data = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield Lost("broken_json", number, detail=f"{path.name}:{number}: {error}"[:200])
                continue
            yield document_of(data, number, path.name)
    if number == 0:
        yield Lost("empty_file", 0)


def read_parquet(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path)
    if "text" not in table.schema_arrow.names:
        yield Lost("no_text_column", 0, detail=f"columns: {', '.join(table.schema_arrow.names[:8])}")
        return
    number = 0
    for batch in table.iter_batches(1_000):
        for row in batch.to_pylist():
            number += 1
            yield document_of(row, number, path.name)


def read_text(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    body = whole(path, max_bytes)
    if isinstance(body, Lost):
        yield body
        return
    text = decode_text(body, "")
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        yield Lost("empty_file", 0)
    elif sum(len(line) for _, line in lines) / len(lines) > LONG_LINE:
        for number, line in lines:
            yield Found(line, f"{path.name}:{number}", "text", number)
    else:
        yield Found(text, path.name, "text", 0)


def read_html(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    body = whole(path, max_bytes)
    yield body if isinstance(body, Lost) else Found(decode_text(body, "text/html"), path.name, "html", 0)


def whole(path: Path, max_bytes: int) -> bytes | Lost:
    """All of a file, or why there is nothing to read."""
    with open_binary(path) as file:
        body = file.read(max_bytes + 1)
    if len(body) > max_bytes:
        return Lost("too_large", 0, detail=f"more than {max_bytes} bytes")
    return body if body.strip() else Lost("empty_file", 0)
