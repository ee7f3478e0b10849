"""The quality rules of Gopher, C4 and FineWeb as plain functions over words that are tokenized once per document.

In: text (and its words). Out: None when nothing speaks against the document, else a `Drop` with reason and measured
value; whatever was measured on the way is noted under the measure's name. The rules and their order follow datatrove 0.10 so closely that keep/drop decisions are equal; sources: Rae et al.
2021 (Gopher, table A1), Raffel et al. 2020 (C4), Penedo et al. 2024 (FineWeb).
"""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from crawl2chat.parameters import Params, Share

Limits = tuple[tuple[PositiveInt, Share], ...]
# A rule's measure: its name, the value, and the reason to drop the document, if the value is one.
Measure = tuple[str, float, str | None]


@dataclass(frozen=True)
class Drop:
    """Why a document goes: the rule that it broke first, and what was measured."""

    reason: str
    value: float | str | None = None


class RepetitionParams(Params):
    """Gopher's repetition rules; each limit is a share of lines, paragraphs or characters."""

    duplicate_lines: Share = 0.3
    duplicate_paragraphs: Share = 0.3
    duplicate_line_characters: Share = 0.2
    duplicate_paragraph_characters: Share = 0.2
    top_grams: Limits = ((2, 0.2), (3, 0.18), (4, 0.16))
    duplicate_grams: Limits = ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10))


class GopherParams(Params):
    """Gopher's quality rules."""

    min_words: NonNegativeInt = 50
    max_words: PositiveInt = 100_000
    min_word_length: NonNegativeFloat = 3.0
    max_word_length: NonNegativeFloat = 10.0
    symbols: NonNegativeFloat = 0.1  # hashes or ellipses per word
    bullet_lines: Share = 0.9
    ellipsis_lines: Share = 0.3
    alphabetic_words: Share = 0.8
    stop_words: NonNegativeInt = 2

    @model_validator(mode="after")
    def _ordered(self) -> "GopherParams":
        for name in ("words", "word_length"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low > high:
                raise ValueError(f"min_{name} must not be above max_{name}, but {low:g} is above {high:g}")
        return self


class C4Params(Params):
    """C4's rules: lines are removed, then documents with too few sentences."""

    terminal_punctuation: bool = False  # FineWeb leaves this rule out: alone it removes 30 %
    min_sentences: NonNegativeInt = 5
    min_words_per_line: NonNegativeInt = 3
    max_word_length: PositiveInt = 1_000
    citations: bool = True
    lorem_ipsum: bool = True
    javascript: bool = True
    curly_bracket: bool = True
    policy: bool = True


class FineWebParams(Params):
    """FineWeb's three rules on lines, and the one on lists."""

    line_punctuation: Share = 0.12
    short_lines: Share = 0.67
    short_line_length: NonNegativeInt = 30
    duplicate_characters: Share = 0.1  # the paper's value; datatrove's code has 0.01
    new_lines: NonNegativeFloat = 0.3


STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_PARAGRAPHS, _LINES = re.compile(r"\n{2,}"), re.compile("\n+")
_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
_ENDS = (".", "?", "!", '"', "'")


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Hide an installed module from an import: spaCy would load torch, 2 s and 250 MB in every worker, for nothing."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


class _Words:
    """Words of spaCy's blank English tokenizer, each piece between white space split only once.

    spaCy cuts at white space first and looks at every piece alone, so that the answer for a piece can be kept: less than
    half the time on the first pages, ever less on later ones. Both memories are emptied when they get large.
    """

    LARGEST = 400_000  # pieces, about 100 MB
    LONGEST = 300  # characters; longer pieces are cut: spaCy's time grows with the cube of a row of brackets
    # Most of the pieces that are new need no tokenizer: letters that are no special case, with an end mark or without.
    PLAIN = re.compile(r"([A-Za-z]+)([,;:!?]?)|([A-Za-z]*[a-z])(\.)")
    _tokenizer = None
    _words: ClassVar[dict[str, tuple[str, ...]]] = {}

    @classmethod
    def of(cls, text: str) -> tuple[list[str], ...]:
        """Words of each line."""
        lines = [cls._pieces(line) for line in text.splitlines()]
        if cls._tokenizer is None or len(cls._words) > cls.LARGEST:
            with _without("torch"):
                import spacy
            cls._tokenizer = spacy.blank("en").tokenizer
            cls._tokenizer.vocab.lex_attr_getters = {}  # shapes, suffixes…: a third of the time, for nothing
            cls._words.clear()
        known = cls._words
        unknown = {piece: None for line in lines for piece in line if piece not in known}
        if unknown:
            cls._learn(list(unknown))
        return tuple([word for piece in line for word in known[piece]] for line in lines)

    @classmethod
    def _pieces(cls, line: str) -> list[str]:
        pieces = line.split()
        if len(line) <= cls.LONGEST or max(map(len, pieces), default=0) <= cls.LONGEST:
            return pieces
        return [piece[start : start + cls.LONGEST] for piece in pieces for start in range(0, len(piece), cls.LONGEST)]

    @classmethod
    def _learn(cls, pieces: list[str]) -> None:
        """Split pieces in one go; a line break between them, which is a token, keeps them apart."""
        special, hard = cls._tokenizer.rules, []
        for piece in pieces:
            plain = cls.PLAIN.fullmatch(piece)
            parts = tuple(filter(None, plain.groups())) if plain else ()
            if plain and piece not in special and parts[0] not in special:
                cls._words[piece] = parts
            else:
                hard.append(piece)
        if not hard:
            return
        words: list[str] = []
        rest = iter(hard)
        for token in cls._tokenizer("\n".join(hard)):
            if (text := token.text) == "\n":
                cls._words[next(rest)] = tuple(words)
                words = []
            else:
                words.append(text)
        cls._words[next(rest)] = tuple(words)


@lru_cache(1)
def _punctuation() -> tuple[frozenset[str], tuple[str, ...]]:
    from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION

    return frozenset(PUNCTUATION_SET), tuple(TERMINAL_PUNCTUATION)


@lru_cache(1)
def _sentence_ends() -> frozenset[str]:
    with _without("torch"):
        from spacy.pipeline import Sentencizer

    return frozenset(Sentencizer().punct_chars)


@lru_cache(2)
def words_by_line(text: str) -> tuple[list[str], ...]:
    """Words of each line. The most expensive step but extraction, hence done once: the blocks of one process share it."""
    return _Words.of(text)


def words_of(text: str) -> list[str]:
    return [word for line in words_by_line(text) for word in line]


def _duplicates(items: list[str]) -> tuple[int, int]:
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


class Grams:
    """The word n-grams that occur more than once in a text, as places and numbers; equal n-grams have equal numbers.

    Each length is made from the one before: an n-gram can only recur where the two (n-1)-grams in it do, so that little is
    left to look at after the first lengths.
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


def judge(measures: Iterable[Measure], measured: dict[str, float] | None) -> Drop | None:
    """The first rule that a document breaks; measures after it are not taken. Notes the values in `measured`."""
    for name, value, reason in measures:
        if measured is not None:
            measured[name] = round(value, 4)
        if reason:
            return Drop(reason, value)
    return None


def _at_most(name: str, value: float, limit: float) -> Measure:
    return name, value, name if value > limit else None


def _between(name: str, value: float, low: float, high: float, reasons: tuple[str, str]) -> Measure:
    return name, value, reasons[0] if value < low else reasons[1] if value > high else None


def repetition(
    text: str, words: list[str], limits: RepetitionParams, measured: dict[str, float] | None = None
) -> Drop | None:
    """Gopher's repetition rules."""
    return judge(_repetition(text, words, limits), measured) if text else Drop("empty")


def _repetition(text: str, words: list[str], limits: RepetitionParams) -> Iterator[Measure]:
    size = len(text)
    paragraphs = _PARAGRAPHS.split(text.strip())
    count, characters = _duplicates(paragraphs)
    yield _at_most("duplicate_paragraphs", count / len(paragraphs), limits.duplicate_paragraphs)
    yield _at_most("duplicate_paragraph_characters", characters / size, limits.duplicate_paragraph_characters)
    lines = _LINES.split(text)
    count, characters = _duplicates(lines)
    yield _at_most("duplicate_lines", count / len(lines), limits.duplicate_lines)
    yield _at_most("duplicate_line_characters", characters / size, limits.duplicate_line_characters)
    grams = Grams(words)
    for n, limit in limits.top_grams:
        yield _at_most(f"top_{n}_gram", grams.top_characters(n) / size, limit)
    for n, limit in limits.duplicate_grams:
        value = grams.duplicate_characters(n) / size
        yield _at_most(f"duplicate_{n}_grams", value, limit)
        if value == 0.0:  # no n-gram occurs twice, so no longer one does
            break


def gopher(text: str, words: list[str], limits: GopherParams, measured: dict[str, float] | None = None) -> Drop | None:
    """Gopher's quality rules."""
    return judge(_gopher(text, words, limits), measured)


def _gopher(text: str, words: list[str], limits: GopherParams) -> Iterator[Measure]:
    punctuation, _ = _punctuation()
    real = [word for word in words if word.isalpha() or not punctuation.issuperset(word)]
    yield _between("gopher_words", len(real), max(1, limits.min_words), limits.max_words, ("short", "long"))
    length = sum(map(len, real)) / len(real)
    yield _between(
        "mean_word_length", length, limits.min_word_length, limits.max_word_length, ("short_words", "long_words")
    )
    yield _at_most("hashes", text.count("#") / len(words), limits.symbols)
    yield _at_most("ellipses", (text.count("...") + text.count("…")) / len(words), limits.symbols)
    lines = text.splitlines()
    bullets = sum(line.lstrip().startswith(("•", "-")) for line in lines)
    yield _at_most("bullet_lines", bullets / len(lines), limits.bullet_lines)
    ellipses = sum(line.rstrip().endswith(("...", "…")) for line in lines)
    yield _at_most("ellipsis_lines", ellipses / len(lines), limits.ellipsis_lines)
    value = sum(word.isalpha() or any(map(str.isalpha, word)) for word in words) / len(words)
    yield "alphabetic_words", value, "alphabetic_words" if value < limits.alphabetic_words else None
    found = len(STOP_WORDS.intersection(words))
    yield "stop_words", found, "stop_words" if found < limits.stop_words else None


def _sentences(words: list[str]) -> int:
    """How many sentences spaCy's sentencizer finds: a new one starts after end marks, at the next token that is none."""
    ends, count, ended = _sentence_ends(), 1, False
    for token in words:
        if token in ends:
            ended = True
        elif ended and not _is_punctuation(token):
            count += 1
            ended = False
    return count


@lru_cache(4096)
def _is_punctuation(token: str) -> bool:
    import unicodedata

    return all(unicodedata.category(c).startswith("P") for c in token)


def c4(
    text: str, by_line: tuple[list[str], ...], limits: C4Params, measured: dict[str, float] | None = None
) -> tuple[str, int] | Drop:
    """C4's rules. Returns the text of the lines that stay, and their number of words; `by_line` are words line by line."""
    kept: list[str] = []
    sentences = count = 0
    for original, tokens in zip(text.splitlines(), by_line, strict=True):
        line = original.strip()
        words = line.split()
        if any(len(word) > limits.max_word_length for word in words):
            continue
        if limits.citations:
            line = _CITATION.sub("", line)
        if limits.terminal_punctuation and (not line.endswith(_ENDS) or line.endswith("...")):
            continue
        if len(words) < limits.min_words_per_line:
            continue
        lower = line.lower()
        if limits.lorem_ipsum and "lorem ipsum" in lower:
            return Drop("lorem_ipsum")
        if limits.javascript and "javascript" in lower:
            continue
        if limits.curly_bracket and "{" in line:
            return Drop("curly_bracket")
        if limits.policy and any(phrase in lower for phrase in POLICY):
            continue
        sentences += _sentences(tokens)
        count += len(tokens)
        kept.append(line)
    few = "few_sentences" if sentences < limits.min_sentences else None
    if drop := judge([("sentences", sentences, few)], measured):
        return drop
    return "\n".join(kept).strip(), count


def fineweb(text: str, word_count: int, limits: FineWebParams, measured: dict[str, float] | None = None) -> Drop | None:
    """FineWeb's rules."""
    lines = [line for line in text.split("\n") if line.strip()]
    return judge(_fineweb(text, lines, word_count, limits), measured) if lines else Drop("empty")


def _fineweb(text: str, lines: list[str], word_count: int, limits: FineWebParams) -> Iterator[Measure]:
    _, ends = _punctuation()
    value = sum(line.endswith(ends) for line in lines) / len(lines)
    yield "line_punctuation", value, "line_punctuation" if value < limits.line_punctuation else None
    short = sum(len(line) <= limits.short_line_length for line in lines)
    yield _at_most("short_lines", short / len(lines), limits.short_lines)
    size = len(text.replace("\n", ""))
    yield _at_most("duplicate_characters", _duplicates(lines)[1] / size, limits.duplicate_characters)
    yield _at_most("new_lines", text.count("\n") / max(1, word_count), limits.new_lines)
