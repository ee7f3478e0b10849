"""What all quality rules share: a rule yields measures, and the first that breaks its limit drops the document."""

from collections.abc import Iterable

from crawl2chat.curation.drop import Drop

# A rule's measure: its name, the value, and the reason to drop the document, if the value is one.
Measure = tuple[str, float, str | None]


def judge(measures: Iterable[Measure], measured: dict[str, float] | None) -> Drop | None:
    """The first rule that a document breaks; measures after it are not taken. Notes the values in `measured`."""
    for name, value, reason in measures:
        if measured is not None:
            measured[name] = round(value, 4)
        if reason:
            return Drop(reason, value)
    return None


def at_most(name: str, value: float, limit: float) -> Measure:
    return name, value, name if value > limit else None


def between(name: str, value: float, low: float, high: float, reasons: tuple[str, str]) -> Measure:
    return name, value, reasons[0] if value < low else reasons[1] if value > high else None


def count_repeated(items: list[str]) -> tuple[int, int]:
    """How many items were there before, and their characters."""
    seen: set[str] = set()
    count = characters = 0
    for item in items:
        if item in seen:
            count += 1
            characters += len(item)
        else:
            seen.add(item)
    return count, characters
