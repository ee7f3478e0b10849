"""Pieces of a conversation: somebody says something, a good assistant answers, and what any right answer must hold.

In: what there is to talk about (`Topics`), a split of the wordings, a random generator. Out: segments, lists of parts;
between two parts of one segment other segments may stand, so that something said early is asked for later. The same
makers word training (`train`) and exams (`dev`, `test`), which share no form of asking.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from crawl2chat.chat.identity import ANSWERS, Identity
from crawl2chat.chat.tools import FAILED, NOT_FOUND
from crawl2chat.tasks import names as holds
from crawl2chat.tinyweb import skills
from crawl2chat.tinyweb.talk import wordings as w
from crawl2chat.tinyweb.talk.phrasing import CHOICE, forms, pick, spoken
from crawl2chat.tinyweb.world import relation, values_of


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
    people: Sequence[str] = field(default_factory=lambda: skills._NAMES)

    # How much more often than `MAKERS` says some kinds are talked about.
    often: Mapping[str, float] = field(default_factory=dict)
    # Share of lines that are typed without care; pages are edited, chats are not.
    careless: float = 1.0

    def say(self, block: str, rng: Random, keep: Sequence[str] = (), **slots: object) -> str:
        """A form of the block with its slots filled, as somebody types it."""
        return self.typed(pick(block, self.split, rng).format(**slots), rng, keep)

    def typed(self, text: str, rng: Random, keep: Sequence[str] = ()) -> str:
        return spoken(text, rng, tuple(keep)) if rng.random() < self.careless else text

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


# ---- facts


def fact_turn(topics: Topics, s: Subject, name: str, say: str, kind: str = "fact") -> Turn:
    answer = s.facts[name]
    return Turn(say, SENTENCES[name].format(e=s.name, a=answer), kind, (whole(answer),), word=answer)


def ask_fact(topics: Topics, s: Subject, name: str, rng: Random) -> str:
    return topics.say(w.RELATION_QUESTIONS[name], rng, [s.name], e=s.name)


def fact(topics: Topics, rng: Random) -> Segment:
    s = topics.subject(rng)
    name = rng.choice(sorted(s.facts))
    return one(fact_turn(topics, s, name, ask_fact(topics, s, name, rng)))


def follow_up(topics: Topics, rng: Random) -> Segment:
    """A fact, then another one of the same entity without its name, or the same of another one."""
    s = topics.subject(rng)
    names = rng.sample(sorted(s.facts), len(s.facts))
    turns = [fact_turn(topics, s, names[0], ask_fact(topics, s, names[0], rng))]
    for name in names[1:3]:
        if rng.random() < 0.7:
            turns.append(fact_turn(topics, s, name, topics.say(w.FOLLOW_UPS[name], rng), "follow_up"))
    if len(turns) == 1 or rng.random() < 0.3:
        others = [x for x in topics.subjects if names[0] in x.facts and x.name != s.name]
        if others and len(turns) == 1:
            other = rng.choice(others)
            say = topics.say(w.ELLIPSES, rng, [other.name], e=other.name)
            turns.append(fact_turn(topics, other, names[0], say, "follow_up"))
    return one(*turns)


def correction(topics: Topics, rng: Random) -> Segment:
    """A question, answered; then the user had meant another entity."""
    s = topics.subject(rng)
    name = rng.choice(sorted(s.facts))
    others = [x for x in topics.subjects if name in x.facts and x.name != s.name]
    first = fact_turn(topics, s, name, ask_fact(topics, s, name, rng))
    if not others:
        return one(first)
    other = rng.choice(others)
    say = topics.say(w.CORRECTIONS, rng, [other.name, s.name], e=other.name, o=s.name)
    return one(first, fact_turn(topics, other, name, say, "follow_up"))


def come_back(topics: Topics, rng: Random) -> Segment:
    """A fact, and later another question about the same entity, or the same question again."""
    s = topics.subject(rng)
    names = rng.sample(sorted(s.facts), len(s.facts))
    first = fact_turn(topics, s, names[0], ask_fact(topics, s, names[0], rng))
    name = names[-1]
    if rng.random() < 0.5:
        question = pick(w.RELATION_QUESTIONS[name], topics.split, rng).format(e=s.name)
    else:
        question = pick(w.FOLLOW_UPS[name], topics.split, rng)
    form = pick(w.BACK, topics.split, rng)
    if "{e}" not in form and s.name not in question:
        question = pick(w.RELATION_QUESTIONS[name], topics.split, rng).format(e=s.name)
    say = topics.typed(form.format(e=s.name, q=question), rng, [s.name])
    return [[first], [fact_turn(topics, s, name, say, "return")]]


def yes_no(topics: Topics, rng: Random) -> Segment:
    known = [(s, name) for s in topics.subjects for name in s.facts if name in w.YES_NO]
    return one(yes_no_turn(topics, *rng.choice(known), rng))


def yes_no_turn(topics: Topics, s: Subject, name: str, rng: Random) -> Turn:
    true = rng.random() < 0.5
    answer = s.facts[name]
    claimed = answer if true else rng.choice([v for v in values_of(relation(name)) if v != answer])
    say = topics.say(w.YES_NO[name], rng, [s.name, claimed], e=s.name, a=claimed)
    sentence = SENTENCES[name].format(e=s.name, a=answer).removesuffix(".")
    right, wrong = ("yes", "no") if true else ("no", "yes")
    return Turn(say, f"{sentence}, so {right}.", "yes_no", (whole(right),), (whole(wrong),), word=right.capitalize())


def unknown(topics: Topics, rng: Random) -> Segment:
    """Somebody or some town that no page mentions."""
    kind = rng.choice(("town", "person"))
    name = topics.new_name(kind)
    about = rng.choice([key for key in SENTENCES if relation(key).kind == kind])
    say = topics.say(w.RELATION_QUESTIONS[about], rng, [name], e=name)
    answer = rng.choice(forms(w.UNKNOWN_ANSWERS, "train")).format(e=name)
    call = search_call(topics, name, about, rng)[0] if topics.search else None
    return one(Turn(say, answer, "unknown", (DECLINES,), call=call))


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
        form = rng.choice([form for form in forms(w.SEARCH, topics.split) if "{q}" in form])
        while found := CHOICE.search(form):
            form = form[: found.start()] + rng.choice(found[1].split("|")) + form[found.end() :]
        question = form.format(q=question)
    turn = fact_turn(topics, s, name, question, "look_up" if asked else "vague")
    call, passages = search_call(topics, s.name, name, rng)
    stating = [n for n, passage in enumerate(passages, start=1) if holds(passage, s.name) and holds(passage, turn.word)]
    if not stating:
        answer = rng.choice(forms(w.NOT_FOUND_ANSWERS, "train")).format(e=s.name)
        return one(replace(turn, answer=answer, expect=(), kind="", call=call, word=""))
    answer = f"{turn.answer.removesuffix('.')} [{stating[0]}]."
    return one(replace(turn, answer=answer, call=call, word=""))


# ---- beyond its world


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


# ---- small talk, and about itself

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


def recall_first(topics: Topics, rng: Random) -> Segment:
    """A question at the very beginning, which is asked for later."""
    segment = fact(topics, rng)
    first = segment[0][0]
    say = topics.say(w.RECALL_FIRST, rng)
    answer = f"Your first question was: {first.say}"
    subject = next(s.name for s in topics.subjects if s.name.lower() in first.say.lower())
    return [[first], [Turn(say, answer, "return", (whole(subject),))]]


# ---- numbers

NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
SUM_STYLES = {
    "+": "{a}+{b}|{a} + {b}|{a} plus {b}|{A} plus {B}|{A} and {B}|the sum of {a} and {b}|{a} and {b}|"
    "~{a} added to {b}|!{A} on top of {B}|!{a} together with {b}",
    "-": "{a}-{b}|{a} - {b}|{a} minus {b}|{A} minus {B}|{a} take away {b}|{b} from {a}|~{a} less {b}|"
    "!{A} diminished by {B}|!{a} reduced by {b}",
    "*": "{a}*{b}|{a} * {b}|{a} times {b}|{A} times {B}|{a} x {b}|{a}x{b}|the product of {a} and {b}|"
    "{a} × {b}|~{a} multiplied by {b}|!{A} times over {B}|!{a} taken {b} times",
}
SUM_STYLES["/"] = (
    "{a}/{b}|{a} / {b}|{a} divided by {b}|{a} ÷ {b}|{a} : {b}|{a} over {b}|~{a} split by {b}|!{a} shared out by {b}"
)
OPERATORS = {"+": "plus", "-": "minus", "*": "times"}
LARGEST_FACTOR = 12
"""Products up to 12 × 12 stand in tables; sums and differences up to 20."""


def small_operands(rng: Random) -> tuple[int, str, int, int]:
    operator = rng.choice("+-*")
    if operator == "*":
        a, b = rng.randint(0, LARGEST_FACTOR), rng.randint(0, LARGEST_FACTOR)
        return a, operator, b, a * b
    a, b = rng.randint(0, 20), rng.randint(0, 20)
    if operator == "-":
        a, b = max(a, b), min(a, b)
    return a, operator, b, a + b if operator == "+" else a - b


def small_sum_sentence(a: int, operator: str, b: int, result: int) -> str:
    return f"{a} {OPERATORS[operator]} {b} is {result}."


def expression(a: int, operator: str, b: int, split: str, rng: Random) -> str:
    style = rng.choice([*forms(SUM_STYLES[operator].replace("|", "\n"), split), *SUM_STYLES[operator].split("|")[:3]])
    named = {"A": NUMBER_WORDS[a], "B": NUMBER_WORDS[b]} if max(a, b) <= 20 else {"A": a, "B": b}
    return style.format(a=a, b=b, **named)


def small_sum(topics: Topics, rng: Random) -> Segment:
    a, operator, b, result = small_operands(rng)
    if rng.random() < 0.25:
        story = pick(w.SUM_STORIES.replace("|+", "#+").replace("|-", "#-").replace("|*", "#*"), topics.split, rng)
        text, operator = story.split("#")
        a, b = rng.randint(2, 12), rng.randint(2, 9)
        if operator == "-":
            a = a + b
        result = {"+": a + b, "-": a - b, "*": a * b}[operator]
        n, m = rng.sample(list(topics.people), 2)
        say = topics.typed(text.format(a=a, b=b, n=n, m=m, t=rng.choice(skills._THINGS)), rng, [n, m])
    else:
        expressed = expression(a, operator, b, topics.split, rng)
        say = topics.say(w.SMALL_SUMS, rng, s=expressed)
    return one(Turn(say, small_sum_sentence(a, operator, b, result), "small_sum", number=str(result), word=str(result)))


def large_sum(topics: Topics, rng: Random) -> Segment:
    """Sums too large for a table, in columns."""
    problem = next(skills.problems("column_sum", rng, "train" if topics.split == "train" else "test"))
    expressed = worded(problem.question.removeprefix("What is ").removesuffix("?"), topics, rng)
    question = topics.say(w.LARGE_SUMS, rng, s=expressed)
    answer = problem.steps
    if rng.random() < 0.6:
        question = pick(w.STEPWISE, topics.split, rng).format(q=question)
    return one(Turn(question, answer, "large_sum", number=problem.answer))


def calculator(topics: Topics, rng: Random) -> Segment:
    problem = next(skills.problems("tool", rng, "train" if topics.split == "train" else "test"))
    expressed = problem.steps
    if rng.random() < 0.3:
        a, b = rng.randint(2, 99), rng.randint(2, 99)
        expressed = rng.choice((f"{a}*{b}", f"{a * b}/{b}", f"{a}+{b}", f"{a * 7}-{b}"))
    result = topics.tool("calculator", expressed)
    block = w.CALCULATOR if len(expressed) < 8 or rng.random() < 0.6 else w.LARGE_SUMS
    return one(
        Turn(
            topics.say(block, rng, s=worded(expressed, topics, rng)),
            f"{expressed} is {result}.",
            "calculator",
            number=result,
            call=("calculator", expressed, result),
            word=result,
        )
    )


def singular(things: str) -> str:
    return re.sub(r"ies$", "y", things).removesuffix("es" if things.endswith("oes") else "s")


def worded(expression: str, topics: Topics, rng: Random) -> str:
    """`4821*37` as people write it: with spaces, with a word for the sign, with a comma in a long number."""
    a, operator, b = re.fullmatch(r"(\d+)([-+*/])(\d+)", expression).groups()  # type: ignore[union-attr]
    if rng.random() < 0.4:
        return expression
    style = rng.choice([*forms(SUM_STYLES[operator].replace("|", "\n"), topics.split), f"{{a}} {operator} {{b}}"])
    if rng.random() < 0.1:
        a, b = (f"{int(number):,}" for number in (a, b))
    return style.format(a=a, b=b, A=a, B=b)


def word_problem(topics: Topics, rng: Random) -> Segment:
    kind = rng.choice(sorted(w.STORIES))
    n, m = rng.sample(list(topics.people), 2)
    t, u = rng.sample(skills._THINGS, 2)
    a, b, p, x = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9)
    slots = {
        "n": n,
        "m": m,
        "t": t,
        "u": u,
        "t1": singular(t),
        "u1": singular(u),
        "a": a,
        "b": b,
        "p": p,
    }
    if kind == "two changes":
        a, c = rng.randint(5, 30), rng.randint(2, 4)
        slots |= {"a": a, "c": c, "g": rng.choice(("buys", "finds", "gets")), "l": rng.choice(("loses", "sells"))}
        slots |= {"g1": rng.choice(("buy", "find", "get")), "l1": rng.choice(("lose", "sell"))}
        steps, result = [f"{a}+{b}={a + b}", f"{a + b}-{c}={a + b - c}"], a + b - c
    elif kind == "price":
        slots["c"] = a * x + b * p
        steps = [f"{b}*{p}={b * p}", f"{slots['c']}-{b * p}={a * x}", f"{a * x}/{a}={x}"]
        result = x
    elif kind == "cost":
        steps, result = [f"{a}*{p}={a * p}"], a * p
    elif kind == "share":
        slots["c"] = b * x
        steps, result = [f"{b * x}/{b}={x}"], x
    elif kind == "change":
        p = rng.randint(2, 18)
        slots |= {"c": (c := p + rng.randint(1, 20)), "p": p}
        steps, result = [f"{c}-{p}={c - p}"], c - p
    else:
        steps, result = [f"{a}+{b}={a + b}", f"{a}+{a + b}={2 * a + b}"], 2 * a + b
    say = topics.typed(pick(w.STORIES[kind], topics.split, rng).format(**slots), rng, [n, m])
    return one(Turn(say, ", ".join(steps) + f", so {result}.", "word_problem", number=str(result), word=str(result)))


def decimals(topics: Topics, rng: Random) -> Segment:
    first = rng.randint(0, 20)
    a, b = first + 0.0, first + 0.0
    texts = ["", ""]
    while not texts[0] or float(texts[0]) == float(texts[1]):
        wholes = (first, first) if rng.random() < 0.8 else (first, first + rng.randint(0, 2))
        texts = [f"{n}.{rng.randint(1, 9)}" + (str(rng.randint(0, 9)) if rng.random() < 0.5 else "") for n in wholes]
    a, b = texts if rng.random() < 0.5 else texts[::-1]
    more = rng.random() < 0.65
    word = rng.choice((w.KINDS_OF_MORE if more else w.KINDS_OF_LESS).split("|"))
    best, other = sorted((a, b), key=float, reverse=more)
    say = topics.say(w.DECIMALS, rng, a=a, b=b, k=word)
    answer = f"{digit_by_digit(a, b)}, so {best} is {word} than {other}."
    return one(Turn(say, answer, "decimals", (rf"(?<![\d.]){re.escape(best)}(?!\d)[^.]*{word}",), word=best))


def digit_by_digit(a: str, b: str) -> str:
    """Two decimals compared part by part until they differ: 9.9 and 9.11 give `9 and 9, 9 and 1`."""
    parts = [[number.partition(".")[0], *number.partition(".")[2].ljust(2, "0")] for number in (a, b)]
    pairs = list(zip(*parts, strict=True))
    first = next(place for place, (x, y) in enumerate(pairs) if x != y)
    return ", ".join(f"{x} and {y}" for x, y in pairs[: first + 1])


# ---- letters

WORDS = tuple(
    dict.fromkeys(
        word
        for text in (skills.OPPOSITES, skills.CRAFTS, w.OUTSIDE_THINGS, w.ABILITIES_ANSWER, w.STORIES["price"])
        for word in re.findall(r"(?<![\w{$])[a-z]{3,}(?![\w}])", text)
    )
)
MORE_WORDS = (
    "banana,strawberry,elephant,chocolate,mississippi,raspberry,window,computer,keyboard,mirror,umbrella,butter,kitchen,"
    "summer,winter,letter,pepper,coffee,yellow,balloon,cherry,carrot,rabbit,kangaroo,tomorrow,bubble,hammer,ladder,"
    "berry,mountain,science,birthday,sandwich,blueberry,cranberry,programming,committee,parallel,tomato,potato,garden,"
    "apple,orange,lemon,grape,melon,cookie,cake,bread,cheese,sugar,salt,water,juice,bottle,table,chair,house,street,"
    "school,teacher,student,pencil,paper,notebook,picture,camera,phone,music,guitar,piano,violin,trumpet,dance,theatre,"
    "movie,story,river,ocean,island,forest,desert,valley,bridge,castle,church,market,station,airport,hospital,library,"
    "doctor,nurse,farmer,baker,butcher,painter,soldier,sailor,captain,king,queen,prince,knight,dragon,monkey,tiger,lion,"
    "giraffe,zebra,horse,donkey,sheep,chicken,turkey,goose,pigeon,parrot,spider,butterfly,mosquito,dolphin,whale,shark,"
    "happy,sad,angry,tired,hungry,thirsty,beautiful,difficult,important,interesting,necessary,different,wonderful,"
    "monday,tuesday,wednesday,thursday,friday,saturday,sunday,january,february,august,september,october,november,"
    "morning,evening,midnight,yesterday,holiday,weather,thunder,lightning,rainbow,snowflake,umbrella,jacket,trousers,"
    "pocket,button,needle,thread,scissors,bicycle,airplane,helicopter,submarine,rocket,planet,universe,language,"
    "alphabet,grammar,dictionary,question,answer,problem,solution,number,zero,hundred,thousand,million,restaurant"
).split(",")


def spelling_word(topics: Topics, rng: Random) -> str:
    """A word; test has some that training never spells."""
    own = [x for number, x in enumerate(MORE_WORDS) if (number % 3 == 0) == (topics.split == "test")]
    if rng.random() < 0.3:
        return topics.new_name("town").lower()
    return rng.choice((*WORDS, *own * 4))


def letters_turn(topics: Topics, say: str, word: str, answer: str, number: str | None, expect: str = "") -> Turn:
    call = ("letters", f" {word}", topics.tool("letters", word))
    return Turn(say, answer, "spelling", (expect,) if expect else (), number=number, call=call)


def spelling(topics: Topics, rng: Random) -> Segment:
    """Spelling and counting, by the tool that sees letters where the model sees tokens."""
    word = spelling_word(topics, rng)
    shown = f'"{word}"' if rng.random() < 0.15 else word
    spelt = "-".join(word)
    draw = rng.random()
    if draw < 0.35:
        expect = r"\W{1,3}".join(word)
        return one(
            letters_turn(
                topics, topics.say(w.SPELL, rng, [word], w=shown), word, f"{word} is spelt {spelt}.", None, expect
            )
        )
    if draw < 0.6:
        letter = rng.choice(word) if rng.random() < 0.85 else rng.choice("abcdefghijklmnopqrstuvwxyz")
        n = word.count(letter)
        call = ("count", f" {letter}, {word}", topics.tool("count", f"{letter}, {word}"))
        say = topics.say(w.COUNT_LETTERS, rng, [word, letter], w=shown, c=letter)
        answer = f"The letter {letter} occurs {n} time{'s' * (n != 1)} in {word}."
        return one(Turn(say, answer, "spelling", number=str(n), call=call, word=str(n)))
    if draw < 0.75:
        say = topics.say(w.WORD_LENGTH, rng, [word], w=shown)
        return one(letters_turn(topics, say, word, f"{word} has {len(word)} letters.", str(len(word))))
    if draw < 0.88:
        last = rng.random() < 0.5
        say = topics.say(
            w.END_LETTERS, rng, [word], w=shown, o="last" if last else "first", v="end" if last else "start"
        )
        letter = word[-1] if last else word[0]
        answer = f"The {'last' if last else 'first'} letter of {word} is {letter}."
        return one(letters_turn(topics, say, word, answer, None, rf"\b{letter}\W*$"))
    n = rng.randint(2, 30)
    call = ("count", f" {'.' * n}", topics.tool("count", "." * n))
    say = topics.say(w.COUNT_DOTS, rng, w="." * n)
    if "." * n not in say:
        say = f"How many dots? {'.' * n}" if topics.split == "train" else f"{'.' * n} <- number of dots?"
    return one(Turn(say, f"There are {n} dots.", "spelling", number=str(n), call=call, word=str(n)))


# ---- how-to


def how_to(topics: Topics, rng: Random) -> Segment:
    crafts = skills.crafts()
    craft = rng.choice(sorted(crafts))
    steps = crafts[craft]
    answer = skills.craft_text(steps, rng)
    expect = tuple(whole(max(step.split(), key=len)) for step in steps[:3])
    return one(Turn(topics.say(w.CRAFT_QUESTIONS, rng, c=craft), answer, "how_to", expect))


# ---- what stands in the conversation

COLOURS = "red,blue,green,yellow,black,white,brown,purple,orange,pink".split(",")
PETS = (
    "dog,cat,horse,bird,rabbit,fish,boat,doll,goat,cow,puppy,kitten,parrot,hamster,turtle,pony,mouse,car,bike,bear,"
    "robot,plant,son,daughter,baby,best friend,neighbour,school,shop,ship,street,village"
).split(",")
THINGS = "key,bag,book,phone,hat,coat,purse,ring,ball,letter,lamp,knife,map,umbrella,bike,watch,ticket,camera".split(
    ","
)
FOODS = "bread,cheese,apple cake,soup,rice,fish,honey,plums,noodles,beans".split(",")
MONTHS = "January,February,March,April,May,June,July,August,September,October,November,December".split(",")
PLACES = "under the bed,on the table,in the kitchen,behind the door,in the garden,in the box,near the window".split(",")
POSSESSIONS: dict[str, Callable[[Topics, Random], str]] = {
    "favourite colour": lambda t, rng: rng.choice(COLOURS),
    "car": lambda t, rng: rng.choice(COLOURS),
    "hat": lambda t, rng: rng.choice(COLOURS),
    "coat": lambda t, rng: rng.choice(COLOURS),
    "favourite food": lambda t, rng: rng.choice(FOODS),
    "lucky number": lambda t, rng: str(rng.randint(1, 99)),
    "age": lambda t, rng: str(rng.randint(5, 90)),
    "room number": lambda t, rng: str(rng.randint(100, 999)),
    "code": lambda t, rng: str(rng.randint(1000, 9999)),
    "ticket number": lambda t, rng: str(rng.randint(100, 9999)),
    "home town": lambda t, rng: t.new_name("town"),
    "sister": lambda t, rng: rng.choice(t.people),
    "brother": lambda t, rng: rng.choice(t.people),
    "teacher": lambda t, rng: t.new_name("person"),
    "birthday": lambda t, rng: f"in {rng.choice(MONTHS)}",
    "instrument": lambda t, rng: rng.choice(relation("music").values),
    "job": lambda t, rng: rng.choice(relation("job").values),
    **{thing: lambda t, rng: rng.choice(PLACES) for thing in THINGS[:8]},
    **{
        f"favourite {kind}": lambda t, rng: rng.choice((*THINGS, *COLOURS, *FOODS, *t.people))
        for kind in ("word", "thing", "song", "place", "game", "toy", "animal", "drink", "team")
    },
    **{
        f"{kind} number": lambda t, rng: str(rng.randint(2, 9999))
        for kind in ("house", "seat", "bus", "phone", "flight", "order", "secret")
    },
    **{kind: lambda t, rng: rng.choice(t.people) for kind in ("boss", "uncle", "aunt", "mother", "father", "wife")},
    **{kind: lambda t, rng: rng.choice(COLOURS) for kind in ("door", "bike", "house", "shirt", "dress", "bed")},
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
        told = Turn(topics.say(w.MY_NAME, rng, [value], v=value), f"Nice to meet you, {value}.", "", (whole(value),))
        asked = Turn(topics.say(w.MY_NAME_QUESTIONS, rng), f"Your name is {value}.", "open_book", (whole(value),))
        return [[told], [replace(asked, word=value)]]
    return paragraph(topics, rng)


def possession(topics: Topics, rng: Random) -> Segment:
    thing = rng.choice(sorted(POSSESSIONS))
    value = POSSESSIONS[thing](topics, rng)
    told = Turn(topics.say(w.POSSESSIONS, rng, [value], x=thing, v=value), rng.choice(forms(w.NOTED, "train")), "")
    answer = f"Your {thing} is {value}."
    asked = Turn(topics.say(w.POSSESSION_QUESTIONS, rng, x=thing), answer, "open_book", (whole(value),), word=value)
    return [[told], [asked]]


def anything_told(topics: Topics, rng: Random) -> Segment:
    """Something about the user or about others, asked for in other words."""
    lines = [line.split(" => ") for line in forms(w.TOLD, topics.split)]
    tell, asks, answer = rng.choice(lines)
    values = {
        "t": topics.new_name("town"),
        "n": rng.choice(topics.people),
        "m": rng.choice(topics.people),
        "c": rng.choice(COLOURS),
        "d": str(rng.randint(2, 60)),
        "f": rng.choice(FOODS),
        "p": rng.choice(PLACES),
        "j": rng.choice(relation("job").values),
        "i": rng.choice(relation("music").values),
        "x": rng.choice(THINGS),
        "b": rng.choice(MONTHS),
    }
    while values["m"] == values["n"]:
        values["m"] = rng.choice(topics.people)
    key = re.findall(r"\{(\w)\*?\}", answer)[-1]
    keep = [values["t"], values["n"], values["m"], values["b"]]
    first = Turn(topics.typed(tell.format(**values), rng, keep), rng.choice(forms(w.NOTED, "train")), "")
    ask = topics.typed(rng.choice(asks.split("/")).format(**values), rng, keep)
    value = values[key]
    return [[first], [Turn(ask, answer.format(**values), "open_book", (whole(value),), word=value)]]


def called(topics: Topics, rng: Random) -> Segment:
    pet, value = rng.choice(PETS), topics.new_name("town")
    told = Turn(topics.say(w.CALLED, rng, [value], x=pet, v=value), rng.choice(forms(w.NOTED, "train")), "")
    answer = f"Your {pet} is called {value}."
    asked = Turn(topics.say(w.CALLED_QUESTIONS, rng, x=pet), answer, "open_book", (whole(value),), word=value)
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
    rest = [fact_turn(topics, s, name, topics.say(w.FOLLOW_UPS[name], rng), "open_book") for name in names[1:2]]
    if rng.random() < 0.5:
        say = topics.typed(pick(w.READ, topics.split, rng).format(t=text, q=question), rng, keep)
        turns = [fact_turn(topics, s, names[0], say, "open_book")]
        return one(*turns, *(rest if rng.random() < 0.4 and len(people) == 1 else []))
    told = Turn(pick(w.READ_LATER, topics.split, rng).format(t=text), rng.choice(forms(w.NOTED, "train")), "")
    return [[told], [fact_turn(topics, s, names[0], question, "open_book")]]


def made_up(topics: Topics, rng: Random) -> Subject:
    kind = rng.choice(("town", "person"))
    names = [name for name in SENTENCES if relation(name).kind == kind]
    chosen = rng.sample(names, rng.randint(2, len(names)))
    return Subject(topics.new_name(kind), kind, {name: rng.choice(values_of(relation(name))) for name in chosen})


MAKERS: dict[str, tuple[Callable[[Topics, Random], Segment], float]] = {
    "fact": (fact, 3.0),
    "follow_up": (follow_up, 2.0),
    "correction": (correction, 0.7),
    "return": (come_back, 1.0),
    "recall_first": (recall_first, 0.3),
    "yes_no": (yes_no, 1.3),
    "unknown": (unknown, 1.4),
    "look_up": (look_up, 2.0),
    "outside": (outside, 1.2),
    "private": (private, 0.7),
    "greeting": (greeting, 0.5),
    "thanks": (thanks, 0.5),
    "small_talk": (small_talk, 0.3),
    "identity": (identity, 1.2),
    "abilities": (abilities, 0.5),
    "small_sum": (small_sum, 2.0),
    "large_sum": (large_sum, 1.0),
    "calculator": (calculator, 1.5),
    "word_problem": (word_problem, 1.6),
    "decimals": (decimals, 0.7),
    "spelling": (spelling, 1.5),
    "how_to": (how_to, 0.9),
    "open_book": (open_book, 3.0),
}
"""What people talk about, and how often."""
ABOUT_FACTS = {"fact", "follow_up", "correction", "return", "recall_first", "look_up"}


def available(topics: Topics, kinds: Iterable[str] = MAKERS) -> list[str]:
    """Those of the kinds for which there is something to talk about: facts that are known, or a search for them."""
    known = {name for subject in topics.subjects for name in subject.facts}
    lacking = set() if known else ABOUT_FACTS
    lacking = lacking | (set() if topics.search else {"look_up"}) | (set() if known & set(w.YES_NO) else {"yes_no"})
    return [kind for kind in kinds if kind not in lacking]
