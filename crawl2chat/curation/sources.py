"""Collects a person's own files, from this machine or from s3 and http servers, into the layout of a crawl.

In: a folder with any of `crawl/`, `text/` (documents), `chat/`, `preferences/`, `verifiable/`, or with documents only;
a single file; a pattern; a list file (`*.paths`, as Common Crawl's `warc.paths.gz`) whose lines are files, patterns or
addresses. Out: `pages/`, `chat/`, `preferences/`, `verifiable/`, each with the files as found or, where there are none,
an `about.json` that says so. Files are copied, never linked from the input: an out may be made read-only. Where a rate
or a limit leaves records out, a file keeps the others byte for byte.
"""

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import zstandard
from pydantic import Field

from crawl2chat.curation.reading.any_file import read_file
from crawl2chat.curation.reading.files import compression, kind_of, open_binary, without_compression
from crawl2chat.curation.reading.records import Found, Lost
from crawl2chat.errors import UserError
from crawl2chat.parameters import Params, Share

DOCUMENTS, OTHERS = ("crawl", "text"), ("chat", "preferences", "verifiable", "blocklists", "quality")
LIST = ".paths"
ATTEMPTS, PAUSE = 3, 1.0  # at a server that does not answer, and the seconds between them
MAX_BYTES = 1 << 25  # of one record, when records are counted
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


class CollectParams(Params):
    """What list files mean, and how much is taken; the choice depends on names, records and the seed only."""

    prefix: str  # what the relative lines of list files follow; empty: the folder of the list
    storage: dict[str, dict[str, Any]]  # fsspec's options by protocol: {s3: {anon: true}}
    max_files: int = Field(ge=0)  # document files, 0 for all; the ones with the smallest hash
    max_megabytes: float = Field(ge=0)  # of document files, 0 for all
    max_documents: int = Field(ge=0)  # over all files, 0 for all
    # Shares of records: of files by the beginning of their path, of documents by `field=value`; what fits several is
    # taken with the product of the longest path's share and the shares of all fields.
    rates: dict[str, Share]


@dataclass(frozen=True)
class Source:
    """A file to take: its name below pages/, where it lies (a path or an address), and who named it."""

    name: str
    address: str
    named_by: str


def collect(inputs: Path, out: Path, params: CollectParams, seed: int, work: Path | None = None) -> dict[str, Any]:
    """Bring what is usable from `inputs` to `out`; returns counts of files, bytes, records and documents.

    Downloads stay in `work` until all is done, so that a killed run fetches only what is missing.
    """
    found = list(sources_of(inputs, params))
    documents = [source for source in found if kind_of(Path(source.name))]
    if not documents:
        raise UserError(
            f"The input {inputs.name} holds no documents: put WARC, ARC, JSONL, Parquet, text or HTML files "
            "into it or into its subfolders crawl/ and text/, or a list of them whose name ends in .paths."
        )
    counts: Counter[str] = Counter(files=0, pages=0, unused_files=len(found) - len(documents))
    lost: Counter[str] = Counter()
    schema = ""  # of a table without texts, to tell when nothing else is there
    for source in choose(documents, params, seed):
        left = params.max_documents - counts["pages"] if params.max_documents else None
        if left == 0:
            break
        path, target = local_copy(source, params, work or out / "fetched"), out / "pages" / source.name
        target.parent.mkdir(parents=True, exist_ok=True)
        taken = copy_records(path, target, sampler(source.name, params, seed), left)
        counts.update(files=taken.written, pages=taken.documents, records_left_out=taken.left_out)
        lost.update(taken.lost)
        schema = schema or taken.schema
    shutil.rmtree(out / "fetched", ignore_errors=True)
    if not counts["pages"]:
        raise UserError(schema or no_documents(inputs, lost))
    counts["bytes"] = sum(path.stat().st_size for path in (out / "pages").rglob("*") if path.is_file())
    counts.update(collect_others(inputs, out))
    return {**{key: counts[key] for key in sorted(counts)}, "lost": dict(sorted(lost.items()))}


def about(folder: Path, kind: str) -> None:
    """Mark a folder that holds nothing, so that it exists in every copy of the data."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "about.json").write_text(json.dumps({"kind": kind}) + "\n")


def collect_others(inputs: Path, out: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for kind in OTHERS:
        (out / kind).mkdir(parents=True)
        files = sorted(path for path in (inputs / kind).rglob("*") if path.is_file())
        for path in files:
            target = out / kind / path.relative_to(inputs / kind)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        counts[f"{kind}_files"] = len(files)
        if not files:
            about(out / kind, "none")
    return counts


def no_documents(inputs: Path, lost: Counter[str]) -> str:
    reason = f", most records for '{lost.most_common(1)[0][0]}'" if lost else ""
    return (
        f"The files of {inputs.name} hold no document{reason}; records of WARC, JSONL, Parquet, text and HTML are read."
    )


# ---- which files


def sources_of(inputs: Path, params: CollectParams) -> Iterator[Source]:
    """Every file that the input names, list files expanded, under names that differ."""
    seen: Counter[str] = Counter()
    for source in sources_named_by(inputs, params):
        seen[source.name] += 1
        again = seen[source.name]
        path = PurePosixPath(source.name)
        name = source.name if again == 1 else path.with_name(f"{again}-{path.name}").as_posix()
        yield Source(name, source.address, source.named_by)


def sources_named_by(inputs: Path, params: CollectParams) -> Iterator[Source]:
    if inputs.is_file():
        files, base = [inputs], inputs.parent
    elif inputs.is_dir():
        roots = [inputs / name for name in DOCUMENTS if (inputs / name).is_dir()]
        if not roots and not any((inputs / name).is_dir() for name in OTHERS):
            roots = [inputs]
        lists = [path for path in inputs.iterdir() if is_list(path.name)] if inputs not in roots else []
        files = sorted({*lists, *(path for root in roots for path in root.rglob("*") if path.is_file())})
        base = inputs
    elif is_pattern(str(inputs)):
        yield from expand(str(inputs), "", "inputs", params)
        return
    else:
        raise UserError(f"The input {inputs.name} does not exist; name your folder or file as `inputs`.")
    for path in files:
        if is_list(path.name):
            yield from sources_listed_in(path, params)
        elif path.name != "README.md":
            yield Source(path.relative_to(base).as_posix(), str(path), inputs.name)


def is_list(name: str) -> bool:
    return without_compression(name).endswith(LIST)


def is_pattern(address: str) -> bool:
    return "*" in address or "[" in address  # a question mark is rather part of an address


def sources_listed_in(file: Path, params: CollectParams) -> Iterator[Source]:
    with open_binary(file) as stream:
        lines = stream.read().decode("utf-8", "replace").splitlines()
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        place = f"{file.name}:{number}"
        if ADDRESS.match(line) or line.startswith("/"):
            yield from expand(line, "", place, params)
        elif params.prefix:
            yield from expand(params.prefix.rstrip("/") + "/" + line, line, place, params)
        else:
            yield from expand(str(file.resolve().parent / line), line, place, params)


def expand(address: str, name: str, place: str, params: CollectParams) -> Iterator[Source]:
    """The files behind a path or an address, which may be a pattern or a folder. `name` is how a list calls it."""
    if ADDRESS.match(address) and not is_pattern(address) and not address.endswith("/"):
        yield Source(safe_name(name or without_scheme(address)), address, place)
        return
    with one_sentence(address, place):
        system, path = file_system(address, params)
        root = path
        if is_pattern(path):
            root = re.split(r"[*\[]", path)[0].rpartition("/")[0]
            found = [one for one in sorted(system.glob(path)) if not system.isdir(one)]
            if not found:
                raise UserError(f"{place}: the pattern {short_address(address)} matches no file; mend or remove it.")
        elif system.isdir(path):
            found = sorted(system.find(path))
        else:
            found = [path]
            if not system.exists(path):
                raise UserError(f"{place}: there is no file {short_address(address)}; mend the line, or set `prefix`.")
    for one in found:
        if ADDRESS.match(address):
            yield Source(safe_name(without_scheme(one)), system.unstrip_protocol(one), place)
        else:  # no path of this machine becomes part of a name
            own = os.path.relpath(one, root) if one != root else name or os.path.basename(one)
            yield Source(safe_name(own), one, place)


def short_address(address: str) -> str:
    return address if ADDRESS.match(address) else os.path.basename(address)


def without_scheme(address: str) -> str:
    return ADDRESS.sub("", address)


def safe_name(name: str) -> str:
    """A name that any file system takes: no way up, no query, none but plain characters."""
    parts = [part for part in name.split("?")[0].split("/") if part not in ("", ".", "..")]
    return re.sub(r"[^\w./+=@-]", "_", "/".join(parts))


def choose(documents: list[Source], params: CollectParams, seed: int) -> Iterator[Source]:
    """Files until a limit is reached: in order of their names, or of their hashes where there is a limit."""
    limited = params.max_files or params.max_megabytes or params.max_documents
    order = sorted(documents, key=lambda source: (chance(seed, source.name) if limited else 0.0, source.name))
    total = 0
    for source in order[: params.max_files or None]:
        if params.max_megabytes:
            with one_sentence(source.address, source.named_by):
                system, path = file_system(source.address, params)
                size = int(system.info(path).get("size") or 0)
            if total and total + size > params.max_megabytes * 2**20:
                continue
            total += size
        yield source


def chance(seed: int, *parts: object) -> float:
    """A number in [0, 1) that is the same whenever the same thing is asked."""
    digest = hashlib.sha256("\n".join(map(str, (seed, *parts))).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


# ---- from where they lie to here


def file_system(address: str, params: CollectParams) -> tuple[Any, str]:
    """fsspec's file system for an address, and the path in it."""
    from fsspec.core import url_to_fs

    protocol = address.split("://")[0] if ADDRESS.match(address) else "file"
    return url_to_fs(address, **params.storage.get(protocol, {}))


def local_copy(source: Source, params: CollectParams, folder: Path) -> Path:
    """The file on this machine, downloaded unless an earlier run has it."""
    if not ADDRESS.match(source.address):
        return Path(source.address)
    path = folder / source.name
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with one_sentence(source.address, source.named_by):
                system, remote = file_system(source.address, params)
                system.get_file(remote, str(partial))
            break
        except NoAnswer as error:
            if attempt == ATTEMPTS:
                raise UserError(str(error)) from None
            time.sleep(PAUSE * attempt)
    os.replace(partial, path)
    return path


class NoAnswer(UserError):
    """What may pass: a server that does not answer."""


@contextmanager
def one_sentence(address: str, place: str) -> Iterator[None]:
    """Turns what goes wrong with an address into one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        where, host = f"{place}: {short_address(address)}", urlsplit(address).netloc
        chain = f"{type(error).__name__} {type(error.__cause__).__name__} {error}"
        status = getattr(error, "status", None)
        if isinstance(error, ImportError):
            extra = "pip install '.[s3]'" if address.startswith("s3") else f"install it ({error})"
            raise UserError(f"{where} needs a package that is not there: {extra}.") from None
        if "Credential" in chain or isinstance(error, PermissionError) or status in (401, 403):
            raise UserError(
                f"{where} is refused for want of credentials: set them as the provider's tools expect "
                "(for s3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or `storage` to {s3: {anon: true}} "
                "where everybody may read."
            ) from None
        if isinstance(error, FileNotFoundError) or status == 404:
            raise UserError(f"{where} does not exist; mend or remove it.") from None
        if isinstance(error, ValueError) and "protocol" in str(error).lower():
            raise UserError(f"{where} has a protocol that nothing here reads; use s3:// or https://.") from None
        if isinstance(error, (OSError, TimeoutError)) or "Client" in chain or "Connect" in chain:
            raise NoAnswer(
                f"{where} cannot be read ({type(error).__name__}): the host {host} does not answer as it should; "
                "check the address and the network, and run again."
            ) from None
        raise


# ---- which records


@dataclass
class Taken:
    """What one file gave."""

    documents: int
    left_out: int
    lost: Counter[str]
    schema: str  # the sentence about a table without texts
    written: bool


def sampler(name: str, params: CollectParams, seed: int) -> Callable[[Found | Lost], bool]:
    """Whether a record of the file is among the share that is taken."""
    paths = sorted((path for path in params.rates if "=" not in path and name.startswith(path)), key=len)
    rate = params.rates[paths[-1]] if paths else 1.0
    fields = [(*key.split("=", 1), share) for key, share in params.rates.items() if "=" in key]

    def wanted(record: Found | Lost) -> bool:
        share = rate
        if isinstance(record, Found):
            known = {**record.labels, **record.metadata}
            known["domain"] = urlsplit(known["url"]).netloc if known.get("url") else ""
            for field, value, part in fields:
                share *= part if str(known.get(field, "")) == value else 1.0
        return share >= 1.0 or chance(seed, name, record.id or record.place) < share

    return wanted


def copy_records(path: Path, target: Path, wanted: Callable[[Found | Lost], bool], left: int | None) -> Taken:
    """Copy the wanted records of `path` to `target`; all of it, byte for byte, where all are wanted."""
    taken = Taken(0, 0, Counter(), "", False)
    choice: dict[int, bool] = {}  # place → whether it is wanted
    for record in read_file(path, MAX_BYTES):
        full = left is not None and taken.documents >= left
        keep = not full and wanted(record)
        choice[record.place] = keep
        if not keep:
            taken.left_out += 1
        elif isinstance(record, Found):
            taken.documents += 1
        else:
            taken.lost[record.reason] += 1
            if record.reason in ("no_text_field", "no_text_column"):
                taken.schema = taken.schema or (
                    f"{path.name}: no row has a field `text` ({record.detail}); rename the field that holds the text."
                )
        if full and left is not None and kind_of(path) in ("warc", "jsonl"):
            break  # what follows is cut off without being read
    taken.written = any(choice.values())
    if all(choice.values()):
        shutil.copyfile(path, target)
    elif taken.written:
        copy_chosen(path, target, choice)
    return taken


def copy_chosen(path: Path, target: Path, choice: dict[int, bool]) -> None:
    """The records of `path` whose places are chosen."""
    plain = without_compression(target.name)
    kind = kind_of(path)
    if kind in ("jsonl", "text"):
        with open_binary(path) as lines, zstandard.open(target.with_name(f"{plain}.zst"), "wb") as out:
            for number, line in enumerate(lines, 1):
                if choice.get(number):
                    out.write(line)
    elif kind == "parquet":
        copy_rows(path, target, choice)
    elif kind == "warc":
        copy_archive_records(path, target, plain, choice)


def copy_rows(path: Path, target: Path, choice: dict[int, bool]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table, number = pq.ParquetFile(path), 0
    with pq.ParquetWriter(target, table.schema_arrow) as out:
        for batch in table.iter_batches(1_000):
            mask = [choice.get(number + row, False) for row in range(1, len(batch) + 1)]
            out.write_batch(batch.filter(pa.array(mask)))
            number += len(batch)


def copy_archive_records(path: Path, target: Path, plain: str, choice: dict[int, bool]) -> None:
    """Runs of bytes from one record's place to the next; out of a stream around all records they come unpacked."""
    places = sorted(place for place in choice if place >= 0)
    with path.open("rb") as raw:
        raw.seek(places[-1])
        by_member = compression(path) == "gz" and raw.read(2) == b"\x1f\x8b"
    if not by_member:
        target = target.with_name(plain)
    with path.open("rb") if by_member else open_binary(path) as source, target.open("wb") as out:
        source.read(places[0])  # padding
        for place, end in zip(places, [*places[1:], sys.maxsize], strict=True):
            size, wanted = end - place, choice[place]
            while size and (part := source.read(min(size, 1 << 20))):
                size -= len(part)
                if wanted:
                    out.write(part)
