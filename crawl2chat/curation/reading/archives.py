"""WARC and ARC files. What is damaged in one record stays within it, and reading goes on at the next one.

In: a file, plain or compressed. Out: for every record a `Found` or a `Lost`.
"""

import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from crawl2chat.curation.reading.files import compression, open_binary
from crawl2chat.curation.reading.frames import Source, frames
from crawl2chat.curation.reading.records import Found, Lost

# The head of a gzip member.
MEMBER = re.compile(rb"\x1f\x8b\x08[\x00-\x1f][\s\S]{4}[\x00\x02\x04]")


def read_archive(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    """Records of a WARC or ARC file. A damaged record is lost with a reason, and reading goes on at the next one."""
    for outcome in read_outcomes(path, max_bytes):
        outcome.id = outcome.id or f"{path.name}:{outcome.place}"  # ARC has none
        yield outcome


def read_outcomes(path: Path, max_bytes: int) -> Iterator[Found | Lost]:
    if compression(path) == "gz":
        with path.open("rb") as raw:
            yield from read_members(raw, max_bytes)
        return
    with open_binary(path) as file:
        any_record = False
        source = Source(file)
        try:
            for outcome in frames(source, max_bytes, 0):
                any_record = True
                yield outcome
        except Exception as error:  # each decompressor has its own
            yield Lost("broken_archive", source.position, detail=f"{type(error).__name__}: {error}"[:200])
        else:
            if not any_record:
                yield Lost("empty_file", 0)


def read_members(file: BinaryIO, max_bytes: int) -> Iterator[Found | Lost]:
    """An archive of gzip members, commonly one for each record: what is damaged in one stays within it."""
    start: int | None = 0
    any_record = cut = False
    while start is not None:
        file.seek(start)
        member = Member(file)
        last, count = None, 0
        for outcome in frames(Source(io.BufferedReader(member, 1 << 16)), max_bytes, start):
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
            start = next_member(file, start + 1)
        else:
            if last:
                yield last
            start = next_member(file, end)
            file.seek(end)
            if has_junk(file, start):
                yield Lost("broken_record", end, detail="bytes that are no record")
    if not any_record:
        yield Lost("empty_file", 0)


class Member(io.RawIOBase):
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


def next_member(file: BinaryIO, start: int) -> int | None:
    """The next offset, from `start` on, with the head of a gzip member: magic, deflate, flags, time, extra flags."""
    before = b""
    file.seek(start)
    while block := file.read(1 << 20):
        data = before + block
        if match := MEMBER.search(data):
            return start - len(before) + match.start()
        start += len(block)
        before = data[-9:]
    return None


def has_junk(file: BinaryIO, end: int | None) -> bool:
    """Whether anything but padding lies between the file's position and `end`."""
    while block := file.read(1 << 20 if end is None else min(1 << 20, end - file.tell())):
        if block.strip(b"\0\r\n "):
            return True
    return False
