"""Why a document is dropped: what every filter answers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Drop:
    """The rule that a document broke first, and what was measured."""

    reason: str
    value: float | str | None = None
