"""What the report of curation reads, and how much of it is shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, NonNegativeInt, PositiveInt

from crawl2chat.parameters import Params

Row = dict[str, Any]
# Of English, roughly; the final report knows the tokenizer's own.
BYTES_PER_TOKEN = 4.0


class ReportParams(Params):
    """How much the report of curation shows."""

    # An earlier corpus to compare with; may hold none.
    reference: str
    # Dropped documents of each reason, copies of each cluster.
    samples: NonNegativeInt
    # Of the biggest clusters of duplicates, with text.
    clusters: NonNegativeInt
    domains: PositiveInt
    # Of a text, at most.
    characters: int = Field(ge=20)


@dataclass(frozen=True)
class Folders:
    """What the three steps of curation wrote."""

    extracted: Path
    filtered: Path
    corpus: Path
    # By step: extract, filter, deduplicate.
    removed: dict[str, Path]
    # May hold none.
    truth: Path
