"""From blocks of wordings to sentences: the forms of a split, alternatives, and the ways in which people type.

In: the files of `wordings/`. Behind a line `## name` stand the forms of a block, one a line, `(a|b)` for alternatives,
`{e}` and the like for slots. Each form belongs to one split: lines that begin with `~` are kept for `dev`, with `!` for
`test`, all others are for `train`, which pages and conversations draw from. So an exam asks in words that nobody
trained on. Blocks of answers are the same for every split.
"""

import re
from functools import cache
from pathlib import Path
from random import Random

FILES = (
    "wordings/claims.txt",
    "wordings/facts.txt",
    "wordings/letters.txt",
    "wordings/numbers.txt",
    "wordings/social.txt",
    "wordings/systems.txt",
    "wordings/told.txt",
    "wordings/words.txt",
)

MARKS = {"~": "dev", "!": "test"}
CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
OPENINGS = """Hi, |Hello, |Hey, |hi |hello |hey |ok, |ok so |And |and |So |so |Now, |well, |Well, |Please, |please |
um, |oh, |hey there, |Hi there, |excuse me, |Excuse me, |sorry, |Sorry, |quick question: |A question: |
question: |one question, |Another question: |one more, |next one: |just wondering, |I was wondering, |
I wonder, |I am curious, |curious: |my friend asks: |my sister wants to know, |my teacher asks, |
my boss asks me, |for my homework: |for a quiz: |help me out, |can you help me, |could you help me? |
be so kind, |tell me, |Tell me, |say, |let me ask, |listen, |bro, |dude, |mate, |my dear, |
dear assistant, |alright, |right, |yes, |no, |wait, |actually, |by the way, |btw, |I have to know this: |
I forgot, |I always forget, |maybe you know, |do you happen to know, |you know what, |first, |then, |
again, |also, |but |look, |here is one for you: |try this: |an easy one: |a hard one: |I need this: |"""
CLOSINGS = """ please| thanks|, thanks| thank you|, please| pls| plz| for me| for me please| today| now| then| again|
 mate| bro| my friend| dear| lol| haha| :)|, I wonder|, just curious|, for my homework|, for a quiz|
, quick|, be quick|, ok|, right|, do you know|, if you know|, if you can|, any idea|, no idea myself|
, I forgot|, tell me|, can you tell me|, help|, my friend asks|, it is important|, I need it| or so|
 or what| by any chance| anyway| really| exactly| actually|"""
LITTLE_WORDS = re.compile(
    r"\b(what|is|the|of|does|do|which|a|an|are|in|can|you|please|how|it|to|my|me|was|there)\b ?", re.I
)


@cache
def blocks() -> dict[str, list[str]]:
    """Every block's lines, with their marks."""
    text = "".join((Path(__file__).parent / name).read_text(encoding="utf-8") for name in FILES)
    parts = [part.strip().splitlines() for part in re.split(r"^## ", text, flags=re.M)[1:]]
    return {name: [line for line in lines if line] for name, *lines in parts}


@cache
def forms(block: str, split: str) -> tuple[str, ...]:
    """The lines of a block that belong to a split."""
    return tuple(line.lstrip("~! ") for line in blocks()[block] if MARKS.get(line[0], "train") == split)


def answer(block: str, rng: Random, **slots: object) -> str:
    """One of a block's answers, its slots filled."""
    return rng.choice(forms(block, "train")).format(**slots)


def pick(block: str, split: str, rng: Random) -> str:
    """One form of a split, its alternatives decided."""
    return decided(rng.choice(forms(block, split)), rng)


def decided(form: str, rng: Random) -> str:
    """A form with one of each of its alternatives."""
    while found := CHOICE.search(form):
        form = form[: found.start()] + rng.choice(found[1].split("|")) + form[found.end() :]
    return form


def spoken(text: str, rng: Random, keep: tuple[str, ...] = ()) -> str:
    """A sentence as somebody types it: as it is, or in lower case, in a hurry, with other words around it, with a typo.

    The words in `keep`, normally names, stay as they are.
    """
    if rng.random() < 0.45:
        return text
    if (draw := rng.random()) < 0.35:
        text = lowered(text, keep).rstrip("?.!")
    elif draw < 0.5:
        text = text.rstrip("?.!")
    elif draw < 0.58:
        text = shortened(text, rng, keep)
    if (draw := rng.random()) < 0.2:
        opening = rng.choice(OPENINGS.replace("\n", "").split("|"))
        text = opening + (text if opening.rstrip()[-1:] in ("?", ":", "") else lowered_first(text, keep))
    elif draw < 0.36:
        text = text.rstrip("?.!") + rng.choice(CLOSINGS.replace("\n", "").split("|")) + rng.choice(("", "", "?", "."))
    return mistyped(text, rng, keep) if rng.random() < 0.08 else text


def shortened(text: str, rng: Random, keep: tuple[str, ...] = ()) -> str:
    """As somebody in a hurry types: most little words are left out."""
    if any(LITTLE_WORDS.search(f"{word} ") for word in keep):
        return text
    found = LITTLE_WORDS.sub(lambda match: "" if rng.random() < 0.7 else match[0], text).rstrip("?.! ")
    return found if len(found.split()) > 1 else text


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
