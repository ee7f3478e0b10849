"""Segments about what pages know: facts and what follows from them, names that nobody knows, searches, crafts."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from crawl2chat.chat.tools import FAILED, NOT_FOUND
from crawl2chat.tasks import names as holds
from crawl2chat.tinyweb import skills
from crawl2chat.tinyweb.talk.phrasing import answer, pick
from crawl2chat.tinyweb.talk.topics import DECLINES, SENTENCES, Segment, Subject, Topics, Turn, one, whole
from crawl2chat.tinyweb.world import relation, values_of

KEYWORDS = {
    "capital": "capital",
    "continent": "country continent",
    "country": "town in",
    "goods": "famous for",
    "sight": "sight",
    "job": "works as",
    "home": "lives in",
    "music": "plays",
}
"""What is searched for beside the name."""


def fact_turn(s: Subject, name: str, say: str, kind: str = "fact") -> Turn:
    value = s.facts[name]
    return Turn(say, SENTENCES[name].format(e=s.name, a=value), kind, (whole(value),), word=value)


def ask_fact(topics: Topics, s: Subject, name: str, rng: Random) -> str:
    return topics.say(f"facts {name}", rng, [s.name], e=s.name)


def fact(topics: Topics, rng: Random) -> Segment:
    s = topics.subject(rng)
    name = rng.choice(sorted(s.facts))
    return one(fact_turn(s, name, ask_fact(topics, s, name, rng)))


def follow_up(topics: Topics, rng: Random) -> Segment:
    """A fact, then another one of the same entity without its name, or the same of another one."""
    s = topics.subject(rng)
    names = rng.sample(sorted(s.facts), len(s.facts))
    turns = [fact_turn(s, names[0], ask_fact(topics, s, names[0], rng))]
    for name in names[1:3]:
        if rng.random() < 0.7:
            turns.append(fact_turn(s, name, topics.say(f"follow ups {name}", rng), "follow_up"))
    others = [x for x in topics.subjects if names[0] in x.facts and x.name != s.name]
    if len(turns) == 1 and others:
        other = rng.choice(others)
        say = topics.say("ellipses", rng, [other.name], e=other.name)
        turns.append(fact_turn(other, names[0], say, "follow_up"))
    return one(*turns)


def correction(topics: Topics, rng: Random) -> Segment:
    """A question, answered; then the user had meant another entity."""
    s = topics.subject(rng)
    name = rng.choice(sorted(s.facts))
    others = [x for x in topics.subjects if name in x.facts and x.name != s.name]
    first = fact_turn(s, name, ask_fact(topics, s, name, rng))
    if not others:
        return one(first)
    other = rng.choice(others)
    say = topics.say("corrections", rng, [other.name, s.name], e=other.name, o=s.name)
    return one(first, fact_turn(other, name, say, "follow_up"))


def come_back(topics: Topics, rng: Random) -> Segment:
    """A fact, and later another question about the same entity, or the same question again."""
    s = topics.subject(rng)
    names = rng.sample(sorted(s.facts), len(s.facts))
    first = fact_turn(s, names[0], ask_fact(topics, s, names[0], rng))
    name = names[-1]
    if rng.random() < 0.5:
        question = pick(f"facts {name}", topics.split, rng).format(e=s.name)
    else:
        question = pick(f"follow ups {name}", topics.split, rng)
    form = pick("back", topics.split, rng)
    if "{e}" not in form and s.name not in question:
        question = pick(f"facts {name}", topics.split, rng).format(e=s.name)
    say = topics.typed(form.format(e=s.name, q=question), rng, [s.name])
    return [[first], [fact_turn(s, name, say, "return")]]


def yes_no(topics: Topics, rng: Random) -> Segment:
    s = topics.subject(rng)
    return one(yes_no_turn(topics, s, rng.choice(sorted(s.facts)), rng))


def yes_no_turn(topics: Topics, s: Subject, name: str, rng: Random) -> Turn:
    """A claim, true or not, and the fact beside it: two words that stand close together are easy to compare."""
    true = rng.random() < 0.5
    value = s.facts[name]
    claimed = value if true else rng.choice([v for v in values_of(relation(name)) if v != value])
    say = topics.say(f"yes or no {name}", rng, [s.name, claimed], e=s.name, a=claimed)
    sentence = SENTENCES[name].format(e=s.name, a=value).removesuffix(".")
    right, wrong = ("yes", "no") if true else ("no", "yes")
    return Turn(
        say,
        f"{sentence}, you say {claimed}, so {right}.",
        "yes_no",
        (whole(right),),
        (whole(wrong),),
        word=right.capitalize(),
    )


def unknown(topics: Topics, rng: Random) -> Segment:
    """Somebody or some town that no page mentions."""
    kind = rng.choice(("town", "person"))
    name = topics.new_name(kind)
    about = rng.choice([key for key in SENTENCES if relation(key).kind == kind])
    say = topics.say(f"facts {about}", rng, [name], e=name)
    call = search_call(topics, name, about, rng)[0] if topics.search else None
    return one(Turn(say, answer("unknown answers", rng, e=name), "unknown", (DECLINES,), call=call))


def search_call(topics: Topics, name: str, about: str, rng: Random) -> tuple[tuple[str, str, str], Sequence[str]]:
    """The search for a fact, and the passages that it finds: now and then none, for want of the tool."""
    query = f"{name} {KEYWORDS[about]}"
    assert topics.search
    if rng.random() < 0.1:
        return ("search", f" {query}", f"{FAILED}no tool search; there are: calculator, count, letters"), ()
    found = topics.search(query)
    numbered = " ".join(f"[{number}] {passage}" for number, passage in enumerate(found, start=1))
    return ("search", f" {query}", numbered or NOT_FOUND), found


def look_up(topics: Topics, rng: Random) -> Segment:
    """A fact that is looked up: because it is not known by heart, or because somebody asks for a search."""
    asked = not topics.vague or rng.random() < 0.4
    s = rng.choice(topics.vague) if not asked else topics.subject(rng)
    name = rng.choice(sorted(s.facts))
    question = ask_fact(topics, s, name, rng)
    if asked:
        question = pick("search", topics.split, rng).format(q=question)
    turn = fact_turn(s, name, question, "look_up" if asked else "vague")
    call, passages = search_call(topics, s.name, name, rng)
    stating = [n for n, passage in enumerate(passages, start=1) if holds(passage, s.name) and holds(passage, turn.word)]
    if not stating:
        return one(replace(turn, answer=answer("not found answers", rng), expect=(), kind="", call=call, word=""))
    return one(replace(turn, answer=f"{turn.answer.removesuffix('.')} [{stating[0]}].", call=call, word=""))


def recall_first(topics: Topics, rng: Random) -> Segment:
    """A question at the very beginning, which is asked for later."""
    segment = fact(topics, rng)
    first = segment[0][0]
    say = topics.say("recall first", rng)
    subject = next(s.name for s in topics.subjects if s.name.lower() in first.say.lower())
    return [[first], [Turn(say, f"Your first question was: {first.say}", "return", (whole(subject),))]]


def how_to(topics: Topics, rng: Random) -> Segment:
    crafts = skills.crafts()
    craft = rng.choice(sorted(crafts))
    steps = crafts[craft]
    expect = tuple(whole(max(step.split(), key=len)) for step in steps[:3])
    say = topics.say("craft questions", rng, c=craft)
    return one(Turn(say, skills.craft_text(steps, rng), "how_to", expect))
