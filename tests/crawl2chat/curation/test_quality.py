"""The quality rules: known values, and the same decisions as datatrove's own filters."""

import pytest

from crawl2chat.curation import quality
from crawl2chat.curation.drop import Drop
from crawl2chat.curation.quality import C4Params, FineWebParams, GopherParams
from crawl2chat.curation.repetition import Grams, RepetitionParams, repetition
from crawl2chat.curation.words import Words, words_by_line, words_of
from stages.settings import tuned

GOOD = (
    "The old mill by the river had been closed for many years before anybody thought of opening it again. "
    "A young baker, who had come to the valley with his family, asked the council for the key. "
    "They gave it to him on the condition that he would repair the roof and keep the wheel in motion. "
    "It took him two winters to do it. Since then the smell of fresh bread has met every traveller at the bridge."
)


def test_top_gram_counts_its_characters_and_spaces() -> None:
    grams = Grams("a b a b a b c d".split())
    assert grams.top_characters(2) == 3 * 3  # "a b" three times
    assert grams.top_characters(3) == 5 * 2  # "a b a" and "b a b" twice: the first one counts, both are as long


def test_duplicate_grams_count_each_stretch_once() -> None:
    assert Grams("one two three one two three".split()).duplicate_characters(3) == len("onetwothree")
    assert Grams("a a a a a a".split()).duplicate_characters(2) == 4  # seen at 0, then 1-2 and 3-4 repeat it
    assert Grams("a b c d".split()).duplicate_characters(2) == 0
    assert Grams(["alone"]).duplicate_characters(5) == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("\n\n".join(["Same."] * 5 + ["Other one."]), "duplicate_paragraphs"),
        ("\n".join(["Same line."] * 3 + [f"Line {n} differs." for n in range(4)]), "duplicate_line_characters"),
        ("red green " * 40, "top_2_gram"),
        (GOOD, None),
    ],
)
def test_repetition_names_the_first_broken_rule(text: str, reason: str | None) -> None:
    drop = repetition(text, words_of(text), tuned(RepetitionParams, "real"))
    assert (drop.reason if drop else None) == reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Too few words.", "short"),
        ("abcdefghijklmnop " * 60, "long_words"),
        ("a " * 60, "short_words"),
        ("word # " * 60, "hashes"),
        ("\n".join(f"- item {n} of the list that we have" for n in range(20)), "bullet_lines"),
        ("\n".join(f"It goes on and on like number {n} ..." for n in range(20)), "ellipses"),
        ("12345 " * 60, "alphabetic_words"),
        ("apple orange pear " * 20, "stop_words"),
        (GOOD, None),
    ],
)
def test_gopher_names_the_first_broken_rule(text: str, reason: str | None) -> None:
    drop = quality.gopher(text, words_of(text), tuned(GopherParams, "real", max_words=100_000, alphabetic_words=0.8))
    assert (drop.reason if drop else None) == reason


def c4(text: str, **limits: object) -> tuple[str, int] | Drop:
    return quality.c4(text, words_by_line(text), tuned(C4Params, **limits))


def test_c4_removes_lines_and_keeps_the_rest() -> None:
    text = (
        "Menu\n" + GOOD + "\nPlease enable javascript now.\nWe use cookies on this site.\nA last line[12] stays here."
    )
    kept, words = c4(text)
    assert kept == GOOD + "\nA last line stays here."
    assert words == len(words_of(GOOD)) + len(words_of("A last line[12] stays here."))


@pytest.mark.parametrize(
    ("text", "drop"),
    [
        (GOOD + "\nLorem ipsum dolor sit amet.", Drop("lorem_ipsum")),
        (GOOD + "\nif (a) { return b }", Drop("curly_bracket")),
        ("One sentence is here. And a second one.", Drop("few_sentences", 2)),
    ],
)
def test_c4_drops_documents(text: str, drop: Drop) -> None:
    assert c4(text) == drop


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n".join(["A line without an end that is long enough"] * 9 + ["One."]), "line_punctuation"),
        ("\n".join([f"Short {n}." for n in range(9)]), "short_lines"),
        ("\n".join([GOOD, GOOD]), "duplicate_characters"),
        (GOOD, None),
    ],
)
def test_fineweb_names_the_first_broken_rule(text: str, reason: str | None) -> None:
    drop = quality.fineweb(text, len(words_of(text)), tuned(FineWebParams))
    assert (drop.reason if drop else None) == reason


def test_same_decisions_as_datatrove() -> None:
    """Every rule above, mutated: the stock filters keep and drop the same texts and leave the same text."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    stock = [
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(char_duplicates_ratio=0.1),
    ]
    sentences = GOOD.replace(". ", ".|").split("|")
    texts = [GOOD, GOOD * 2, GOOD + "\n" + GOOD, "\n".join(sentences), " ".join(sentences * 3), GOOD + " ... " * 30]
    texts += [
        GOOD.replace("e", "3"),
        GOOD + "\n\n" + "- item\n" * 30,
        "red green blue " * 40,
        GOOD + "\nC'est l'été! (Sic?)\n",
    ]
    texts += ["\n".join(sentences[:n]) + '\nWhat? No! Why?! He said "Go." Then left.' for n in range(1, 5)]
    for text in texts:
        document, dropped = Document(text, "x"), False
        for block in stock:
            result = block.filter(document)
            if result is not True:
                dropped = True
                break
        ours = _ours(text)
        assert (ours is None) == dropped, text[:80]
        assert dropped or ours == document.text


def _ours(text: str) -> str | None:
    if repetition(text, words_of(text), tuned(RepetitionParams, "real")) or quality.gopher(
        text, words_of(text), tuned(GopherParams, "real", max_words=100_000, alphabetic_words=0.8)
    ):
        return None
    result = c4(text)
    if isinstance(result, Drop) or quality.fineweb(*result, tuned(FineWebParams)):
        return None
    return result[0]


PIECES = (
    "don't cannot Gonna U.S. Dr. etc. e.g., (well-known) 10km 3,000.50 $5m C++ A. PhD. it's 'tis :-) ;) John's, end.\" "
    "http://a.b/c?d=e&f=g me@x.org --- ... …so what?! 12:30pm rock'n'roll naïve “quoted” résumé. 日本語。 I'm I. WORD. "
    "WORD, "
    "a.m. a.m., N.Y. and/or x=y [12] #tag @you 50% -5 5°C ¿qué? l'été &amp; ok; yes: no! Im dont Nov. Nov"
)


def test_words_are_spacys_in_whatever_order_they_come() -> None:
    import random

    import spacy

    tokenizer, pieces = spacy.blank("en").tokenizer, PIECES.split() * 2
    for seed in range(20):
        random.Random(seed).shuffle(pieces)
        if seed % 5 == 0:
            Words._words.clear()
        lines = [" ".join(pieces[:30]), "", "\t" + "  ".join(pieces[30:50]) + " ", " ".join(pieces[50:])]
        expected = [[token.text for token in tokenizer(line) if token.text.strip()] for line in lines]
        assert list(words_by_line("\n".join(lines))) == expected


def test_memory_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Words, "LARGEST", 100)
    for start in range(0, 1000, 50):
        text = " ".join(f"word{n}" for n in range(start, start + 50))
        assert words_of(text) == text.split()
    assert len(Words._words) <= 150


def test_a_long_row_of_brackets_ends() -> None:
    """spaCy alone needs minutes for each of these."""
    for row in ("(" * 20_000, ".," * 10_000, "\"'" * 10_000):
        words = words_of(f"Before {row} after.")
        assert "".join(words) == f"Before{row}after." and words[0] == "Before"


def test_gram_counts_are_datatroves() -> None:
    import random

    from datatrove.pipeline.filters.gopher_repetition_filter import find_all_duplicate, find_top_duplicate, get_n_grams

    for seed in range(60):
        rng = random.Random(seed)
        phrases = [[f"{rng.randrange(30)}x" for _ in range(rng.randrange(1, 15))] for _ in range(5)]
        words = [
            word
            for _ in range(rng.randrange(30))
            for word in (rng.choice(phrases) if rng.random() < 0.5 else [f"{rng.randrange(200)}y"])
        ]
        grams = Grams(words)
        for n in (2, 3, 4):
            every = get_n_grams(words, n)
            assert grams.top_characters(n) == (find_top_duplicate(every) if every else 0)
        for n in range(5, 11):
            assert grams.duplicate_characters(n) == find_all_duplicate(words, n)
