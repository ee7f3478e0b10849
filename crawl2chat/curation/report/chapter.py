"""The report of curation as read from disk, and what a page shows of it."""

from itertools import groupby
from pathlib import Path
from typing import Any

from crawl2chat.curation.report.inputs import Row
from crawl2chat.jsonl import read_jsonl

NAMES = {"pages": "pages found", "read": "readable", "extract": "main text", "schema": "valid rows"}
# Tables with texts: JSONL, not CSV.
LISTS = ("duplicate_clusters", "dropped_samples")
TEMPLATE = Path(__file__).with_name("chapter.html.jinja")


def chapter_values(tables: dict[str, list[Row]], figures: dict[str, str], bytes_per_token: float) -> dict[str, Any]:
    """What chapter.html.jinja shows."""

    def grouped(name: str, *keys: str) -> list[tuple[tuple[Any, ...], list[Row]]]:
        by_key = groupby(tables.get(name, []), key=lambda row: tuple(row[key] for key in keys))
        return [(key, list(rows)) for key, rows in by_key]

    return {
        "waterfall": in_tokens(tables.get("waterfall", []), bytes_per_token),
        "figures": figures,
        "names": NAMES,
        "drift": tables.get("drift", []),
        "bytes_per_token": bytes_per_token,
        "clusters": grouped("duplicate_clusters", "cluster", "size"),
        "dropped": grouped("dropped_samples", "block", "reason"),
    }


def in_tokens(waterfall: list[Row], bytes_per_token: float) -> list[Row]:
    """The waterfall with the tokens that its texts would be; a page's HTML never becomes any."""
    return [
        row | {"tokens": None if row["words"] is None else round(row["bytes"] / bytes_per_token)} for row in waterfall
    ]


def read(folder: Path) -> tuple[dict[str, list[Row]], dict[str, str]]:
    """The tables and the figures that `write` wrote; empty without them."""
    import polars as pl

    tables = {
        path.stem: pl.read_csv(path, infer_schema_length=None).to_dicts() for path in sorted(folder.glob("*.csv"))
    }
    for name in LISTS if tables else ():
        tables[name] = read_jsonl(folder / f"{name}.jsonl")
    figures = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.svg"))}
    return tables, figures
