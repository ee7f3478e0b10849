"""Damaged and hostile records against the stage extract: none may stop it, and each must end as a document or a reason.

    python -m benchmarks.faults [--data <folder with captures>] [--records 2000] [--workers 2]

In: answers of real captures (of the tiny web without --data), each damaged in one of the ways below by a seeded
generator and written into WARC files, two of them uncompressed, whose offsets are noted. Out: the real stage over them,
in a process of its own; then one line of JSON. A record is accounted for when a document or a dropped one has its file
and offset.
"""

import argparse
import gzip
import json
import multiprocessing
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import command
from stages.settings import tuned

FILES, PLAIN = 8, 2  # WARC files, and how many of them are not compressed
LIMIT = 1_800.0  # seconds after which the stage counts as hanging
MEGABYTE = 2**20
BOMB = 200 * MEGABYTE

HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"


def answer(body: bytes, *headers: bytes) -> bytes:
    return HEADER + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body


# ---- damage to the answer, before the envelope


def bits(block: bytes, rng: Random) -> bytes:
    damaged = bytearray(block)
    for _ in range(rng.randint(1, 64)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut(block: bytes, rng: Random) -> bytes:
    return block[: rng.randrange(len(block))]


def nulls(block: bytes, rng: Random) -> bytes:
    place = rng.randrange(len(block))
    return block[:place] + bytes(rng.randint(1, 5_000)) + block[place:]


def not_utf8(block: bytes, rng: Random) -> bytes:
    damaged = bytearray(block)
    for place in rng.sample(range(len(damaged)), min(200, len(damaged) // 4)):
        damaged[place] = rng.choice(b"\x80\xbf\xc0\xc1\xf5\xfe\xff\xed")
    return bytes(damaged)


def no_headers(block: bytes, rng: Random) -> bytes:
    return rng.choice([body_of(block), b"\r\n\r\n" + block, block[5:], block.replace(b":", b"", 30)])


def wild_headers(block: bytes, rng: Random) -> bytes:
    status = rng.choice([b"HTTP/1.1 200", b"HTTP/9.9 abc", b"HTTP/1.1 -1 No", b"HTTP/1.1"])
    return status + b"\r\n" + b"X: y\r\n" * rng.choice([0, 3, 20_000]) + b"\r\n" + body_of(block)


def chunks(block: bytes, rng: Random) -> bytes:
    body, size = body_of(block), rng.choice([b"zz", b"-5", b"ffffffffffff", b"0", b"7f", b""])
    return answer(b"400\r\n" + body[:1024] + b"\r\n" + size + b"\r\n" + body[1024:], b"Transfer-Encoding: chunked")


def packed(block: bytes, rng: Random) -> bytes:
    """Bodies whose compression is damaged, or is not what the header says."""
    import brotli
    import zstandard

    name, pack = rng.choice(
        [
            (b"gzip", lambda data: gzip.compress(data, 1, mtime=0)),
            (b"deflate", zlib.compress),
            (b"br", lambda data: brotli.compress(data, quality=1)),
            (b"zstd", zstandard.compress),
        ]
    )
    body = pack(body_of(block)[:50_000])
    return answer(rng.choice([cut, bits])(body, rng), b"Content-Encoding: " + name)


def garbage(block: bytes, rng: Random) -> bytes:
    return answer(rng.randbytes(rng.randint(1, 20_000)), rng.choice([b"X: y", b"Content-Encoding: br"]))


def nested(block: bytes, rng: Random) -> bytes:
    tag = rng.choice([b"div", b"b", b"table", b"ul><li", b"svg", b"a", b"select", b"form", b"p><span"])
    return answer((b"<" + tag + b">") * rng.randint(500, 20_000) + body_of(block))


def markup(block: bytes, rng: Random) -> bytes:
    body = body_of(block)
    junk = [b"<!--", b"<![CDATA[", b"<script>", b"<textarea>", b"<!", b"</", b"<a href='", b"&#x110000;", b"<template>"]
    for _ in range(30):
        place = rng.randrange(len(body) + 1)
        body = body[:place] + rng.choice(junk) + body[place:]
    return answer(body)


ANSWERS = (bits, cut, nulls, not_utf8, no_headers, wild_headers, chunks, packed, garbage, nested, markup)


def bombs(rng: Random) -> Iterator[tuple[str, bytes]]:
    """Few and large: what is small on the line and huge in memory."""
    import brotli

    def packed_answer(body: bytes) -> bytes:
        return answer(gzip.compress(body, 6, mtime=0), b"Content-Encoding: gzip")

    yield "nested_200mb", packed_answer(b"<div>" * (BOMB // 5))
    yield "nested_200mb_plain", answer(b"<div>" * (BOMB // 5))
    yield "nested_below_the_limit", packed_answer(b"<div>" * (30 * MEGABYTE // 5))
    yield "nested_4mb", packed_answer(b"<div><p>word" * (4 * MEGABYTE // 12))
    yield "long_line", answer(b"<html><body><p>" + b"long " * 2_000_000)
    yield "long_word", answer(b"<html><body><p>" + b"x" * 10_000_000)
    yield "long_tag", answer(b"<" + b"y" * 10_000_000)
    yield "long_line_4m", answer(b"<html><body><p>" + b"long " * 800_000)
    yield "attributes", answer(b"<p " + b" ".join(b"a%d='%d'" % (n, n) for n in range(20_000)) + b">Text.")
    yield "entities", answer(b"<html><body><p>" + b"&amp;" * 2_000_000)
    yield "gzip_1gb", answer(zeros_gzip(1024), b"Content-Encoding: gzip")
    yield "brotli_1gb", answer(brotli.compress(bytes(256 * MEGABYTE), quality=2), b"Content-Encoding: br")
    yield "cells", packed_answer(b"<table>" + b"<tr><td>1</td>" * 1_000_000)
    yield "paragraphs", packed_answer(b"<html><body>" + b"<p>One more sentence stands here.</p>" * 500_000)


def zeros_gzip(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(bytes(MEGABYTE)) for _ in range(megabytes)]
    return b"".join([*parts, packer.flush()])


def body_of(block: bytes) -> bytes:
    return block.partition(b"\r\n\r\n")[2]


# ---- the envelope, and damage to it


def record(url: str, block: bytes, length: int | None = None) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:fault:{url}>\r\nWARC-Date: 2026-01-05T00:00:00Z\r\n"
        f"WARC-Target-URI: {url}\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(block) if length is None else length}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def envelope(kind: str, url: str, block: bytes, pack: bool, rng: Random) -> bytes:
    """The bytes of one record in its file, damaged as `kind` says."""
    if kind in ("too_long", "too_short", "no_number"):
        wrong = {"too_long": rng.randint(1, 10**6), "too_short": -rng.randint(5, len(block)), "no_number": 0}[kind]
        whole = record(url, block, len(block) + wrong)
        if kind == "no_number":
            whole = whole.replace(b"Content-Length: ", rng.choice([b"Content-Length: x", b"Length: "]), 1)
    else:
        whole = record(url, block)
    if kind == "record_header":
        whole = bits(whole[:300], rng) + whole[300:]
    stored = gzip.compress(whole, 1, mtime=0) if pack else whole
    if kind == "stored_bits":
        return stored[:12] + bits(stored[12:], rng)
    if kind == "stored_cut":
        return stored[: rng.randrange(20, len(stored))]
    if kind == "stored_junk":
        place = rng.randrange(12, len(stored))
        return stored[:place] + rng.randbytes(rng.randint(1, 3_000)) + stored[place:]
    return stored


ENVELOPES = ("too_long", "too_short", "no_number", "record_header", "stored_bits", "stored_cut", "stored_junk")


def tiny_pages(folder: Path) -> list[Path]:
    """The WARC files of a small tiny web."""
    from stages.crawl import CrawlParams, PageParams, WebParams, WorldParams, crawl

    few = dict.fromkeys(PageParams.model_fields, 150) | {"page_characters": 2_200}
    params = tuned(
        CrawlParams,
        world=tuned(WorldParams, mention_scale=5.0, mention_cap=3),
        pages=tuned(PageParams, **few),
        web=tuned(WebParams, domains=10, files=2),
    )
    crawl(folder / "none", folder, params, 1)
    return sorted((folder / "pages").glob("*.warc.gz"))


def originals(data: Path | None, folder: Path) -> list[bytes]:
    """Whole answers of pages, as servers sent them."""
    from warcio.archiveiterator import ArchiveIterator

    if data is None:
        files = tiny_pages(folder / "tiny")
    else:
        files = sorted(data.glob("crawl/*.warc.gz")) or sorted(data.rglob("*.warc.gz"))
    blocks = []
    for path in files:
        with path.open("rb") as file:
            for one in ArchiveIterator(file, no_record_parse=True):
                if one.rec_headers.get_header("WARC-Type") == "response":
                    block = one.raw_stream.read()
                    if 500 < len(block) < 200_000 and b"<html" in block[:3_000].lower():
                        blocks.append(block)
    return blocks


def write(folder: Path, blocks: list[bytes], records: int) -> dict[tuple[str, int], str]:
    """The files; {(file, offset): kind of damage} of every record in them."""
    rng = Random(1)
    expected: dict[tuple[str, int], str] = {}
    large = list(bombs(rng))
    for number in range(FILES):
        pack = number >= PLAIN
        path = folder / f"faults-{number}.warc{'.gz' if pack else ''}"
        with path.open("wb") as out:
            for index in range(records // FILES + 1):
                block, name = rng.choice(blocks), "intact"
                url = f"https://faults.example/{number}/{index}"
                if index % 20 == 10 and pack and large:
                    name, block = large.pop()
                elif index % 3:
                    damage = rng.choice(ANSWERS)
                    name, block = damage.__name__, damage(block, rng) or b"\n"
                else:
                    name = rng.choice(("intact", *ENVELOPES))
                expected[path.name, out.tell()] = name
                out.write(envelope(name, url, block, pack, rng))
    return expected


# ---- the stage


def run(pages: Path, folder: Path, workers: int, result: Path) -> None:
    """The real stage over the files, in the layout it has in a pipeline."""
    from crawl2chat.machine import Machine
    from crawl2chat.tracking import Tracker
    from stages.extract import ExtractParams, extract

    (folder / "work").mkdir()
    params = tuned(ExtractParams, tasks=FILES)
    (folder / "blocklists").mkdir()
    metrics = extract(
        pages=pages,
        blocklists=folder / "blocklists",
        truth=folder / "truth",
        out=folder / "out",
        out_removed=folder / "removed",
        params=params,
        machine=Machine(workers=workers),
        tracker=Tracker(),
        work=folder / "work",
    )
    result.write_text(json.dumps(metrics))


def outcomes(folder: Path) -> Iterator[tuple[str, int, str]]:
    """File, offset and reason (or "document") of everything that the stage wrote."""
    from crawl2chat.curation.documents import documents_in

    for part in (folder / "out", folder / "removed"):
        for document in documents_in(part):
            metadata = document["metadata"]
            yield metadata["file"], metadata["offset"], metadata.get("reason", "document")


def peak_megabytes(process: multiprocessing.Process, seconds: float) -> float:
    """The largest resident size of one process of the tree while it runs, for at most so many seconds."""
    import psutil

    root, peak, until = psutil.Process(process.pid), 0, time.monotonic() + seconds
    while process.is_alive() and time.monotonic() < until:
        for one in [root, *_children(root)]:
            try:
                peak = max(peak, one.memory_info().rss)
            except psutil.Error:
                continue
        process.join(0.05)
    return peak / MEGABYTE


def _children(root: Any) -> list[Any]:
    import psutil

    try:
        return root.children(recursive=True)
    except psutil.Error:
        return []


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("--data", type=Path, default=None, help="folder with captures below crawl/")
    parser.add_argument("--records", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        (folder / "pages").mkdir()
        expected = write(folder / "pages", originals(options.data, folder), options.records)
        started, result = time.monotonic(), folder / "metrics.json"
        process = multiprocessing.get_context("spawn").Process(
            target=run, args=(folder / "pages", folder, options.workers, result)
        )
        process.start()
        peak = peak_megabytes(process, LIMIT)
        hangs = int(process.is_alive())
        if hangs:
            process.terminate()
        process.join()
        seconds = time.monotonic() - started
        found = list(outcomes(folder)) if result.exists() else []
    places = {(file, offset): reason for file, offset, reason in found}
    missing = [place for place in expected if place not in places]
    by_kind: dict[str, Counter[str]] = {}
    for place, kind in expected.items():
        by_kind.setdefault(kind, Counter())[places.get(place, "UNACCOUNTED")] += 1
    for kind, reasons in sorted(by_kind.items()):
        print(f"{kind:24} {', '.join(f'{reason} {n}' for reason, n in reasons.most_common())}")
    for file, offset in missing[:10]:
        print(f"unaccounted: {file} at {offset} ({expected[file, offset]})")
    lost = Counter(reason for _, _, reason in found if reason != "document")
    result = {
        "records": len(expected),
        "documents": sum(reason == "document" for _, _, reason in found),
        "lost": dict(lost.most_common()),
        "unaccounted": len(missing),
        "crashes": int(process.exitcode != 0 and not hangs),
        "hangs": hangs,
        "seconds": round(seconds, 1),
        "peak_rss_mb": round(peak),
    }
    print(json.dumps(result))
    return int(bool(missing or hangs or process.exitcode))


if __name__ == "__main__":
    command(lambda: main(sys.argv[1:]))
