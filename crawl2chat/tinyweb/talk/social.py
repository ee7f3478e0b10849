"""Segments of small talk, about the assistant itself, and of what it declines: the world outside, private data."""

from random import Random

from crawl2chat.chat.identity import ANSWERS
from crawl2chat.tinyweb.talk import wordings as w
from crawl2chat.tinyweb.talk.phrasing import forms
from crawl2chat.tinyweb.talk.topics import DECLINES, PRIVATE, Segment, Topics, Turn, one, whole


def outside(topics: Topics, rng: Random) -> Segment:
    if rng.random() < 0.3:
        say, answer = topics.say(w.TODAY, rng), rng.choice(forms(w.TODAY_ANSWERS, "train"))
    else:
        things = forms(w.OUTSIDE_THINGS.replace("\n", "").replace("|", "\n"), topics.split)
        thing = rng.choice(things)
        say = topics.say(w.OUTSIDE, rng, [thing], x=thing)
        answer = rng.choice(forms(w.OUTSIDE_ANSWERS, "train")).format(x=thing)
    return one(Turn(say, answer, "outside", (DECLINES,)))


def private(topics: Topics, rng: Random) -> Segment:
    named = [s.name for s in topics.subjects if s.kind == "person"]
    name = rng.choice(named) if named and rng.random() < 0.6 else rng.choice(topics.people)
    say = topics.say(w.PRIVATE, rng, [name], n=name)
    return one(Turn(say, rng.choice(forms(w.PRIVATE_ANSWERS, "train")), "private", (PRIVATE,), (r"\d{3}",)))


HELLO = r"\b(hello|hi|hey|welcome|good (day|morning|evening|afternoon)|nice to meet)\b"


def greeting(topics: Topics, rng: Random) -> Segment:
    return one(Turn(topics.say(w.GREETINGS, rng), rng.choice(forms(w.GREETING_ANSWERS, "train")), "greeting", (HELLO,)))


def thanks(topics: Topics, rng: Random) -> Segment:
    if rng.random() < 0.6:
        expect = r"welcome|glad|pleasure|any ?time|no problem"
        return one(Turn(topics.say(w.THANKS, rng), rng.choice(forms(w.THANKS_ANSWERS, "train")), "thanks", (expect,)))
    expect = r"bye|see you|nice day|good night|take care|farewell"
    return one(Turn(topics.say(w.GOODBYES, rng), rng.choice(forms(w.GOODBYE_ANSWERS, "train")), "thanks", (expect,)))


def small_talk(topics: Topics, rng: Random) -> Segment:
    return one(Turn(topics.say(w.CHAT, rng), rng.choice(forms(w.CHAT_ANSWERS, "train")), ""))


def identity(topics: Topics, rng: Random) -> Segment:
    about = topics.identity.model_dump()
    key = rng.choice(("name", "name", "name", "maker", "version", "training_data"))
    answer = ANSWERS[key].format(**about)
    return one(Turn(topics.say(w.WHO[key], rng), answer, "identity", (whole(about[key]),)))


def abilities(topics: Topics, rng: Random) -> Segment:
    return one(Turn(topics.say(w.ABILITIES, rng), w.ABILITIES_ANSWER, "abilities", (r"sums|calculat|search|spell",)))
