"""Segments of small talk, about the assistant itself, and of what it declines: the world outside, private data."""

from random import Random

from crawl2chat.chat.identity import ANSWERS
from crawl2chat.tinyweb.talk.phrasing import answer, pick
from crawl2chat.tinyweb.talk.topics import DECLINES, PRIVATE, Segment, Topics, Turn, one, whole


def outside(topics: Topics, rng: Random) -> Segment:
    if rng.random() < 0.3:
        say, reply = topics.say("today", rng), answer("today answers", rng)
    else:
        thing = pick("outside things", topics.split, rng)
        say = topics.say("outside", rng, [thing], x=thing)
        reply = answer("outside answers", rng, x=thing)
    return one(Turn(say, reply, "outside", (DECLINES,)))


def private(topics: Topics, rng: Random) -> Segment:
    named = [s.name for s in topics.subjects if s.kind == "person"]
    name = rng.choice(named) if named and rng.random() < 0.6 else rng.choice(topics.people)
    say = topics.say("private", rng, [name], n=name)
    return one(Turn(say, answer("private answers", rng), "private", (PRIVATE,), (r"\d{3}",)))


HELLO = r"\b(hello|hi|hey|welcome|good (day|morning|evening|afternoon)|nice to meet)\b"


def greeting(topics: Topics, rng: Random) -> Segment:
    return one(Turn(topics.say("greetings", rng), answer("greeting answers", rng), "greeting", (HELLO,)))


def thanks(topics: Topics, rng: Random) -> Segment:
    if rng.random() < 0.6:
        expect = r"welcome|glad|pleasure|any ?time|no problem"
        return one(Turn(topics.say("thanks", rng), answer("thanks answers", rng), "thanks", (expect,)))
    expect = r"bye|see you|nice day|good night|take care|farewell"
    return one(Turn(topics.say("goodbyes", rng), answer("goodbye answers", rng), "thanks", (expect,)))


def small_talk(topics: Topics, rng: Random) -> Segment:
    return one(Turn(topics.say("chat", rng), answer("chat answers", rng), ""))


def identity(topics: Topics, rng: Random) -> Segment:
    about = topics.identity.model_dump()
    key = rng.choice(("name", "name", "name", "maker", "version", "training_data"))
    say = topics.say(f"who {key.replace('_', ' ')}", rng)
    return one(Turn(say, ANSWERS[key].format(**about), "identity", (whole(about[key]),)))


def abilities(topics: Topics, rng: Random) -> Segment:
    return one(
        Turn(
            topics.say("abilities", rng), answer("abilities answer", rng), "abilities", (r"sums|calculat|search|spell",)
        )
    )
