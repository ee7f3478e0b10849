"""The records of a stream of WARC or ARC records: where each begins and ends, whatever its length says.

In: a stream. Out: for every record a `Found` or a `Lost`. Framing is our own: FastWARC knows no ARC, gives up at the
first damage, drops whole records that lie in its buffer before it, and ends silently in a header that is cut off (506
of 3,815 places to cut one file of six records).
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from crawl2chat.curation.reading.answers import header_fields, outcome_of
from crawl2chat.curation.reading.records import Found, Head, Lost

LONGEST_HEADER = 1 << 16
WARC = re.compile(rb"WARC/\d\.\d+\s*$")
# URL, IP address, date, media type, and in version 2 other fields, before the length.
ARC = re.compile(rb"(\w+:.*) \d+\.\d+\.\d+\.\d+ (\S+) (\S+)(?: [^ \r\n]+)* (-?\w{1,15})\r?\n$")
RECORD_START = re.compile(WARC.pattern + b"|" + ARC.pattern)
NEXT_WARC = re.compile(rb"WARC/1\.\d\r?\nWARC-")
NEXT_ARC = re.compile(rb"(?<=\n)\w+://[^\n]* \d+\.\d+\.\d+\.\d+ \d{14} \S+(?: [^ \r\n]+)* \d+\r?\n")


class Source:
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


def frames(source: Source, max_bytes: int, base: int) -> Iterator[Found | Lost]:
    """The records of a stream of WARC or ARC records, with their places counted from `base`.

    A length that does not lead to the next record makes its record `wrong_length`; bytes between records that are none
    are one `broken_record` for each stretch.
    """
    # Where a stretch of bytes began that are no record, and whether a reason covers it already.
    junk, known = -1, False
    while line := source.line():
        place = source.position - len(line)
        if (begin := WARC.search(line)) and begin.start():  # the record before was cut off within this line
            source.unread(line[begin.start() :])
            line = line[: begin.start()]
        head = head_of(line, source)
        if head is None:
            if line.strip(b"\0\r\n ") and junk < 0:
                junk = place
            continue
        if junk >= 0 and not known:
            yield Lost("broken_record", base + junk, detail=f"{place - junk} bytes that are no record")
        junk = -1
        lost, detail = "", ""
        block = source.read(min(max(head.length, 0), max_bytes + 1))
        swallowed = next_record_in(head, block, source)
        if head.length < 0 or swallowed is not None:
            lost, detail = ("wrong_length", "no length" if head.length < 0 else "the next record lies within it")
            source.unread(block[swallowed or 0 :])
        elif not skip(source, head.length - len(block)):
            lost, detail = "truncated_record", f"{len(block)} bytes there"
        else:
            after = source.line()
            source.unread(after)
            if after.strip(b"\0\r\n ") and not RECORD_START.match(after):
                lost, detail = "wrong_length", "no record follows where it ends"
        known = bool(lost)
        outcome = Lost(lost, 0, head.id, head.url, detail) if lost else outcome_of(head, block, max_bytes)
        outcome.place = base + place
        yield outcome
    if junk >= 0 and not known:
        yield Lost("broken_record", base + junk, detail="bytes that are no record")


def next_record_in(head: Head, block: bytes, source: Source) -> int | None:
    """Where in the block another record begins, perhaps only with its first bytes."""
    following = NEXT_ARC if head.arc else NEXT_WARC
    # To look for plain bytes first is many times faster than the expression.
    if (head.arc or b"WARC/1." in block) and (match := following.search(block)):
        return match.start()
    ahead = source.read(32)
    source.unread(ahead)
    tail = block[-16:]
    match = following.search(tail + ahead)
    return len(block) - len(tail) + match.start() if match and match.start() < len(tail) else None


def skip(source: Source, size: int) -> bool:
    """Pass over so many bytes; whether they were there."""
    while size > 0 and (part := source.read(min(size, 1 << 20))):
        size -= len(part)
    return size <= 0


def head_of(line: bytes, source: Source) -> Head | None:
    """The head of the record that `line` begins; None if it begins none."""
    if WARC.match(line):
        fields = header_fields(header_lines(source))
        length = fields.get("content-length", "")
        return Head(
            fields.get("warc-type", "other_record").lower(),
            fields.get("warc-record-id", ""),
            fields.get("warc-target-uri", "").strip("<>"),
            fields.get("warc-date", ""),
            fields.get("content-type", "").lower(),
            int(length) if length.isdecimal() and len(length) < 16 else -1,
        )
    if match := ARC.match(line):
        url, date, media, length = (part.decode("utf-8", "replace") for part in match.groups())
        kind = "warcinfo" if url.startswith("filedesc:") else "response"
        return Head(kind, "", url, iso_date(date), media.lower(), int(length) if length.isdecimal() else -1, True)
    return None


def header_lines(source: Source) -> Iterator[str]:
    """Lines up to an empty one, or to where another record begins because the head was cut off."""
    for _ in range(LONGEST_HEADER // 4):
        line = source.line()
        if begin := WARC.search(line):
            source.unread(line[begin.start() :])
            return
        if not line.strip():
            return
        yield line.decode("utf-8", "replace")


def iso_date(date: str) -> str:
    """20080430204825 → 2008-04-30T20:48:25Z; anything else stays as it is."""
    parts = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)", date)
    return "{}-{}-{}T{}:{}:{}Z".format(*parts.groups()) if parts else date
