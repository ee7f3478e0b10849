"""Reads whatever people keep pages in: WARC, ARC, WET, JSONL, Parquet and text files, compressed or not.

In: a file. Out: for every record either a `Found` (HTML or text with its address) or a `Lost` with a reason; none is
passed over in silence. Damaged archives end with a reason, bodies are undone as servers packed them (chunked, gzip,
deflate, brotli), and the charset is decided from the bytes first and the server's claim second.
"""

import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

# Records and answers that never hold a page. Everything else that is lost counts as unreadable.
ORDINARY = frozenset(
    {
        "warcinfo",
        "request",
        "metadata",
        "revisit",
        "redirect",
        "http_error",
        "not_html",
        "empty_body",
        "other_record",
    }
)
ARCHIVES, TEXTS = (
    (".warc", ".arc", ".wet", ".wat"),
    (".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".html", ".htm"),
)
COMPRESSIONS = (".gz", ".zst", ".lz4", ".bz2")
LONG_LINE = 2_000  # a text file whose lines are longer than this on average holds one document a line
_HTML = re.compile(rb"<\s*(!doctype\s+html|html|head|body|title|p|div|table|h1|meta)\b", re.IGNORECASE)
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([a-zA-Z0-9_\-]+)", re.IGNORECASE)
_MEDIA = (b"%PDF", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"RIFF", b"\x00\x00\x00")


@dataclass
class Found:
    """A document before extraction. `kind` is "html" or "text"; `place` is a byte offset, or a line number in text files."""

    text: str
    id: str
    kind: str
    place: int
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Lost:
    """A record that gave no document, and why."""

    reason: str
    place: int
    id: str = ""
    url: str = ""
    detail: str = ""


def kind_of(path: Path) -> str | None:
    """`warc`, `jsonl`, `parquet`, `text` or `html` by the file's name; None if it is none of them."""
    name = path.name.lower().removesuffix(".bad").removesuffix(".open")
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    if name.endswith(ARCHIVES):
        return "warc"
    kinds = {
        ".jsonl": "jsonl",
        ".ndjson": "jsonl",
        ".parquet": "parquet",
        ".txt": "text",
        ".html": "html",
        ".htm": "html",
    }
    return next((kind for suffix, kind in kinds.items() if name.endswith(suffix)), None)


def open_binary(path: Path) -> BinaryIO:
    """The file's bytes with whole-file compression undone, going by its first bytes and not by its name."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic[:2] == b"\x1f\x8b":
        return gzip.open(path, "rb")
    if magic == b"\x28\xb5\x2f\xfd":
        import zstandard

        return io.BufferedReader(
            zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True)
        )
    if magic == b"\x04\x22\x4d\x18":
        import lz4.frame

        return lz4.frame.open(path, "rb")
    return path.open("rb")


def read_file(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    """All records of one file. `max_bytes` bounds one record after decompression."""
    readers = {
        "warc": read_archive,
        "jsonl": _read_jsonl,
        "parquet": _read_parquet,
        "text": _read_text,
        "html": _read_html,
    }
    kind = kind_of(path)
    if kind is None:
        yield Lost("unknown_file_type", 0, detail=path.suffix)
        return
    try:
        yield from readers[kind](path, max_bytes)
    except (OSError, EOFError, zlib.error, ValueError, RuntimeError) as error:  # damage below the records
        yield Lost("broken_file", -1, detail=f"{type(error).__name__}: {error}"[:200])


# ---- archives


def read_archive(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    """Records of a WARC or ARC file. What warcio cannot go past ends the file with `broken_archive`."""
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    done, whole = 0, False
    with path.open("rb") as raw:
        member = raw.read(2) == b"\x1f\x8b"
    while True:
        # A file that is one gzip stream for all records (not one member each) must be inflated as a whole.
        with open_binary(path) if whole or not member else path.open("rb") as file:
            iterator = ArchiveIterator(file, arc2warc=True)
            try:
                for number, record in enumerate(iterator):
                    if number >= done:
                        result = _record(record, max_bytes)
                        result.place = iterator.get_record_offset()  # asking earlier would skip the body
                        result.id = result.id or f"{path.name}:{result.place}"
                        yield result
                        done = number + 1
                    else:
                        record.content_stream().read()
                if done == 0:
                    yield Lost("empty_file", 0)
                return
            except ArchiveLoadFailed as error:
                if "non-chunked gzip" in str(error) and not whole:
                    whole = True
                    continue
                yield Lost("broken_archive", -1, detail=" ".join(str(error).split())[:200])
                return
            except (
                OSError,
                EOFError,
                zlib.error,
                ValueError,
                AttributeError,
                KeyError,
                IndexError,
                RuntimeError,
            ) as error:
                yield Lost("broken_archive", -1, detail=f"{type(error).__name__}: {error}"[:200])
                return


def _record(record: Any, max_bytes: int) -> Found | Lost:
    headers = record.rec_headers
    identity = (
        "" if record.format.startswith("arc") else headers.get_header("WARC-Record-ID") or ""
    )  # ARC has none
    url = (headers.get_header("WARC-Target-URI") or "").strip().strip("<>")

    def lost(reason: str, detail: str = "") -> Lost:
        return Lost(reason, 0, identity, url, detail)

    kind = record.rec_type or "other_record"
    if kind not in ("response", "resource", "conversion"):
        return lost(kind if kind in ORDINARY else "other_record", kind)
    body, complete = _read(record.raw_stream, max_bytes)
    if len(body) > max_bytes:
        return lost("too_large", f"more than {max_bytes} bytes")
    http = record.http_headers if kind == "response" else None
    media = (headers.get_header("Content-Type") or "").lower()
    if kind == "response":
        if url.startswith(("dns:", "whois:")):
            return lost("not_html", url[:80])
        if http is None:
            return lost("not_html" if not media.startswith("application/http") else "no_http_headers", media)
        status = http.get_statuscode() or ""
        if not status.isdigit():
            return lost("no_status", status)
        if status.startswith("3"):
            return lost("redirect", f"{status} {http.get_header('Location') or ''}"[:200])
        if status != "200":
            return lost("http_error", status)
        media = (http.get_header("Content-Type") or "").lower()
        encodings = " ".join(
            http.get_header(name) or "" for name in ("Content-Encoding", "Transfer-Encoding")
        ).lower()
        try:
            body = decode_body(body, encodings, max_bytes)
        except (zlib.error, ValueError, OSError, EOFError) as error:
            return lost("broken_body", f"{encodings.strip()}: {error}"[:200])
        if len(body) > max_bytes:
            return lost("too_large", f"more than {max_bytes} bytes after decompression")
    if not body.strip():
        return lost("empty_body" if complete else "truncated_record")
    if not complete:
        return lost("truncated_record", f"{len(body)} bytes there")
    metadata = {"url": url, "date": headers.get_header("WARC-Date") or "", "media": media[:80]}
    if kind == "conversion":
        return Found(body.decode("utf-8", "replace"), identity, "text", 0, metadata)
    if not is_html(body, media):
        return lost("not_html", media[:80])
    return Found(decode_text(body, media), identity, "html", 0, metadata)


def _read(stream: Any, max_bytes: int) -> tuple[bytes, bool]:
    """At most max_bytes + 1 bytes, and whether the stream held as many as its record promised."""
    parts, size = [], 0
    while size <= max_bytes:
        part = stream.read(min(1 << 16, max_bytes + 1 - size))
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts), getattr(stream, "limit", 0) == 0 or size > max_bytes


def _dechunk(body: bytes) -> bytes:
    """Undo chunked transfer encoding; bytes that are not chunked after all come back as they are."""
    parts, position = [], 0
    while position < len(body):
        end = body.find(b"\r\n", position, position + 32)
        try:
            size = int(body[position:end].split(b";")[0], 16) if end > 0 else -1
        except ValueError:
            size = -1
        if size < 0:
            return body if not parts else b"".join(parts)
        if size == 0:
            break
        parts.append(body[end + 2 : end + 2 + size])
        position = end + 2 + size + 2
    return b"".join(parts)


def _inflate(body: bytes, wbits: int, max_bytes: int) -> bytes:
    return zlib.decompressobj(wbits).decompress(body, max_bytes + 1)


def decode_body(body: bytes, encodings: str, max_bytes: int) -> bytes:
    """Undo transfer and content encodings named in `encodings`, to at most max_bytes + 1 bytes.

    Servers and crawlers lie: a body that does not start like its encoding is taken as it is.
    """
    if "chunked" in encodings:
        body = _dechunk(body)
    if "gzip" in encodings and body[:2] == b"\x1f\x8b":
        return _inflate(body, 31, max_bytes)
    if "deflate" in encodings:
        try:
            return _inflate(body, 15, max_bytes)
        except zlib.error:  # some servers send a bare deflate stream
            return _inflate(body, -15, max_bytes)
    if re.search(r"\bbr\b", encodings):
        import brotli

        decompressor, parts, size = brotli.Decompressor(), [], 0
        try:
            for start in range(0, len(body), 1 << 12):
                part = decompressor.process(body[start : start + (1 << 12)])
                parts.append(part)
                size += len(part)
                if size > max_bytes:
                    break
        except brotli.error as error:
            if not parts and _HTML.search(body[:512]):
                return body
            raise ValueError(f"brotli: {error}") from None
        return b"".join(parts)
    return body


def is_html(body: bytes, media: str) -> bool:
    """Whether an answer is a web page: what its type claims, unless the first bytes say otherwise."""
    if body.startswith(_MEDIA):
        return False
    if "html" in media:
        return True
    claims_other = media and not media.startswith(
        ("text/plain", "application/octet-stream", "unk", "no-type")
    )
    return not claims_other and bool(_HTML.search(body[:2048]))


def decode_text(body: bytes, media: str) -> str:
    """Text from bytes. Strict UTF-8 decides first (it hardly ever fits by chance), then the declared charsets, then detection."""
    from resiliparse.parse.encoding import detect_encoding

    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    declared = [
        m.group(1).decode()
        for m in (_CHARSET.search(media.encode("latin-1", "ignore")), _CHARSET.search(body[:2048]))
        if m
    ]
    for charset in [*declared, detect_encoding(body), "windows-1252"]:
        charset = (
            "windows-1252"
            if charset and charset.lower() in ("iso-8859-1", "latin-1", "latin1", "ascii", "us-ascii")
            else charset
        )
        if not charset or charset.lower().replace("-", "") == "utf8":
            continue
        try:
            return body.decode(charset)
        except (UnicodeDecodeError, LookupError):
            continue
    return body.decode("windows-1252", "replace")


# ---- documents


def _document(data: Any, place: int, file: str) -> Found | Lost:
    if not isinstance(data, dict):
        return Lost("not_an_object", place)
    if not isinstance(data.get("text"), str):
        return Lost(
            "no_text_field",
            place,
            str(data.get("id", "")),
            detail=f"keys: {', '.join(sorted(map(str, data))[:8])}",
        )
    if not data["text"].strip():
        return Lost("empty_text", place, str(data.get("id", "")))
    more = data.get("metadata") if isinstance(data.get("metadata"), dict) else {}
    known = {
        key: value
        for key in ("url", "title", "date", "language")
        if isinstance(value := data.get(key, more.get(key)), str)
    }
    return Found(data["text"], f"{file}:{data.get('id', place)}", "text", place, known)


def _read_jsonl(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
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
            yield _document(data, number, path.name)
    if number == 0:
        yield Lost("empty_file", 0)


def _read_parquet(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    import pyarrow.parquet as pq

    table = pq.ParquetFile(path)
    if "text" not in table.schema_arrow.names:
        yield Lost("no_text_column", 0, detail=f"columns: {', '.join(table.schema_arrow.names[:8])}")
        return
    number = 0
    for batch in table.iter_batches(1_000):
        for row in batch.to_pylist():
            number += 1
            yield _document(row, number, path.name)


def _read_text(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    with open_binary(path) as file:
        body = file.read(max_bytes + 1)
    if len(body) > max_bytes:
        yield Lost("too_large", 0, detail=f"more than {max_bytes} bytes")
        return
    text = decode_text(body, "")
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        yield Lost("empty_file", 0)
    elif sum(len(line) for _, line in lines) / len(lines) > LONG_LINE:
        for number, line in lines:
            yield Found(line, f"{path.name}:{number}", "text", number)
    else:
        yield Found(text, path.name, "text", 0)


def _read_html(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    with open_binary(path) as file:
        body = file.read(max_bytes + 1)
    if len(body) > max_bytes:
        yield Lost("too_large", 0, detail=f"more than {max_bytes} bytes")
    elif not body.strip():
        yield Lost("empty_file", 0)
    else:
        yield Found(decode_text(body, "text/html"), path.name, "html", 0)
