"""The limits that documents were judged by, each with the name of its measure and the reasons it gives.

In: `rules.json`, which lies beside what the filters dropped. Out: what a histogram needs besides the values that
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
    rules: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    return [limit for block, read in READERS.items() if block in rules for limit in read(block, rules[block])]


def most(block: str, limits: dict[str, Any], *names: str) -> Iterator[Limit]:
    for name in names:
        yield Limit(block, name, most=limits[name], reasons=(name,))


def least(block: str, limits: dict[str, Any], *names: str) -> Iterator[Limit]:
    for name in names:
        yield Limit(block, name, least=limits[name], reasons=(name,))


def language(block: str, limits: dict[str, Any]) -> Iterator[Limit]:
    yield Limit(block, "language_score", least=limits["min_score"], reasons=("language_score",))


def repetition(block: str, limits: dict[str, Any]) -> Iterator[Limit]:
    for items in ("paragraphs", "lines"):
        yield from most(block, limits, f"duplicate_{items}", f"duplicate_{items[:-1]}_characters")
    for names, kind in (("top_{}_gram", "top_grams"), ("duplicate_{}_grams", "duplicate_grams")):
        for n, limit in limits[kind]:
            yield Limit(block, names.format(n), most=limit, reasons=(names.format(n),))


def gopher(block: str, limits: dict[str, Any]) -> Iterator[Limit]:
    yield Limit(block, "gopher_words", limits["min_words"], limits["max_words"], ("short", "long"))
    lengths = limits["min_word_length"], limits["max_word_length"]
    yield Limit(block, "mean_word_length", *lengths, ("short_words", "long_words"))
    for name in ("hashes", "ellipses"):
        yield Limit(block, name, most=limits["symbols"], reasons=(name,))
    yield from most(block, limits, "bullet_lines", "ellipsis_lines")
    yield from least(block, limits, "alphabetic_words", "stop_words")


def c4(block: str, limits: dict[str, Any]) -> Iterator[Limit]:
    yield Limit(block, "sentences", least=limits["min_sentences"], reasons=("few_sentences",))


def fineweb(block: str, limits: dict[str, Any]) -> Iterator[Limit]:
    yield from least(block, limits, "line_punctuation")
    yield from most(block, limits, "short_lines", "duplicate_characters", "new_lines")


def classifier(block: str, limits: dict[str, Any]) -> Iterator[Limit]:
    if limits["positive"]:
        yield Limit(block, "quality", least=limits["min_score"], reasons=("quality",))


READERS = {read.__name__: read for read in (language, repetition, gopher, c4, fineweb, classifier)}
