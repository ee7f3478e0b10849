"""Segments with numbers: tables, columns, the calculator, stories, decimals."""

import re
from random import Random

from crawl2chat.tinyweb import skills
from crawl2chat.tinyweb.talk import wordings as w
from crawl2chat.tinyweb.talk.phrasing import forms, pick
from crawl2chat.tinyweb.talk.topics import Segment, Topics, Turn, one

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
        say = topics.typed(text.format(a=a, b=b, n=n, m=m, t=rng.choice(skills.THINGS)), rng, [n, m])
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
    t, u = rng.sample(skills.THINGS, 2)
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
