"""What reading gives: a document for every record that holds one, and a reason for every other."""

from dataclasses import dataclass, field
from typing import Any

# Records and answers that never hold a page. Everything else that is lost counts as unreadable.
ORDINARY = frozenset(
    {"warcinfo", "request", "metadata", "revisit", "redirect", "http_error", "not_html", "empty_body", "other_record"}
)


@dataclass
class Found:
    """A document before extraction."""

    text: str
    id: str
    # "html" or "text".
    kind: str
    # A byte offset, or a line number in text files.
    place: int
    metadata: dict[str, Any] = field(default_factory=dict)
    # Other fields of a row, by which it can be chosen.
    labels: dict[str, str] = field(default_factory=dict)


@dataclass
class Lost:
    """A record that gave no document, and why."""

    reason: str
    place: int
    id: str = ""
    url: str = ""
    detail: str = ""


@dataclass
class Head:
    """What stands before the block of an archive's record."""

    kind: str
    id: str
    url: str
    date: str
    media: str
    # -1 where it is missing or no number.
    length: int
    arc: bool = False
