"""Kinds of files by their names, and their bytes with compression undone."""

import bz2
import gzip
import io
from pathlib import Path
from typing import BinaryIO

COMPRESSIONS = (".gz", ".zst", ".lz4", ".bz2")
KINDS = dict.fromkeys((".warc", ".arc", ".wet", ".wat"), "warc") | {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
    ".html": "html",
    ".htm": "html",
}
MAGIC = {b"\x1f\x8b": "gz", b"\x28\xb5\x2f\xfd": "zst", b"\x04\x22\x4d\x18": "lz4", b"BZh": "bz2"}


def without_compression(name: str) -> str:
    """A file's name without the endings of compressions."""
    for suffix in COMPRESSIONS:
        name = name.removesuffix(suffix)
    return name


def kind_of(path: Path) -> str | None:
    """`warc`, `jsonl`, `parquet`, `text` or `html` by the file's name; None if it is none of them."""
    name = without_compression(path.name.lower().removesuffix(".bad").removesuffix(".open"))
    return next((kind for suffix, kind in KINDS.items() if name.endswith(suffix)), None)


def compression(path: Path) -> str:
    """`gz`, `zst`, `lz4`, `bz2` or nothing, going by the file's first bytes and not by its name."""
    with path.open("rb") as file:
        start = file.read(4)
    return next((name for magic, name in MAGIC.items() if start.startswith(magic)), "")


def open_binary(path: Path) -> BinaryIO:
    """The file's bytes with whole-file compression undone."""
    match compression(path):
        case "gz":
            return gzip.open(path, "rb")
        case "zst":
            import zstandard

            reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True)
            return io.BufferedReader(reader, 1 << 20)
        case "lz4":
            import lz4.frame

            return lz4.frame.open(path, "rb")
        case "bz2":
            return bz2.open(path, "rb")
    return path.open("rb")
