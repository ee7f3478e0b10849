"""What a conversation is made of: turns with what any right answer must hold, and what there is to talk about.

A segment is a list of parts; between two parts other segments may stand, so that something said early is asked for
later. The same makers word training (`train`) and exams (`dev`, `test`), which share no form of asking.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from crawl2chat.chat.identity import Identity
from crawl2chat.tinyweb import skills
from crawl2chat.tinyweb.talk.phrasing import forms, pick, spoken


@dataclass(frozen=True)
class Turn:
    """What the user says, the answer to learn from, and how any answer is judged.

    An answer must hold all regular expressions of `expect` and none of `reject`; its last number must be `number`.
    """

    say: str
    answer: str
    kind: str
    expect: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()
    number: str | None = None
    # Name and arguments of the call that leads to the answer, and the tool's result.
    call: tuple[str, str, str] | None = None
    # The answer in one word, where it has one.
    word: str = ""


Segment = list[list[Turn]]


@dataclass(frozen=True)
class Subject:
    """An entity and those of its facts that may be asked for, by relation."""

    name: str
    kind: str
    facts: dict[str, str]


@dataclass
class Topics:
    """What there is to talk about, and in whose words: those of `split`."""

    split: str
    subjects: Sequence[Subject]
    # Makes a name of a kind (town, person) that nothing speaks of.
    new_name: Callable[[str], str]
    identity: Identity
    # What a tool answers: (name, arguments) → result.
    tool: Callable[[str, str], str]
    # Entities with facts that are not known by heart, and must be looked up.
    vague: Sequence[Subject] = ()
    # Passages that a search finds; without it nobody searches.
    search: Callable[[str], Sequence[str]] | None = None
    # How much more often than `MAKERS` says some kinds are talked about.
    often: Mapping[str, float] = field(default_factory=dict)
    # Share of lines that are typed without care; pages are edited, chats are not.
    careless: float = 1.0

    def say(self, block: str, rng: Random, keep: Sequence[str] = (), **slots: object) -> str:
        """A form of the block with its slots filled, as somebody types it."""
        return self.typed(pick(block, self.split, rng).format(**slots), rng, keep)

    def typed(self, text: str, rng: Random, keep: Sequence[str] = ()) -> str:
        return spoken(text, rng, tuple(keep)) if rng.random() < self.careless else text

    def word(self, block: str, rng: Random) -> str:
        """A word of a list of things that anybody may talk about."""
        return pick(block, self.split, rng)

    @property
    def people(self) -> tuple[str, ...]:
        """First names: those that pages use, and others."""
        return (*skills.NAMES, *forms("first names", self.split))

    @property
    def things(self) -> tuple[str, ...]:
        """What is bought and counted."""
        return (*skills.THINGS, *forms("things", self.split))

    def subject(self, rng: Random, *relations: str) -> Subject:
        """One that has all of these facts, or any where none are named; kinds in equal numbers."""
        fitting = [s for s in self.subjects if all(name in s.facts for name in relations)]
        kinds = sorted({s.kind for s in fitting})
        kind = rng.choice(kinds)
        return rng.choice([s for s in fitting if s.kind == kind])


SENTENCES = {
    "capital": "The capital of {e} is {a}.",
    "continent": "{e} is a country in {a}.",
    "country": "{e} is a town in {a}.",
    "goods": "{e} is famous for its {a}.",
    "sight": "The best known sight of {e} is the {a}.",
    "job": "{e} works as a {a}.",
    "home": "{e} lives in {a}.",
    "music": "{e} plays the {a}.",
}
"""How a fact is answered: one of the sentences in which pages state it."""

DECLINES = (
    r"(do not|don't|does not|cannot|can't|can not|didn't|did not) (know|look|tell|say|have|find|answer)|"
    r"no idea|never (heard|read)|not sure|unknown to me|nothing about"
)
PRIVATE = r"private|personal|(do not|don't|cannot|can't|not) (give|share|tell|hand|know)"


def whole(text: str) -> str:
    """A regular expression for a text as whole words."""
    return rf"(?<!\w){re.escape(text)}(?!\w)"


def one(*turns: Turn) -> Segment:
    return [list(turns)]
