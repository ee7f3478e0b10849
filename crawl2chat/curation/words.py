"""Words and sentences of a text as spaCy's blank English tokenizer has them, each piece of it split once."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import ClassVar


@contextmanager
def without_module(module: str) -> Iterator[None]:
    """Hide an installed module from an import: spaCy would load torch, 2 s and 250 MB in every worker, for nothing."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


class Words:
    """Words of spaCy's blank English tokenizer, each piece between white space split only once.

    spaCy cuts at white space first and looks at every piece alone, so that the answer for a piece can be kept: less
    than half the time on the first pages, ever less on later ones. Both memories are emptied when they get large.
    """

    # Pieces, about 100 MB.
    LARGEST = 400_000
    # Characters; longer pieces are cut: spaCy's time grows with the cube of a row of brackets.
    LONGEST = 300
    # Most of the pieces that are new need no tokenizer: letters that are no special case, with an end mark or without.
    PLAIN = re.compile(r"([A-Za-z]+)([,;:!?]?)|([A-Za-z]*[a-z])(\.)")
    _tokenizer = None
    _words: ClassVar[dict[str, tuple[str, ...]]] = {}

    @classmethod
    def of(cls, text: str) -> tuple[list[str], ...]:
        """Words of each line."""
        lines = [cls._pieces(line) for line in text.splitlines()]
        if cls._tokenizer is None or len(cls._words) > cls.LARGEST:
            with without_module("torch"):
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


@lru_cache(2)
def words_by_line(text: str) -> tuple[list[str], ...]:
    """Words of each line. Only extraction costs more, so the blocks of one process share the answer."""
    return Words.of(text)


def words_of(text: str) -> list[str]:
    """All words in one list."""
    return [word for line in words_by_line(text) for word in line]


@lru_cache(1)
def punctuation() -> tuple[frozenset[str], tuple[str, ...]]:
    """Marks of punctuation, and those that end a sentence."""
    from datatrove.utils.text import PUNCTUATION_SET, TERMINAL_PUNCTUATION

    return frozenset(PUNCTUATION_SET), tuple(TERMINAL_PUNCTUATION)


@lru_cache(1)
def sentence_ends() -> frozenset[str]:
    with without_module("torch"):
        from spacy.pipeline import Sentencizer

    return frozenset(Sentencizer().punct_chars)


def count_sentences(words: list[str]) -> int:
    """How many sentences spaCy's sentencizer finds: a new one starts at the first other token after end marks."""
    ends, count, ended = sentence_ends(), 1, False
    for token in words:
        if token in ends:
            ended = True
        elif ended and not is_punctuation(token):
            count += 1
            ended = False
    return count


@lru_cache(4096)
def is_punctuation(token: str) -> bool:
    import unicodedata

    return all(unicodedata.category(c).startswith("P") for c in token)
