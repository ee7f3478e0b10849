"""Segments with numbers: tables, columns, the calculator, stories, decimals."""

import re
from random import Random

from crawl2chat.tasks import NUMBER_WORDS
from crawl2chat.tinyweb import skills
from crawl2chat.tinyweb.talk.phrasing import forms, pick
from crawl2chat.tinyweb.talk.topics import Segment, Topics, Turn, one

OPERATORS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
NOTATIONS = ("{a}{o}{b}", "{a} {o} {b}", "{a} {word} {b}")
"""How everybody writes a sum, trainers and examiners alike."""
LARGEST_FACTOR = 12
"""Products up to 12 × 12 stand in tables; sums and differences up to 20."""
MORE = ("bigger", "larger", "greater", "higher")
LESS = ("smaller", "less", "lower")


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


def expression(a: int, operator: str, b: int, split: str, rng: Random, digits: bool = False) -> str:
    """A sum as people write it: `7*8`, `7 times 8` or, of small numbers and without `digits`, `seven times eight`."""
    word = OPERATORS[operator]
    form = rng.choice((*forms(f"sums {word}", split), *NOTATIONS))
    named = (a, b) if digits or max(a, b) >= len(NUMBER_WORDS) else (NUMBER_WORDS[a], NUMBER_WORDS[b])
    return form.format(a=a, b=b, A=named[0], B=named[1], o=operator, word=word)


def small_sum(topics: Topics, rng: Random) -> Segment:
    if rng.random() < 0.25:
        operator = rng.choice("+-*")
        a, b = rng.randint(2, 12), rng.randint(2, 9)
        a = a + b if operator == "-" else a
        result = {"+": a + b, "-": a - b, "*": a * b}[operator]
        n, m = rng.sample(topics.people, 2)
        block = f"sum stories {OPERATORS[operator]}"
        say = topics.say(block, rng, [n, m], a=a, b=b, n=n, m=m, t=rng.choice(topics.things))
    else:
        a, operator, b, result = small_operands(rng)
        say = topics.say("small sums", rng, s=expression(a, operator, b, topics.split, rng))
    return one(Turn(say, small_sum_sentence(a, operator, b, result), "small_sum", number=str(result), word=str(result)))


def large_sum(topics: Topics, rng: Random) -> Segment:
    """Sums too large for a table, in columns."""
    problem = next(skills.problems("column_sum", rng, "train" if topics.split == "train" else "test"))
    expressed = worded(problem.question.removeprefix("What is ").removesuffix("?"), topics, rng)
    question = topics.say("large sums", rng, s=expressed)
    answer = problem.steps
    if rng.random() < 0.6:
        question = pick("stepwise", topics.split, rng).format(q=question)
    return one(Turn(question, answer, "large_sum", number=problem.answer))


def calculator(topics: Topics, rng: Random) -> Segment:
    problem = next(skills.problems("tool", rng, "train" if topics.split == "train" else "test"))
    expressed = problem.steps
    if rng.random() < 0.3:
        a, b = rng.randint(2, 99), rng.randint(2, 99)
        expressed = rng.choice((f"{a}*{b}", f"{a * b}/{b}", f"{a}+{b}", f"{a * 7}-{b}"))
    result = topics.tool("calculator", expressed)
    block = "calculator" if len(expressed) < 8 or rng.random() < 0.6 else "large sums"
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


def worded(written: str, topics: Topics, rng: Random) -> str:
    """`4821*37` as people write it: with spaces, with a word for the sign, with a comma in a long number."""
    if rng.random() < 0.4:
        return written
    a, operator, b = re.fullmatch(r"(\d+)([-+*/])(\d+)", written).groups()  # type: ignore[union-attr]
    text = expression(int(a), operator, int(b), topics.split, rng, digits=True)
    return re.sub(r"\d{4,}", lambda number: f"{int(number[0]):,}", text) if rng.random() < 0.1 else text


STEPS = {
    "two changes": "a+b, r-c",
    "price": "b*p, c-r, r/a",
    "cost": "a*p",
    "share": "c/b",
    "change": "c-p",
    "together": "a+b, a+r",
    "times": "a*b",
    "difference": "c-a",
    "three": "a+b, r+d",
    "loose": "a*b, r+d",
    "age": "a+b",
    "rate": "a*b",
    "spend": "a*p, c-r",
}
"""How each kind of word problem is solved; `r` is the result of the step before."""


def amounts(kind: str, rng: Random) -> dict[str, int]:
    """The numbers of a word problem, such that no result is negative or broken."""
    a, b, d, p, x = (rng.randint(2, 9) for _ in range(5))
    if kind in ("together", "three", "times"):
        a, b, d = (rng.randint(2, 12) for _ in range(3))
    if kind in ("two changes", "age", "difference"):
        a, b = rng.randint(5, 40), rng.randint(2, 12)
    if kind == "change":
        p = rng.randint(2, 40)
    more = rng.randint(1, 20)
    c = {
        "two changes": rng.randint(2, 7),
        "price": a * x + b * p,
        "share": b * x,
        "change": p + more,
        "difference": a + more,
        "spend": a * p + more,
    }
    return {"a": a, "b": b, "c": c.get(kind, 0), "d": d, "p": p}


def word_problem(topics: Topics, rng: Random) -> Segment:
    kind = rng.choice(sorted(STEPS))
    n, m = rng.sample(topics.people, 2)
    t, u = rng.sample(topics.things, 2)
    numbers = amounts(kind, rng)
    gain, loss = rng.choice(("buy", "find", "get")), rng.choice(("lose", "sell"))
    words = {"n": n, "m": m, "t": t, "u": u, "t1": singular(t), "u1": singular(u)}
    verbs = {"g": f"{gain}s", "l": f"{loss}s", "g1": gain, "l1": loss}
    say = topics.say(f"stories {kind}", rng, [n, m], **numbers, **words, **verbs)
    steps = []
    for step in STEPS[kind].split(", "):
        written = re.sub(r"[a-z]", lambda name: str(numbers[name[0]]), step)
        numbers["r"] = int(topics.tool("calculator", written))
        steps.append(f"{written}={numbers['r']}")
    result = str(numbers["r"])
    return one(Turn(say, f"{', '.join(steps)}, so {result}.", "word_problem", number=result, word=result))


def decimals(topics: Topics, rng: Random) -> Segment:
    first = rng.randint(0, 20)
    texts = ["", ""]
    while not texts[0] or float(texts[0]) == float(texts[1]):
        wholes = (first, first) if rng.random() < 0.8 else (first, first + rng.randint(0, 2))
        texts = [f"{n}.{rng.randint(1, 9)}" + (str(rng.randint(0, 9)) if rng.random() < 0.5 else "") for n in wholes]
    a, b = texts if rng.random() < 0.5 else texts[::-1]
    more = rng.random() < 0.65
    word = rng.choice(MORE if more else LESS)
    best = (max if more else min)(a, b, key=float)
    say = topics.say("decimals", rng, a=a, b=b, k=word)
    answer = f"{digit_by_digit(a, b)}, so {best} is {word}."
    return one(Turn(say, answer, "decimals", (rf"(?<![\d.]){re.escape(best)}(?!\d)[^.]*{word}",), word=best))


def digit_by_digit(a: str, b: str) -> str:
    """Two decimals compared part by part until they differ: 9.9 and 9.11 give `9 and 9, 9 and 1`."""
    parts = [[number.partition(".")[0], *number.partition(".")[2].ljust(2, "0")] for number in (a, b)]
    pairs = list(zip(*parts, strict=True))
    first = next(place for place, (x, y) in enumerate(pairs) if x != y)
    return ", ".join(f"{x} and {y}" for x, y in pairs[: first + 1])
