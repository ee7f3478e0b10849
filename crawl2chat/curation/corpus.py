"""The dataset: one row a document, checked before it is written.

In: shards of curated documents. Out: `documents-*.parquet` with the columns of `COLUMNS`, and the rows that broke a check
with the column and the check they broke. Checks look at the data, not only at types: hashes match, dates are dates.
"""

import hashlib
from pathlib import Path
from typing import Any

COLUMNS = (
    "id", "url", "domain", "title", "date", "source", "language", "language_score", "words", "cluster", "cluster_size",
    "personal", "text", "sha256", "file", "offset",
)  # fmt: skip


def row(document: dict[str, Any]) -> dict[str, Any]:
    """The row of a document as the earlier stages wrote it."""
    metadata, text = document.get("metadata", {}), document.get("text", "")
    return {
        "id": document["id"],
        **{name: str(metadata.get(name) or "") for name in ("url", "domain", "title", "source", "file")},
        "date": str(metadata.get("date") or "")[:10],
        "language": metadata.get("language", "und"),
        "language_score": float(metadata.get("language_score", 0.0)),
        "words": int(metadata.get("words", 0)),
        "cluster": int(metadata.get("minhash_cluster_id", -1)),
        "cluster_size": int(metadata.get("minhash_cluster_size", 1)),
        "personal": sum(metadata.get("personal", {}).values()),
        "text": text,
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "offset": int(metadata.get("offset", -1)),
    }


def _schema():
    import pandera.polars as pa
    import polars as pl

    return pa.DataFrameSchema(
        {
            "id": pa.Column(pl.String, pa.Check.str_length(min_value=1), unique=True),
            "url": pa.Column(pl.String, pa.Check.str_matches(r"^$|^[a-z][a-z0-9+.-]*:")),
            "domain": pa.Column(pl.String, pa.Check.str_matches(r"^[^/\s]*$")),
            "title": pa.Column(pl.String),
            "date": pa.Column(
                pl.String, pa.Check.str_matches(r"^$|^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$")
            ),
            "source": pa.Column(pl.String),
            "language": pa.Column(pl.String, pa.Check.str_matches(r"^[a-z]{2,3}$")),
            "language_score": pa.Column(pl.Float64, pa.Check.in_range(0.0, 1.0)),
            "words": pa.Column(pl.Int64, pa.Check.ge(1)),
            "cluster": pa.Column(pl.Int64, pa.Check.ge(-1)),
            "cluster_size": pa.Column(pl.Int64, pa.Check.ge(1)),
            "personal": pa.Column(pl.Int64, pa.Check.ge(0)),
            "text": pa.Column(pl.String, pa.Check.str_matches(r"\S")),
            "sha256": pa.Column(pl.String, pa.Check.str_matches(r"^[0-9a-f]{64}$")),
            "file": pa.Column(pl.String, pa.Check.str_length(min_value=1)),
            "offset": pa.Column(pl.Int64, pa.Check.ge(-1)),
        },
        strict=True,
    )


def validated(rows: list[dict[str, Any]]) -> tuple[Any, list[dict[str, Any]]]:
    """The rows that pass every check as a polars frame, and the failures: id, column, check, value."""
    import pandera.errors
    import polars as pl

    types = {"language_score": pl.Float64} | dict.fromkeys(
        ("words", "cluster", "cluster_size", "personal", "offset"), pl.Int64
    )
    frame = pl.DataFrame(rows, schema={name: types.get(name, pl.String) for name in COLUMNS})
    if frame.is_empty():
        return frame, []
    try:
        return _schema().validate(frame, lazy=True), []
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases.to_dicts()
    failures = [
        {"id": frame["id"][case["index"]], "column": case["column"], "check": case["check"], "value": str(case["failure_case"])[:200]}
        for case in cases if case["index"] is not None
    ]  # fmt: skip
    broken = {case["index"] for case in cases if case["index"] is not None}
    if len(broken) < len(cases) and not broken:  # the frame as a whole is wrong
        raise ValueError(f"The corpus breaks its schema: {cases[0]}")
    good = frame.filter(~pl.int_range(pl.len()).is_in(sorted(broken)))
    return good, failures


def write(shard: Path, out: Path) -> tuple[int, list[dict[str, Any]]]:
    """One shard of documents to one Parquet file; returns the number of rows and the failures."""
    from crawl2chat.curation.execution import read_jsonl_zst

    frame, failures = validated([row(document) for document in read_jsonl_zst(shard)])
    number = shard.name.split(".")[0]
    frame.write_parquet(out / f"documents-{number}.parquet", compression="zstd", statistics=True)
    return frame.height, failures
