"""The dataset: one row a document, checked before it is written.

In: shards of curated documents. Out: `documents-*.parquet` with the columns of `COLUMNS`, and the rows that broke a
check with the column and the check they broke. Checks look at the data, not only at types: hashes are those of the
texts, dates are dates, no id comes twice. Documents pass in batches, so that memory does not grow with the corpus.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from crawl2chat.curation.documents import documents_of

# What the filters measured; null where a rule's parameters leave the measure out.
MEASURES = tuple(
    "duplicate_lines duplicate_line_characters top_2_gram duplicate_5_grams mean_word_length alphabetic_words "
    "stop_words bullet_lines ellipsis_lines sentences line_punctuation short_lines duplicate_characters new_lines "
    "quality".split()
)
# Of the measures, those that are shares.
SHARES = set(
    "duplicate_lines duplicate_line_characters alphabetic_words bullet_lines ellipsis_lines line_punctuation "
    "short_lines duplicate_characters quality".split()
)
NUMBERS = ("words", "cluster", "cluster_size", "personal", "offset")
COLUMNS = (
    *"id url domain title date source language language_score".split(),
    *MEASURES,
    *"words cluster cluster_size personal text sha256 file offset".split(),
)
# Documents in memory at a time, and rows in a row group.
BATCH = 1_000


def row(document: dict[str, Any]) -> dict[str, Any]:
    """The row of a document as the earlier stages wrote it."""
    metadata, text = document.get("metadata", {}), document.get("text", "")
    measured = metadata.get("measured", {})
    return {
        "id": document["id"],
        **{name: str(metadata.get(name) or "") for name in ("url", "domain", "title", "source", "file")},
        **{name: float(measured[name]) if name in measured else None for name in MEASURES},
        "date": str(metadata.get("date") or "")[:10],
        "language": metadata.get("language", "und"),
        "language_score": float(metadata.get("language_score", 0.0)),
        "words": int(metadata.get("words", 0)),
        "cluster": int(metadata.get("minhash_cluster_id", -1)),
        "cluster_size": int(metadata.get("minhash_cluster_size", 1)),
        "personal": sum(metadata.get("personal", {}).values()),
        "text": text,
        "sha256": sha256(text),
        "offset": int(metadata.get("offset", -1)),
    }


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Identities:
    """The ids of all rows so far, in a file: what tells whether one comes twice."""

    def __init__(self, path: Path):
        path.unlink(missing_ok=True)
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("PRAGMA journal_mode = OFF")
        self.database.execute("PRAGMA synchronous = OFF")
        self.database.execute("CREATE TABLE ids (id TEXT PRIMARY KEY) WITHOUT ROWID")

    def new(self, ids: Iterable[str]) -> list[bool]:
        """For each id whether it comes for the first time."""
        insert = "INSERT OR IGNORE INTO ids VALUES (?)"
        return [self.database.execute(insert, (key,)).rowcount == 1 for key in ids]

    def close(self) -> None:
        self.database.close()


def schema(new: list[bool]) -> Any:
    """What a batch of rows must be like; `new` says of each whether its id comes for the first time."""
    import pandera.polars as pa
    import polars as pl

    def check(name: str, rule: Callable[[], Any]) -> Any:
        """A check of one column that may look at the others."""
        return pa.Check(lambda data: data.lazyframe.select(rule()), name=name)

    text, number, share, matches = pl.String, pl.Int64, pa.Check.in_range(0.0, 1.0), pa.Check.str_matches
    url, date, cluster = pl.col("url"), pl.col("date"), pl.col("cluster")
    hashed = pl.col("text").map_elements(sha256, text, skip_nulls=False)
    host = url.str.extract(r"^[a-z][a-z0-9+.-]*://(?:[^/@]*@)?(?:www\.)?([^/:?#]+)")
    host_is_domain = host.is_null() | (host.str.to_lowercase() == pl.col("domain"))
    calendar_date = date.str.contains(r"^\d{4}-\d\d-\d\d$") & date.str.to_date("%Y-%m-%d", strict=False).is_not_null()
    is_new = check("unique", lambda: pl.lit(pl.Series(new)))
    no_null = check("no_null_character", lambda: ~pl.col("text").str.contains("\0", literal=True))
    columns = {
        "id": (text, [pa.Check.str_length(min_value=1), is_new]),
        "url": (text, matches(r"^$|^[a-z][a-z0-9+.-]*:")),
        "domain": (text, [matches(r"^[^/\s]*$"), check("domain_of_url", lambda: host_is_domain)]),
        "title": (text,),
        "date": (text, check("calendar_date", lambda: (date == "") | calendar_date)),
        "source": (text,),
        "language": (text, matches(r"^[a-z]{2,3}$")),
        "language_score": (pl.Float64, share),
        **{name: (pl.Float64, share if name in SHARES else pa.Check.ge(0.0)) for name in MEASURES},
        "words": (number, pa.Check.ge(1)),
        "cluster": (number, pa.Check.ge(-1)),
        "cluster_size": (number, check("size_of_cluster", lambda: (cluster >= 0) == (pl.col("cluster_size") >= 2))),
        "personal": (number, pa.Check.ge(0)),
        "text": (text, [matches(r"\S"), no_null]),
        "sha256": (text, check("sha256_of_text", lambda: hashed == pl.col("sha256"))),
        "file": (text, pa.Check.str_length(min_value=1)),
        "offset": (number, pa.Check.ge(-1)),
    }
    return pa.DataFrameSchema(
        {name: pa.Column(*column, nullable=name in MEASURES) for name, column in columns.items()}, strict=True
    )


def frame_of(rows: list[dict[str, Any]]) -> Any:
    import polars as pl

    types = dict.fromkeys(("language_score", *MEASURES), pl.Float64) | dict.fromkeys(NUMBERS, pl.Int64)
    return pl.DataFrame(rows, schema={name: types.get(name, pl.String) for name in COLUMNS})


def validated(rows: list[dict[str, Any]], new: list[bool]) -> tuple[Any, list[dict[str, Any]]]:
    """The rows that pass every check as a polars frame, and the failures: id, column, check, value, row (its number).

    `new` tells of each row whether its id comes for the first time.
    """
    import pandera.errors
    import polars as pl

    frame = frame_of(rows)
    if frame.is_empty():
        return frame, []
    try:
        return schema(new).validate(frame, lazy=True), []
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases.to_dicts()
    if any(case["index"] is None for case in cases):  # the frame as a whole is wrong
        raise ValueError(f"The corpus breaks its schema: {cases[0]}")
    failures = [
        {
            "id": frame["id"][case["index"]],
            "column": case["column"],
            "check": case["check"],
            "value": str(frame[case["column"]][case["index"]])[:200],
            "row": case["index"],
        }
        for case in sorted(cases, key=lambda case: case["index"])
    ]
    broken = {failure["row"] for failure in failures}
    return frame.filter(~pl.int_range(pl.len()).is_in(sorted(broken))), failures


def write(
    shards: Iterable[Path], out: Path, ids: Path, reject: Callable[[dict[str, Any], list[dict[str, Any]], int], None]
) -> int:
    """One Parquet file a shard; returns the number of rows.

    A row that breaks checks goes to `reject(document, failures, rank)`. `ids` is a file for the ids of all rows.
    """
    import pyarrow.parquet as pq
    from datatrove.utils.batching import batched

    count = 0
    with closing(Identities(ids)) as identities:
        for shard in shards:
            number = shard.name.split(".")[0]
            columns = frame_of([]).to_arrow().schema
            with pq.ParquetWriter(out / f"documents-{number}.parquet", columns, compression="zstd") as file:
                for documents in batched(documents_of(shard), BATCH):
                    rows = [row(document) for document in documents]
                    frame, failures = validated(rows, identities.new(r["id"] for r in rows))
                    for index, broken in groupby(failures, key=itemgetter("row")):
                        reject(documents[index], list(broken), int(number))
                    file.write_table(frame.to_arrow(), BATCH)
                    count += frame.height
    return count
