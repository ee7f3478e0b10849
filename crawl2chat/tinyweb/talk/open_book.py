"""Segments whose answer stands in the conversation: something told, a name, a text."""

import re
from collections.abc import Callable
from dataclasses import replace
from random import Random

from crawl2chat.tinyweb.talk.facts import ask_fact, fact_turn
from crawl2chat.tinyweb.talk.phrasing import answer, forms, pick
from crawl2chat.tinyweb.talk.topics import SENTENCES, Segment, Subject, Topics, Turn, one, whole
from crawl2chat.tinyweb.world import relation, values_of

MONTHS = "January,February,March,April,May,June,July,August,September,October,November,December".split(",")
KEPT = "key,bag,book,phone,hat,coat,purse,ring".split(",")
POSSESSIONS: dict[str, Callable[[Topics, Random], str]] = {
    "favourite colour": lambda t, rng: t.word("colours", rng),
    "car": lambda t, rng: t.word("colours", rng),
    "hat": lambda t, rng: t.word("colours", rng),
    "coat": lambda t, rng: t.word("colours", rng),
    "favourite food": lambda t, rng: t.word("foods", rng),
    "lucky number": lambda t, rng: str(rng.randint(1, 99)),
    "age": lambda t, rng: str(rng.randint(5, 90)),
    "room number": lambda t, rng: str(rng.randint(100, 999)),
    "code": lambda t, rng: str(rng.randint(1000, 9999)),
    "ticket number": lambda t, rng: str(rng.randint(100, 9999)),
    "home town": lambda t, rng: t.word("cities", rng) if rng.random() < 0.5 else t.new_name("town"),
    "sister": lambda t, rng: rng.choice(t.people),
    "brother": lambda t, rng: rng.choice(t.people),
    "teacher": lambda t, rng: t.new_name("person"),
    "birthday": lambda t, rng: f"in {rng.choice(MONTHS)}",
    "instrument": lambda t, rng: rng.choice(relation("music").values),
    "job": lambda t, rng: rng.choice(relation("job").values),
    **{thing: lambda t, rng: t.word("places", rng) for thing in KEPT},
    **{
        f"favourite {kind}": lambda t, rng: t.word(rng.choice(("small things", "colours", "foods", "first names")), rng)
        for kind in ("word", "thing", "song", "place", "game", "toy", "animal", "drink", "team")
    },
    **{
        f"{kind} number": lambda t, rng: str(rng.randint(2, 9999))
        for kind in ("house", "seat", "bus", "phone", "flight", "order", "secret")
    },
    **{kind: lambda t, rng: rng.choice(t.people) for kind in ("boss", "uncle", "aunt", "mother", "father", "wife")},
    **{kind: lambda t, rng: t.word("colours", rng) for kind in ("door", "bike", "house", "shirt", "dress", "bed")},
}


def open_book(topics: Topics, rng: Random) -> Segment:
    draw = rng.random()
    if draw < 0.3:
        return possession(topics, rng)
    if draw < 0.45:
        return anything_told(topics, rng)
    if draw < 0.55:
        return called(topics, rng)
    if draw < 0.7:
        value = topics.new_name("town") if rng.random() < 0.5 else rng.choice(topics.people)
        told = Turn(topics.say("my name", rng, [value], v=value), f"Nice to meet you, {value}.", "", (whole(value),))
        asked = Turn(topics.say("my name questions", rng), f"Your name is {value}.", "open_book", (whole(value),))
        return [[told], [replace(asked, word=value)]]
    return paragraph(topics, rng)


def possession(topics: Topics, rng: Random) -> Segment:
    thing = rng.choice(sorted(POSSESSIONS))
    value = POSSESSIONS[thing](topics, rng)
    told = Turn(topics.say("possessions", rng, [value], x=thing, v=value), answer("noted", rng), "")
    say = topics.say("possession questions", rng, x=thing)
    asked = Turn(say, f"Your {thing} is {value}.", "open_book", (whole(value),), word=value)
    return [[told], [asked]]


def anything_told(topics: Topics, rng: Random) -> Segment:
    """Something about the user or about others, asked for in other words."""
    lines = [line.split(" => ") for line in forms("told", topics.split)]
    tell, asks, reply = rng.choice(lines)
    values = {
        "t": topics.word("cities", rng) if rng.random() < 0.5 else topics.new_name("town"),
        "n": rng.choice(topics.people),
        "m": rng.choice(topics.people),
        "c": topics.word("colours", rng),
        "d": str(rng.randint(2, 60)),
        "f": topics.word("foods", rng),
        "p": topics.word("places", rng),
        "j": topics.word("jobs", rng) if rng.random() < 0.5 else rng.choice(relation("job").values),
        "i": rng.choice(relation("music").values),
        "x": topics.word("small things", rng),
        "b": rng.choice(MONTHS),
    }
    while values["m"] == values["n"]:
        values["m"] = rng.choice(topics.people)
    key = re.findall(r"\{(\w)\}", reply)[-1]
    keep = [values["t"], values["n"], values["m"], values["b"]]
    first = Turn(topics.typed(tell.format(**values), rng, keep), answer("noted", rng), "")
    ask = topics.typed(rng.choice(asks.split("/")).format(**values), rng, keep)
    value = values[key]
    return [[first], [Turn(ask, reply.format(**values), "open_book", (whole(value),), word=value)]]


def called(topics: Topics, rng: Random) -> Segment:
    pet = topics.word("named things", rng)
    value = topics.new_name("town") if rng.random() < 0.4 else topics.word("pet names", rng)
    told = Turn(topics.say("called", rng, [value], x=pet, v=value), answer("noted", rng), "")
    say = topics.say("called questions", rng, x=pet)
    asked = Turn(say, f"Your {pet} is called {value}.", "open_book", (whole(value),), word=value)
    return [[told], [asked]]


def paragraph(topics: Topics, rng: Random) -> Segment:
    """A text about somebody new, and questions that it answers; in one turn or later."""
    people = [made_up(topics, rng) for _ in range(rng.choice((1, 1, 2)))]
    lines = [
        rng.choice(relation(name).statements).format(e=s.name, a=s.facts[name]) for s in people for name in s.facts
    ]
    text = " ".join(lines)
    s = rng.choice(people)
    names = rng.sample(sorted(s.facts), len(s.facts))
    keep = [s.name for s in people] + [value for s in people for value in s.facts.values()]
    question = ask_fact(topics, s, names[0], rng)
    rest = [fact_turn(s, name, topics.say(f"follow ups {name}", rng), "open_book") for name in names[1:2]]
    if rng.random() < 0.5:
        say = topics.typed(pick("read", topics.split, rng).format(t=text, q=question), rng, keep)
        turns = [fact_turn(s, names[0], say, "open_book")]
        return one(*turns, *(rest if rng.random() < 0.4 and len(people) == 1 else []))
    told = Turn(pick("read later", topics.split, rng).format(t=text), answer("noted", rng), "")
    return [[told], [fact_turn(s, names[0], question, "open_book")]]


def made_up(topics: Topics, rng: Random) -> Subject:
    kind = rng.choice(("town", "person"))
    names = [name for name in SENTENCES if relation(name).kind == kind]
    chosen = rng.sample(names, rng.randint(2, len(names)))
    return Subject(topics.new_name(kind), kind, {name: rng.choice(values_of(relation(name))) for name in chosen})
