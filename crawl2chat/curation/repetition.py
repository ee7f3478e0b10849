"""Gopher's repetition rules: shares of lines, paragraphs and word n-grams that recur. Source: Rae et al. 2021, A1."""

import re
from collections.abc import Iterator

import numpy as np
from pydantic import PositiveInt

from crawl2chat.curation.drop import Drop
from crawl2chat.curation.rules import Measure, at_most, count_repeated, judge
from crawl2chat.parameters import Params, Share

Limits = tuple[tuple[PositiveInt, Share], ...]
PARAGRAPHS, LINES = re.compile(r"\n{2,}"), re.compile(r"\n+")


class RepetitionParams(Params):
    """Gopher's repetition rules; each limit is a share of lines, paragraphs or characters."""

    duplicate_lines: Share
    duplicate_paragraphs: Share
    duplicate_line_characters: Share
    duplicate_paragraph_characters: Share
    top_grams: Limits
    duplicate_grams: Limits


class Grams:
    """The word n-grams that occur more than once in a text, as places and numbers; equal n-grams have equal numbers.

    Each length is made from the one before: an n-gram can only recur where the two (n-1)-grams in it do, so that little
    is left to look at after the first lengths.
    """

    def __init__(self, words: list[str]):
        numbers: dict[str, int] = {}
        ids = np.fromiter((numbers.setdefault(word, len(numbers)) for word in words), np.int64, len(words))
        self.ends = np.concatenate([[0], np.cumsum(np.fromiter(map(len, words), np.int64, len(words)))])
        self.n, self.words = 1, len(words)
        self._keep(np.arange(len(words)), ids)

    def _keep(self, places: np.ndarray, keys: np.ndarray) -> None:
        """Keep the n-grams that occur more than once; places (k,) and keys (k,) are in the order of the text."""
        counts = np.bincount(keys, minlength=1)
        often = counts[keys] > 1
        self.places, self.keys, self.counts = places[often], keys[often], counts

    def grow(self, n: int) -> None:
        """Go on to n-grams of length `n`, which must not be shorter than before."""
        while self.n < n:
            self.n += 1
            pairs = np.flatnonzero(np.diff(self.places) == 1)
            _, keys = np.unique(self.keys[pairs] * self.words + self.keys[pairs + 1], return_inverse=True)
            self._keep(self.places[pairs], keys)

    def top_characters(self, n: int) -> int:
        """Characters covered by the most frequent n-gram (n > 1); among equals the first one counts."""
        if self.words < n:
            return 0
        self.grow(n)
        start, times = 0, 1  # nothing recurs: the first n-gram is as frequent as any
        if len(self.places):
            times = int(self.counts.max())
            start = int(self.places[np.argmax(self.counts[self.keys] == times)])
        return int(self.ends[start + n] - self.ends[start] + n - 1) * times

    def duplicate_characters(self, n: int) -> int:
        """Characters in n-grams that occurred before, each stretch counted once."""
        self.grow(n)
        seen, characters, index = bytearray(len(self.counts)), 0, 0
        for place, key in zip(self.places.tolist(), self.keys.tolist(), strict=True):
            if place < index:
                continue
            if seen[key]:
                characters += int(self.ends[place + n] - self.ends[place])
                index = place + n
            else:
                seen[key] = 1
        return characters


def repetition(
    text: str, words: list[str], limits: RepetitionParams, measured: dict[str, float] | None = None
) -> Drop | None:
    """Gopher's repetition rules."""
    return judge(repetition_measures(text, words, limits), measured) if text else Drop("empty")


def repetition_measures(text: str, words: list[str], limits: RepetitionParams) -> Iterator[Measure]:
    size = len(text)
    paragraphs = PARAGRAPHS.split(text.strip())
    count, characters = count_repeated(paragraphs)
    yield at_most("duplicate_paragraphs", count / len(paragraphs), limits.duplicate_paragraphs)
    yield at_most("duplicate_paragraph_characters", characters / size, limits.duplicate_paragraph_characters)
    lines = LINES.split(text)
    count, characters = count_repeated(lines)
    yield at_most("duplicate_lines", count / len(lines), limits.duplicate_lines)
    yield at_most("duplicate_line_characters", characters / size, limits.duplicate_line_characters)
    grams = Grams(words)
    for n, limit in limits.top_grams:
        yield at_most(f"top_{n}_gram", grams.top_characters(n) / size, limit)
    for n, limit in limits.duplicate_grams:
        value = grams.duplicate_characters(n) / size
        yield at_most(f"duplicate_{n}_grams", value, limit)
        if value == 0.0:  # no n-gram occurs twice, so no longer one does
            break
