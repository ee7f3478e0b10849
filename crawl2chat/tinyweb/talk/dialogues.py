"""Conversations of one to eight turns: segments in a row or one inside the other, sometimes under a system prompt.

In: topics and a random generator. Out: `Dialogue`s, which become conversations to learn from (`messages`), threads on
pages (`thread`), or scripts of an exam (`crawl2chat.evaluation.dialogues`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from crawl2chat.chat.identity import ANSWERS
from crawl2chat.tinyweb.talk.kinds import MAKERS, available
from crawl2chat.tinyweb.talk.phrasing import pick
from crawl2chat.tinyweb.talk.social import greeting, small_talk, thanks
from crawl2chat.tinyweb.talk.topics import Topics, Turn, whole

LENGTHS = (1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 6, 7, 8)
SYSTEM_SHARE = 0.25
LANGUAGES = {
    "French": "Bonjour",
    "German": "Guten Tag",
    "Spanish": "Hola",
    "Italian": "Ciao",
    "Swedish": "Hej",
    "Dutch": "Hallo",
    "Latin": "Salve",
    "Polish": "Witaj",
}
PREFIXES = (
    "Ahoy,Well,Yes sir,Dear friend,My lord,Certainly,Listen,Hear me,Hooray,Captain,Indeed,Beep,Honestly,Sir,Madam,"
    "Please,With pleasure,Wonderful,Howdy,Aye aye"
).split(",")


@dataclass(frozen=True)
class Dialogue:
    """Turns of the user with their answers."""

    turns: list[Turn]
    system: str = ""

    def messages(self) -> list[dict[str, Any]]:
        """In the schema of chat data."""
        rows: list[dict[str, Any]] = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns:
            rows.append({"role": "user", "content": turn.say})
            if turn.call:
                name, arguments, result = turn.call
                rows.append(
                    {"role": "assistant", "content": "", "tool_calls": [{"name": name, "arguments": arguments}]}
                )
                rows.append({"role": "tool", "content": result})
            rows.append({"role": "assistant", "content": turn.answer})
        return rows

    def thread(self, first: str, second: str) -> str:
        """As two people talk on a page; who takes a tool says what it shows."""
        lines = []
        for turn in self.turns:
            shows = "{}({}) shows {}. ".format(*turn.call) if turn.call else ""
            lines.append(f"{first}: {turn.say} {second}: {shows}{turn.answer}")
        return " ".join(lines)


def dialogue(topics: Topics, rng: Random, about: str = "") -> Dialogue:
    """A conversation about one or several things; a segment of the kind `about` is among them."""
    length = rng.choice(LENGTHS)
    if about == "system_prompt" or not about and rng.random() < SYSTEM_SHARE:
        return under_system(topics, rng, length)
    return Dialogue(turns_of(topics, rng, length, about=about))


def turns_of(topics: Topics, rng: Random, length: int, kinds: Sequence[str] = (), about: str = "") -> list[Turn]:
    """About `length` turns. A segment's later parts come after others; small talk stands between."""
    names = available(topics, kinds or MAKERS)
    weights = [MAKERS[name][1] * topics.often.get(name, 1.0) for name in names]
    turns: list[Turn] = []
    waiting: list[list[Turn]] = []
    if length > 1 and rng.random() < 0.3:
        turns += greeting(topics, rng)[0]
    while len(turns) < length:
        if waiting and (rng.random() < 0.5 or len(turns) + len(waiting) >= length):
            turns += waiting.pop(0)
            continue
        name = rng.choices(names, weights)[0]
        if about and (rng.random() < 0.4 or about == "recall_first" or len(turns) + 1 >= length):
            name, about = about, ""
        if name == "recall_first" and turns:
            continue
        parts = MAKERS[name][0](topics, rng)
        turns += parts[0]
        waiting += parts[1:]
        if rng.random() < 0.12:
            turns += (small_talk if rng.random() < 0.4 else thanks)(topics, rng)[0]
    for part in waiting:
        turns += part
    if length > 2 and rng.random() < 0.2:
        turns += thanks(topics, rng)[0]
    return turns


def under_system(topics: Topics, rng: Random, length: int) -> Dialogue:
    """A system prompt that changes the name, the length, the beginning or the language of answers."""
    draw = rng.random()
    kind = "system_prompt"
    if draw < 0.35:
        name = topics.new_name("town") if rng.random() < 0.7 else rng.choice(topics.people)
        system = pick("system name", topics.split, rng).format(n=name)
        answer = ANSWERS["name"].format(name=name)
        who = Turn(topics.say("who name", rng), answer, kind, (whole(name),), (whole(topics.identity.name),))
        turns = [turn for turn in turns_of(topics, rng, length - 1) if turn.kind != "identity"] if length > 1 else []
        turns.insert(rng.randint(0, len(turns)), who)
    elif draw < 0.5:
        system = pick("system one word", topics.split, rng)
        found = turns_of(topics, rng, length + 1, ("fact", "fact", "small_sum", "yes_no", "decimals"))
        turns = [
            replace(turn, answer=f"{turn.word}.", kind=kind, expect=(rf"^\W*{whole(turn.word)}\W*$",), number=None)
            for turn in found
            if turn.word
        ]
    elif draw < 0.65:
        suffix = rng.choice(PREFIXES[::4] if topics.split == "test" else PREFIXES)
        system = pick("system suffix", topics.split, rng).format(p=suffix)
        turns = [
            replace(
                turn, answer=f"{turn.answer} {suffix}!", kind=kind, number=None, expect=(rf"{suffix}\W*$",), reject=()
            )
            for turn in turns_of(topics, rng, length)
        ]
    elif draw < 0.73:
        name = rng.choice(topics.people)
        system = pick("system call", topics.split, rng).format(n=name)
        turns = [
            replace(turn, answer=f"{name}: {turn.answer}", kind=kind, expect=(name, *turn.expect))
            for turn in turns_of(topics, rng, length)
        ]
    elif draw < 0.86:
        prefix = rng.choice(PREFIXES[::4] if topics.split == "test" else PREFIXES)
        shown = f'"{prefix}"' if rng.random() < 0.2 else prefix
        system = pick("system prefix", topics.split, rng).format(p=shown)
        turns = [
            replace(
                turn, answer=f"{prefix}! {turn.answer}", kind=kind, expect=(rf"^\W*{prefix}\b", *turn.expect), reject=()
            )
            for turn in turns_of(topics, rng, length)
        ]
    else:
        language = rng.choice(sorted(LANGUAGES))
        hello = LANGUAGES[language]
        system = pick("system language", topics.split, rng).format(l=language)
        greeted = replace(greeting(topics, rng)[0][0], answer=f"{hello}! How can I help you?", kind=kind)
        rest = [
            replace(turn, answer=f"{hello}! How can I help you?", kind=kind, expect=(whole(hello),))
            if turn.kind == "greeting"
            else turn
            for turn in (turns_of(topics, rng, length - 1) if length > 1 else [])
        ]
        turns = [replace(greeted, expect=(whole(hello),)), *rest]
    return Dialogue(turns, system)
