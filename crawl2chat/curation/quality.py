"""The quality rules of Gopher, C4 and FineWeb as plain functions over words that are tokenized once per document.

In: text (and its words). Out: None when nothing speaks against the document, else a `Drop` with reason and measured
value. Every value is noted under the name of its measure. Rules and their order follow datatrove 0.10 so closely that
decisions are equal. Sources: Rae et al. 2021 (Gopher, table A1), Raffel et al. 2020 (C4), Penedo et al. 2024 (FineWeb).
"""

import re
from collections.abc import Iterator

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from crawl2chat.curation.drop import Drop
from crawl2chat.curation.rules import Measure, at_most, between, count_repeated, judge
from crawl2chat.curation.words import count_sentences, punctuation
from crawl2chat.parameters import Params, Share

STOP_WORDS = frozenset({"the", "be", "to", "of", "and", "that", "have", "with"})
POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
SENTENCE_ENDS = (".", "?", "!", '"', "'")


class GopherParams(Params):
    """Gopher's quality rules."""

    min_words: NonNegativeInt
    max_words: PositiveInt
    min_word_length: NonNegativeFloat
    max_word_length: NonNegativeFloat
    # Hashes or ellipses per word.
    symbols: NonNegativeFloat
    bullet_lines: Share
    ellipsis_lines: Share
    alphabetic_words: Share
    stop_words: NonNegativeInt

    @model_validator(mode="after")
    def _ordered(self) -> "GopherParams":
        for name in ("words", "word_length"):
            low, high = getattr(self, f"min_{name}"), getattr(self, f"max_{name}")
            if low > high:
                raise ValueError(f"min_{name} must not be above max_{name}, but {low:g} is above {high:g}")
        return self


class C4Params(Params):
    """C4's rules: lines are removed, then documents with too few sentences."""

    # FineWeb leaves this rule out: alone it removes 30 %.
    terminal_punctuation: bool
    min_sentences: NonNegativeInt
    min_words_per_line: NonNegativeInt
    max_word_length: PositiveInt
    citations: bool
    lorem_ipsum: bool
    javascript: bool
    curly_bracket: bool
    policy: bool


class FineWebParams(Params):
    """FineWeb's three rules on lines, and the one on lists."""

    line_punctuation: Share
    short_lines: Share
    short_line_length: NonNegativeInt
    # The paper's value; datatrove's code has 0.01.
    duplicate_characters: Share
    new_lines: NonNegativeFloat


def gopher(text: str, words: list[str], limits: GopherParams, measured: dict[str, float] | None = None) -> Drop | None:
    """Gopher's quality rules."""
    return judge(gopher_measures(text, words, limits), measured)


def gopher_measures(text: str, words: list[str], limits: GopherParams) -> Iterator[Measure]:
    marks, _ = punctuation()
    real = [word for word in words if word.isalpha() or not marks.issuperset(word)]
    yield between("gopher_words", len(real), max(1, limits.min_words), limits.max_words, ("short", "long"))
    length = sum(map(len, real)) / len(real)
    yield between(
        "mean_word_length", length, limits.min_word_length, limits.max_word_length, ("short_words", "long_words")
    )
    yield at_most("hashes", text.count("#") / len(words), limits.symbols)
    yield at_most("ellipses", (text.count("...") + text.count("…")) / len(words), limits.symbols)
    lines = text.splitlines()
    bullets = sum(line.lstrip().startswith(("•", "-")) for line in lines)
    yield at_most("bullet_lines", bullets / len(lines), limits.bullet_lines)
    ellipses = sum(line.rstrip().endswith(("...", "…")) for line in lines)
    yield at_most("ellipsis_lines", ellipses / len(lines), limits.ellipsis_lines)
    value = sum(word.isalpha() or any(map(str.isalpha, word)) for word in words) / len(words)
    yield "alphabetic_words", value, "alphabetic_words" if value < limits.alphabetic_words else None
    found = len(STOP_WORDS.intersection(words))
    yield "stop_words", found, "stop_words" if found < limits.stop_words else None


def c4(
    text: str, by_line: tuple[list[str], ...], limits: C4Params, measured: dict[str, float] | None = None
) -> tuple[str, int] | Drop:
    """C4's rules: text and number of words of the lines that stay. `by_line` are the words of each line."""
    kept: list[str] = []
    sentences = count = 0
    for original, tokens in zip(text.splitlines(), by_line, strict=True):
        line = original.strip()
        words = line.split()
        if any(len(word) > limits.max_word_length for word in words):
            continue
        if limits.citations:
            line = CITATION.sub("", line)
        if limits.terminal_punctuation and (not line.endswith(SENTENCE_ENDS) or line.endswith("...")):
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
        sentences += count_sentences(tokens)
        count += len(tokens)
        kept.append(line)
    few = "few_sentences" if sentences < limits.min_sentences else None
    if drop := judge([("sentences", sentences, few)], measured):
        return drop
    return "\n".join(kept).strip(), count


def fineweb(text: str, word_count: int, limits: FineWebParams, measured: dict[str, float] | None = None) -> Drop | None:
    """FineWeb's rules."""
    lines = [line for line in text.split("\n") if line.strip()]
    return judge(fineweb_measures(text, lines, word_count, limits), measured) if lines else Drop("empty")


def fineweb_measures(text: str, lines: list[str], word_count: int, limits: FineWebParams) -> Iterator[Measure]:
    _, ends = punctuation()
    value = sum(line.endswith(ends) for line in lines) / len(lines)
    yield "line_punctuation", value, "line_punctuation" if value < limits.line_punctuation else None
    short = sum(len(line) <= limits.short_line_length for line in lines)
    yield at_most("short_lines", short / len(lines), limits.short_lines)
    size = len(text.replace("\n", ""))
    yield at_most("duplicate_characters", count_repeated(lines)[1] / size, limits.duplicate_characters)
    yield at_most("new_lines", text.count("\n") / max(1, word_count), limits.new_lines)
