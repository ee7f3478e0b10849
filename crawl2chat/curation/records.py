"""Reads whatever people keep pages in: WARC, ARC, WET, JSONL, Parquet and text files, compressed or not.

In: a file. Out: for every record either a `Found` (HTML or text with its address) or a `Lost` with a reason; none is
passed over in silence. Damaged archives end with a reason, bodies are undone as servers packed them (chunked, gzip,
deflate, brotli), and the charset is decided from the bytes first and the server's claim second.
"""

import bz2
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
    {"warcinfo", "request", "metadata", "revisit", "redirect", "http_error", "not_html", "empty_body", "other_record"}
)
ARCHIVES, TEXTS = (
    (".warc", ".arc", ".wet", ".wat"),
    (".jsonl", ".ndjson", ".json", ".parquet", ".txt", ".html", ".htm"),
)
COMPRESSIONS = (".gz", ".zst", ".lz4", ".bz2")
LONG_LINE = 2_000  # a text file whose lines are longer than this on average holds one document a line
_HTML = re.compile(rb"<\s*(!doctype\s+html|html|head|body|title|p|div|table|h1|meta)\b", re.IGNORECASE)
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([a-zA-Z0-9_\-]+)", re.IGNORECASE)
LONGEST_HEADER = 1 << 16
_WARC = re.compile(rb"WARC/\d\.\d+\s*$")
# URL, IP address, date, media type, and in version 2 other fields, before the length.
_ARC = re.compile(rb"(\w+:.*) \d+\.\d+\.\d+\.\d+ (\S+) (\S+)(?: [^ \r\n]+)* (-?\w{1,15})\r?\n$")
_STARTS = re.compile(_WARC.pattern + b"|" + _ARC.pattern)
_NEXT_WARC = re.compile(rb"WARC/1\.\d\r?\nWARC-")
_NEXT_ARC = re.compile(rb"(?<=\n)\w+://[^\n]* \d+\.\d+\.\d+\.\d+ \d{14} \S+(?: [^ \r\n]+)* \d+\r?\n")
_MEMBER = re.compile(rb"\x1f\x8b\x08[\x00-\x1f][\s\S]{4}[\x00\x02\x04]")
_NESTING = re.compile(
    r"<(/?)(?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr|p|li|d[td]|t[rdh]|option)\b)[a-z]",
    re.IGNORECASE,
)
_BLANK = re.compile(rb"\r?\n\r?\n")
_MEDIA = (b"%PDF", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"RIFF", b"\x00\x00\x00")


@dataclass
class Found:
    """A document before extraction. `kind` is "html" or "text"; `place` is a byte offset, or a line number in text files."""

    text: str
    id: str
    kind: str
    place: int
    metadata: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)  # other fields of a row, by which it can be chosen


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


def compression(path: Path) -> str:
    """`gz`, `zst`, `lz4`, `bz2` or nothing, going by the file's first bytes and not by its name."""
    with path.open("rb") as file:
        magic = file.read(4)
    known = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst", b"\x04\x22\x4d\x18": "lz4", b"BZh": "bz2"}
    return next((name for start, name in known.items() if magic.startswith(start)), "")


def open_binary(path: Path) -> BinaryIO:
    """The file's bytes with whole-file compression undone."""
    match compression(path):
        case "gz":
            return gzip.open(path, "rb")
        case "zst":
            import zstandard

            reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True)
            return io.BufferedReader(reader)
        case "lz4":
            import lz4.frame

            return lz4.frame.open(path, "rb")
        case "bz2":
            return bz2.open(path, "rb")
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
        yield Lost("broken_file", 0, detail=f"{type(error).__name__}: {error}"[:200])


# ---- archives


def read_archive(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    """Records of a WARC or ARC file. A damaged record is lost with a reason, and reading goes on at the next one.

    Framing is our own: FastWARC knows no ARC, gives up at the first damage, drops whole records that lie in its buffer
    before it, and ends without a word in a header that is cut off (506 of 3,815 places to cut one file of six records).
    """
    for outcome in _read_any(path, max_bytes):
        outcome.id = outcome.id or f"{path.name}:{outcome.place}"  # ARC has none
        yield outcome


def _read_any(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    if compression(path) == "gz":
        with path.open("rb") as raw:
            yield from _read_members(raw, max_bytes)
        return
    with open_binary(path) as file:
        any_record = False
        source = _Source(file)
        try:
            for outcome in _frames(source, max_bytes, 0):
                any_record = True
                yield outcome
        except Exception as error:  # each decompressor has its own
            yield Lost("broken_archive", source.position, detail=f"{type(error).__name__}: {error}"[:200])
        else:
            if not any_record:
                yield Lost("empty_file", 0)


def _read_members(file: BinaryIO, max_bytes: int) -> Iterator[Found | Lost]:
    """An archive of gzip members, commonly one for each record: what is damaged in one stays within it."""
    start: int | None = 0
    any_record = cut = False
    while start is not None:
        file.seek(start)
        member = _Member(file)
        last, count = None, 0
        for outcome in _frames(_Source(io.BufferedReader(member, 1 << 16)), max_bytes, start):
            if cut and outcome.place == start and isinstance(outcome, Lost) and outcome.reason == "broken_record":
                continue  # what was missing of the record before, which has its reason
            if last:
                yield last
            last, count = outcome, count + 1
        end = member.end()
        cut = isinstance(last, Lost) and last.reason == "truncated_record"
        any_record |= bool(last or member.damage)
        if member.damage:
            place, known = (last.place, last) if last else (start, Lost("", 0))
            url = known.url if isinstance(known, Lost) else known.metadata["url"]
            # In a member of many records, all behind the damage are out of reach.
            reason = "broken_record" if count < 2 else "broken_archive"
            yield Lost(reason, place, known.id, url, member.damage)
            start = _next_member(file, start + 1)
        else:
            if last:
                yield last
            start = _next_member(file, end)
            file.seek(end)
            if _has_junk(file, start):
                yield Lost("broken_record", end, detail="bytes that are no record")
    if not any_record:
        yield Lost("empty_file", 0)


class _Member(io.RawIOBase):
    """One gzip member as a stream of its own. Damage ends the stream, and `damage` says what it was."""

    def __init__(self, file: BinaryIO):
        self._file, self._inflate = file, zlib.decompressobj(31)
        self.damage = ""

    def readable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        while not self._inflate.eof and not self.damage:
            packed = self._inflate.unconsumed_tail or self._file.read(1 << 14)
            try:
                part = self._inflate.decompress(packed, len(target))
            except zlib.error as error:
                self.damage = str(error)
                break
            if part:
                target[: len(part)] = part
                return len(part)
            if not packed:
                self.damage = "the file ends within this record"
        return 0

    def end(self) -> int:
        """Read what is left, which checks the checksum; the offset behind the member."""
        waste = memoryview(bytearray(1 << 18))
        while self.readinto(waste):
            pass
        return self._file.tell() - len(self._inflate.unused_data)


def _next_member(file: BinaryIO, start: int) -> int | None:
    """The next offset, from `start` on, with the head of a gzip member: magic, deflate, flags, time, extra flags."""
    before = b""
    file.seek(start)
    while block := file.read(1 << 20):
        data = before + block
        if match := _MEMBER.search(data):
            return start - len(before) + match.start()
        start += len(block)
        before = data[-9:]
    return None


def _has_junk(file: BinaryIO, end: int | None) -> bool:
    """Whether anything but padding lies between the file's position and `end`."""
    while block := file.read(1 << 20 if end is None else min(1 << 20, end - file.tell())):
        if block.strip(b"\0\r\n "):
            return True
    return False


class _Source:
    """A stream that knows its position and takes back what was read too far."""

    def __init__(self, stream: BinaryIO):
        self._stream, self._back = stream, b""
        self.position = 0

    def read(self, size: int) -> bytes:
        part, self._back = self._back[:size], self._back[size:]
        if len(part) < size:
            part += self._stream.read(size - len(part))
        self.position += len(part)
        return part

    def line(self) -> bytes:
        """Up to the next end of a line, but at most LONGEST_HEADER bytes."""
        end = self._back.find(b"\n", 0, LONGEST_HEADER) + 1
        if end or len(self._back) >= LONGEST_HEADER:
            return self.read(end or LONGEST_HEADER)
        part, self._back = self._back, b""
        part += self._stream.readline(LONGEST_HEADER - len(part))
        self.position += len(part)
        return part

    def unread(self, data: bytes) -> None:
        self._back = data + self._back
        self.position -= len(data)


@dataclass
class _Head:
    """What stands before a record's block."""

    kind: str
    id: str
    url: str
    date: str
    media: str
    length: int  # -1 where it is missing or no number
    arc: bool = False


def _frames(source: _Source, max_bytes: int, base: int) -> Iterator[Found | Lost]:
    """The records of a stream of WARC or ARC records, with their places counted from `base`.

    A length that does not lead to the next record makes its record `wrong_length`; bytes between records that are none
    are one `broken_record` for each stretch.
    """
    junk, known = (-1, False)  # where a stretch of bytes began that are no record; whether a reason covers it already
    while line := source.line():
        place = source.position - len(line)
        if (begin := _WARC.search(line)) and begin.start():  # the record before was cut off within this line
            source.unread(line[begin.start() :])
            line = line[: begin.start()]
        head = _head(line, source)
        if head is None:
            if line.strip(b"\0\r\n ") and junk < 0:
                junk = place
            continue
        if junk >= 0 and not known:
            yield Lost("broken_record", base + junk, detail=f"{place - junk} bytes that are no record")
        junk = -1
        lost, detail = "", ""
        block = source.read(min(max(head.length, 0), max_bytes + 1))
        swallowed = _swallowed(head, block, source)
        if head.length < 0 or swallowed is not None:
            lost, detail = ("wrong_length", "no length" if head.length < 0 else "the next record lies within it")
            source.unread(block[swallowed or 0 :])
        elif not _skip(source, head.length - len(block)):
            lost, detail = "truncated_record", f"{len(block)} bytes there"
        else:
            after = source.line()
            source.unread(after)
            if after.strip(b"\0\r\n ") and not _STARTS.match(after):
                lost, detail = "wrong_length", "no record follows where it ends"
        known = bool(lost)
        outcome = Lost(lost, 0, head.id, head.url, detail) if lost else _outcome(head, block, max_bytes)
        outcome.place = base + place
        yield outcome
    if junk >= 0 and not known:
        yield Lost("broken_record", base + junk, detail="bytes that are no record")


def _swallowed(head: _Head, block: bytes, source: _Source) -> int | None:
    """Where in the block another record begins, perhaps only with its first bytes."""
    following = _NEXT_ARC if head.arc else _NEXT_WARC
    # To look for plain bytes first is many times faster than the expression.
    if (head.arc or b"WARC/1." in block) and (match := following.search(block)):
        return match.start()
    ahead = source.read(32)
    source.unread(ahead)
    tail = block[-16:]
    match = following.search(tail + ahead)
    return len(block) - len(tail) + match.start() if match and match.start() < len(tail) else None


def _skip(source: _Source, size: int) -> bool:
    """Pass over so many bytes; whether they were there."""
    while size > 0 and (part := source.read(min(size, 1 << 20))):
        size -= len(part)
    return size <= 0


def _head(line: bytes, source: _Source) -> _Head | None:
    """The head of the record that `line` begins; None if it begins none."""
    if _WARC.match(line):
        fields = _fields(source)
        length = fields.get("content-length", "")
        return _Head(
            fields.get("warc-type", "other_record").lower(),
            fields.get("warc-record-id", ""),
            fields.get("warc-target-uri", "").strip("<>"),
            fields.get("warc-date", ""),
            fields.get("content-type", "").lower(),
            int(length) if length.isdecimal() and len(length) < 16 else -1,
        )
    if match := _ARC.match(line):
        url, date, media, length = (part.decode("utf-8", "replace") for part in match.groups())
        kind = "warcinfo" if url.startswith("filedesc:") else "response"
        return _Head(kind, "", url, _iso(date), media.lower(), int(length) if length.isdecimal() else -1, True)
    return None


def _fields(source: _Source) -> dict[str, str]:
    """Header fields up to an empty line, names in lower case, the first of each name."""
    fields: dict[str, str] = {}
    for _ in range(LONGEST_HEADER // 4):
        line = source.line()
        if not line.strip():
            break
        if begin := _WARC.search(line):  # the head was cut off, and another record begins
            source.unread(line[begin.start() :])
            break
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    return fields


def _iso(date: str) -> str:
    """20080430204825 → 2008-04-30T20:48:25Z; what has not this form as it is."""
    parts = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)", date)
    return "{}-{}-{}T{}:{}:{}Z".format(*parts.groups()) if parts else date


def _outcome(head: _Head, block: bytes, max_bytes: int) -> Found | Lost:
    """The document that a whole record holds, or why it holds none."""

    def lost(reason: str, detail: str = "") -> Lost:
        return Lost(reason, 0, head.id, head.url, detail)

    if head.kind not in ("response", "resource", "conversion"):
        return lost(head.kind if head.kind in ORDINARY else "other_record", head.kind[:80])
    if len(block) > max_bytes:
        return lost("too_large", f"more than {max_bytes} bytes")
    body, media = block, head.media
    if head.kind == "response":
        if head.url.startswith(("dns:", "whois:")):
            return lost("not_html", head.url[:80])
        answer = _answer(block)
        if answer is None:
            http = not head.id or media.startswith("application/http")
            reason = "empty_body" if not block.strip() else "no_http_headers" if http else "not_html"
            return lost(reason, media[:80])
        status, fields, body = answer
        if not status.isdecimal():
            return lost("no_status", status[:80])
        if status.startswith("3"):
            return lost("redirect", f"{status} {fields.get('location', '')}"[:200])
        if status != "200":
            return lost("http_error", status)
        media = fields.get("content-type", "").lower()
        encodings = f"{fields.get('content-encoding', '')} {fields.get('transfer-encoding', '')}".lower()
        try:
            body = decode_body(body, encodings, max_bytes)
        except (zlib.error, ValueError, OSError, EOFError) as error:
            return lost("broken_body", f"{encodings.strip()}: {error}"[:200])
        if len(body) > max_bytes:
            return lost("too_large", f"more than {max_bytes} bytes after decompression")
    if not body.strip():
        return lost("empty_body")
    metadata = {"url": head.url, "date": head.date, "media": media[:80]}
    if head.kind == "conversion":
        return Found(body.decode("utf-8", "replace"), head.id, "text", 0, metadata)
    if not is_html(body, media):
        return lost("not_html", media[:80])
    return Found(decode_text(body, media), head.id, "html", 0, metadata)


def _answer(block: bytes) -> tuple[str, dict[str, str], bytes] | None:
    """Status, header fields and body of an HTTP answer; None if the block does not begin like one."""
    while block.startswith(b"HTTP/"):
        end = _BLANK.search(block)
        head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
        first, *lines = head.decode("latin-1").splitlines()
        status = (first.split(None, 2) + ["", ""])[1]
        if status != "100":  # "continue": the answer itself comes behind it
            fields: dict[str, str] = {}
            for line in lines:
                name, colon, value = line.partition(":")
                if colon:
                    fields.setdefault(name.strip().lower(), value.strip())
            return status, fields, body
        block = body
    return None


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
    inflate = zlib.decompressobj(wbits)
    plain = inflate.decompress(body, max_bytes + 1)
    if not inflate.eof and len(plain) <= max_bytes:
        raise EOFError("ends early")
    return plain


def _unbrotli(body: bytes, max_bytes: int) -> bytes:
    import brotli

    decompressor = brotli.Decompressor()
    plain = decompressor.process(body, output_buffer_limit=max_bytes + 1)
    while len(plain) <= max_bytes and not decompressor.can_accept_more_data():
        plain += decompressor.process(b"", output_buffer_limit=max_bytes + 1 - len(plain))
    if len(plain) <= max_bytes and not decompressor.is_finished():
        raise EOFError("ends early")
    return plain[: max_bytes + 1]  # the decoder keeps to its limit by the block only


def decode_body(body: bytes, encodings: str, max_bytes: int) -> bytes:
    """Undo transfer and content encodings named in `encodings`, to at most max_bytes + 1 bytes.

    Servers and crawlers lie: a body that does not start like its encoding is taken as it is.
    """
    if "chunked" in encodings:
        body = _dechunk(body)
    if "gzip" in encodings and body[:2] == b"\x1f\x8b":
        return _inflate(body, 31, max_bytes)
    if "deflate" in encodings and not _HTML.search(body[:512]):
        try:
            return _inflate(body, 15, max_bytes)
        except zlib.error:  # some servers send a bare deflate stream
            return _inflate(body, -15, max_bytes)
    if "zstd" in encodings and body[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        try:
            return zstandard.ZstdDecompressor().stream_reader(body).read(max_bytes + 1)
        except zstandard.ZstdError as error:
            raise ValueError(error) from None
    if re.search(r"\bbr\b", encodings) and body:
        import brotli

        try:
            return _unbrotli(body, max_bytes)
        except brotli.error as error:
            if _HTML.search(body[:512]):
                return body
            raise ValueError(f"brotli: {error}") from None
    return body


def is_html(body: bytes, media: str) -> bool:
    """Whether an answer is a web page: what its type claims, unless the first bytes say otherwise."""
    if body.startswith(_MEDIA):
        return False
    if "html" in media:
        return True
    claims_other = media and not media.startswith(("text/plain", "application/octet-stream", "unk", "no-type"))
    return not claims_other and bool(_HTML.search(body[:2048]))


def unparsable(found: Found, max_bytes: int, max_depth: int) -> Lost | None:
    """Why a page must not reach a parser: its size, or how deeply its tags are nested."""
    if found.kind != "html":
        return None
    reason, value = "", 0
    if len(found.text) > max_bytes:
        reason, value = "too_large", len(found.text)
    elif found.text.count("<") - 2 * found.text.count("</") > max_depth and (depth := depth_of(found.text)) > max_depth:
        reason, value = "too_deep", depth
    return Lost(reason, found.place, found.id, found.metadata.get("url", ""), str(value)) if reason else None


def depth_of(html: str) -> int:
    """The most tags open at a time, without those that close themselves."""
    depth = deepest = 0
    for match in _NESTING.finditer(html):
        depth = max(0, depth - 1) if match.group(1) else depth + 1
        deepest = max(deepest, depth)
    return deepest


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
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
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
