"""Finds evaluation items in the corpus, so that no model is asked what it has read word for word.

In: the items of evaluation sets, and text. Out: where the text shares a run of `n` words with a prompt. Only prompts
count: telling a fact is not contamination, showing the question of the exam is. Words are compared lower-case without
punctuation. Source: Brown et al. 2020, appendix C (13-grams).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import PositiveInt

from crawl2chat.parameters import Params

WORD = re.compile(r"\w+")


class ContaminationParams(Params):
    """When a text shows an evaluation prompt, and what goes then."""

    n_grams: PositiveInt  # words in a row that text and prompt share
    least_words: PositiveInt  # shorter prompts are not looked for
    remove: Literal["document", "span"]  # span: only the lines that show it


@dataclass(frozen=True)
class Item:
    """A prompt of an evaluation set."""

    id: str
    set: str  # its skill; chat or preferences for one's own data
    prompt: str


@dataclass(frozen=True)
class Match:
    """Characters `start` to `end` of a text show the item."""

    start: int
    end: int
    item: Item


class Overlap:
    """An index of the word n-grams of evaluation prompts.

    A prompt shorter than `n` words counts as a whole, if it has at least `least` words; shorter ones are left out,
    since such runs occur by chance.
    """

    def __init__(self, items: Iterable[Item], n: int, least: int):
        self.least = least
        # hash of the first `least` words of a run → (its length, hash of all its words, item)
        self.runs: dict[int, list[tuple[int, int, Item]]] = {}
        for item in items:
            words = words_in(item.prompt)
            length = min(n, len(words))
            if length < least:
                continue
            for start in range(len(words) - length + 1):
                run = words[start : start + length]
                self.runs.setdefault(hash_words(run[:least]), []).append((length, hash_words(run), item))

    def matches(self, text: str) -> Iterator[Match]:
        """Every place where the text shows a prompt, from its beginning on."""
        words = words_in(text)
        places: list[tuple[int, int]] = []
        for start in range(len(words) - self.least + 1):
            for length, digest, item in self.runs.get(hash_words(words[start : start + self.least]), ()):
                if hash_words(words[start : start + length]) == digest:
                    places = places or [match.span() for match in WORD.finditer(text)]
                    yield Match(places[start][0], places[start + length - 1][1], item)


def without(text: str, matches: Iterable[Match]) -> tuple[str, str]:
    """The lines of a text that show no evaluation item, and those that do."""
    spans = [(match.start, match.end) for match in matches]
    kept, cut, begin = [], [], 0
    for line in text.splitlines(keepends=True):
        shows_item = any(start < begin + len(line) and end > begin for start, end in spans)
        (cut if shows_item else kept).append(line)
        begin += len(line)
    return "".join(kept).strip(), "".join(cut).strip()


def words_in(text: str) -> list[str]:
    return [word.lower() for word in WORD.findall(text)]


def hash_words(words: list[str]) -> int:
    from xxhash import xxh3_64_intdigest

    return xxh3_64_intdigest(" ".join(words))
