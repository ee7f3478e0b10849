"""From blocks of wordings to sentences: the forms of a split, alternatives, and the ways in which people type."""

import re
from functools import cache
from random import Random

MARKS = {"~": "dev", "!": "test"}
CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
GREETED = ("Hi, ", "Hello, ", "Hey, ", "hi ", "Hello! ", "Good day. ", "ok, ", "And ", "So ", "Now, ", "Please: ")
CLOSED = (" please", " Thanks.", " thanks", " Please tell me.", " Thank you.")


@cache
def forms(block: str, split: str) -> tuple[str, ...]:
    """The lines of a block that belong to a split."""
    lines = [line.strip() for line in block.strip().splitlines() if line.strip()]
    return tuple(line.lstrip("~! ") for line in lines if MARKS.get(line[0], "train") == split)


def pick(block: str, split: str, rng: Random) -> str:
    """One form of a split, its alternatives decided."""
    text = rng.choice(forms(block, split))
    while found := CHOICE.search(text):
        text = text[: found.start()] + rng.choice(found[1].split("|")) + text[found.end() :]
    return text


def spoken(text: str, rng: Random, keep: tuple[str, ...] = ()) -> str:
    """A sentence as somebody types it: as it is, or in lower case, without its mark, with a greeting, with a typo.

    The words in `keep`, normally names, stay as they are.
    """
    draw = rng.random()
    if draw < 0.45:
        return text
    if draw < 0.6:
        return lowered(text, keep).rstrip("?.!")
    if draw < 0.7:
        return text.rstrip("?.!")
    if draw < 0.8:
        opening = rng.choice(GREETED)
        return opening + (lowered_first(text, keep) if opening[-2:] != "! " and opening[-2:] != ". " else text)
    if draw < 0.88:
        return (text.rstrip("?.!") if (end := rng.choice(CLOSED))[1].islower() else text) + end
    return mistyped(text, rng, keep)


def lowered(text: str, keep: tuple[str, ...] = ()) -> str:
    """In lower case but for the words in `keep`."""
    text = text.lower()
    for word in keep:
        text = text.replace(word.lower(), word)
    return text


def lowered_first(text: str, keep: tuple[str, ...] = ()) -> str:
    """With a small first letter, unless it begins with a word of `keep` or with I."""
    if text.startswith((*keep, "I ", "I'")):
        return text
    return text[:1].lower() + text[1:]


def mistyped(text: str, rng: Random, keep: tuple[str, ...] = ()) -> str:
    """With one letter of an ordinary word left out, doubled or swapped with its neighbour."""
    kept = {part for word in keep for part in word.split()}
    places = [
        match for match in re.finditer(r"[A-Za-z]{4,}", text) if match[0] not in kept and not match[0][0].isupper()
    ]
    if not places:
        return text
    word = rng.choice(places)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    change = rng.choice(("drop", "double", "swap"))
    if change == "swap":
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + (text[at] * 2 if change == "double" else "") + text[at + 1 :]
