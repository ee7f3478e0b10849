"""The limits that documents were judged by, each with the name of its measure and the reasons it gives.

In: `rules.json`, which the stage filter leaves beside what it dropped. Out: what a histogram needs besides the values that
documents carry under `measured`.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Limit:
    """A measure, the least and the largest value that stays, and the reasons given below and above."""

    block: str
    measure: str
    least: float | None = None
    most: float | None = None
    reasons: tuple[str, ...] = ()


def limits(file: Path) -> list[Limit]:
    """Every limit on a number, in the order in which documents meet them."""
    given: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return [limit for block, read in READERS.items() if block in given for limit in read(given[block])]


def _most(block: str, limits: dict[str, Any], *names: str) -> Iterator[Limit]:
    for name in names:
        yield Limit(block, name, most=limits[name], reasons=(name,))


def _language(limits: dict[str, Any]) -> Iterator[Limit]:
    yield Limit("language", "language_score", least=limits["min_score"], reasons=("language_score",))


def _repetition(limits: dict[str, Any]) -> Iterator[Limit]:
    yield from _most(
        "repetition",
        limits,
        "duplicate_paragraphs",
        "duplicate_paragraph_characters",
        "duplicate_lines",
        "duplicate_line_characters",
    )
    for names, kind in (("top_{}_gram", "top_grams"), ("duplicate_{}_grams", "duplicate_grams")):
        for n, limit in limits[kind]:
            yield Limit("repetition", names.format(n), most=limit, reasons=(names.format(n),))


def _gopher(limits: dict[str, Any]) -> Iterator[Limit]:
    for measure, of, reasons in (
        ("gopher_words", "words", ("short", "long")),
        ("mean_word_length", "word_length", ("short_words", "long_words")),
    ):
        yield Limit("gopher", measure, limits[f"min_{of}"], limits[f"max_{of}"], reasons)
    for name in ("hashes", "ellipses"):
        yield Limit("gopher", name, most=limits["symbols"], reasons=(name,))
    yield from _most("gopher", limits, "bullet_lines", "ellipsis_lines")
    for name in ("alphabetic_words", "stop_words"):
        yield Limit("gopher", name, least=limits[name], reasons=(name,))


def _c4(limits: dict[str, Any]) -> Iterator[Limit]:
    yield Limit("c4", "sentences", least=limits["min_sentences"], reasons=("few_sentences",))


def _fineweb(limits: dict[str, Any]) -> Iterator[Limit]:
    yield Limit("fineweb", "line_punctuation", least=limits["line_punctuation"], reasons=("line_punctuation",))
    yield from _most("fineweb", limits, "short_lines", "duplicate_characters", "new_lines")


def _classifier(limits: dict[str, Any]) -> Iterator[Limit]:
    if limits["positive"]:
        yield Limit("classifier", "quality", least=limits["min_score"], reasons=("quality",))


READERS = {
    "language": _language,
    "repetition": _repetition,
    "gopher": _gopher,
    "c4": _c4,
    "fineweb": _fineweb,
    "classifier": _classifier,
}
