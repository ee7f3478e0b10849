"""What the tiny world can do rather than know: column arithmetic, word problems, a calculator, word patterns, crafts.

Every problem is drawn from a seeded generator and belongs to a split by a hash of its operands, so that pages and
fine-tuning (`train`) never show a problem that is asked in evaluation (`dev`, `test`).
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from crawl2chat.splits import split_of

PLACES = ("ones", "tens", "hundreds")
STEPS = "Think in steps."
DIRECT = "Give only the number."

OPPOSITES = """hot|cold;big|small;wet|dry;young|old;fast|slow;light|dark;hard|soft;high|low;rich|poor;thick|thin;
full|empty;near|far;early|late;loud|quiet;sweet|sour;clean|dirty;strong|weak;open|closed;deep|shallow;wide|narrow;
sharp|blunt;happy|sad;cheap|dear;long|short;new|used;safe|risky"""

CRAFTS = """bake bread|mix flour and water|knead the dough|let it rest for an hour|bake it until it is brown;
plant a tree|dig a deep hole|set the young tree upright|fill the hole with earth|water it well;
paint a wall|clean the wall|cover the floor|paint from the top down|let the paint dry;
brew tea|boil fresh water|warm the pot|pour the water over the leaves|wait four minutes;
wash a wool coat|fill a tub with cool water|add a little soap|press the coat gently|dry it lying flat;
mend a bicycle tyre|take off the wheel|find the hole in the tube|glue a patch on the hole|pump up the tyre;
make apple jam|peel the apples|cut them into pieces|cook them with sugar|fill the jam into clean jars;
build a kite|cross two light sticks|tie them with thread|glue paper over the frame|add a long tail;
light a fire|stack small dry sticks|put paper under the sticks|light the paper|add thicker wood slowly;
catch a fish|put bait on the hook|throw the line into the water|wait without a sound|pull when the float sinks;
sew on a button|choose a matching thread|place the button on the cloth|push the needle through the holes|
tie a tight knot;
make cheese|warm the milk|stir in some lemon juice|drain the whey through a cloth|press the curd overnight;
clean a window|wipe off the dust|rub the glass with soapy water|rinse it with clear water|polish it with dry paper;
train a dog|call the dog by its name|show it what you want|reward it at once|repeat the lesson every day;
pitch a tent|look for level ground|spread out the floor|raise the poles|fasten the ropes to pegs;
write a letter|put the date at the top|greet the reader|say what you have to say|sign it with your name;
carve a spoon|choose a piece of soft wood|draw the shape on it|cut away the rest|smooth it with sand;
polish shoes|brush off the dirt|rub in a little wax|wait a few minutes|brush until they shine;
grow beans|soak the beans overnight|push them into warm soil|give them sticks to climb|pick the pods in summer;
tune a guitar|loosen every string|pluck the thick string first|compare it with a tuning fork|
turn the peg until it sounds right"""


@dataclass(frozen=True)
class Problem:
    """A question with one right answer, and the worked way to it. `split` is train, dev or test."""

    skill: str
    question: str
    answer: str
    steps: str
    split: str


def problem_split(operands: str) -> str:
    return split_of(operands, {"train": 0.7, "dev": 0.1, "test": 0.2}, buckets=10)


def product_problem(skill: str, a: int, b: int) -> Problem:
    """a times one digit, digit by digit with carries."""
    parts, carry = [], 0
    for place, digit in zip(PLACES, reversed(str(a)), strict=False):
        product = int(digit) * b
        parts.append(f"{place} {digit}*{b}={product}")
        if place != PLACES[0]:
            parts.append(f"{product}+{carry}={product + carry}")
        carry = (product + carry) // 10
    steps = f"{', '.join(parts)}, so {a * b}."
    return Problem(skill, f"What is {a}*{b}?", str(a * b), steps, problem_split(f"{a}*{b}"))


def multiplication(rng: random.Random) -> Problem:
    """Two digits times one digit."""
    return product_problem("multiplication", rng.randint(12, 99), rng.randint(3, 9))


def long_multiplication(rng: random.Random) -> Problem:
    """Three digits times one digit, which pages show seldom: what reinforcement learning is to teach."""
    return product_problem("long_multiplication", rng.randint(112, 999), rng.randint(3, 9))


def in_columns(a: int, operator: str, b: int) -> str:
    """a + b or a − b ≥ 0 column by column, with carries or borrows; the shorter number is filled up with zeros."""
    digits = len(str(max(a, b)))
    parts, carry = [], 0
    for place, x, y in zip(PLACES, reversed(str(a).zfill(digits)), reversed(str(b).zfill(digits)), strict=False):
        if operator == "+":
            total = int(x) + int(y) + carry
            parts.append(f"{place} {x}+{y}+{carry}={total}")
            carry = total // 10
        else:
            left = int(x) - carry - int(y)
            parts.append(f"{place} {x}-{carry}-{y}={left}" if left >= 0 else f"{place} 1{x}-{carry}-{y}={left + 10}")
            carry = int(left < 0)
    return f"{', '.join(parts)}, so {a + b if operator == '+' else a - b}."


def column_problem(skill: str, a: int, operator: str, b: int) -> Problem:
    key = f"{a}{operator}{b}"
    answer = a + b if operator == "+" else a - b
    return Problem(skill, f"What is {key}?", str(answer), in_columns(a, operator, b), problem_split(key))


def addition(rng: random.Random) -> Problem:
    """Three digits plus three digits."""
    return column_problem("addition", rng.randint(100, 899), "+", rng.randint(100, 899))


def subtraction(rng: random.Random) -> Problem:
    """Three digits minus a smaller number of as many."""
    b, a = sorted(rng.sample(range(100, 1000), 2))
    return column_problem("subtraction", a, "-", b)


def column_sum(rng: random.Random) -> Problem:
    """A sum or difference of two- and three-digit numbers, or a product."""
    if rng.random() < 0.25:
        return replace(multiplication(rng), skill="column_sum")
    a, b = (rng.randint(11, 99) if rng.random() < 0.5 else rng.randint(100, 899) for _ in range(2))
    operator = rng.choice("+-")
    if operator == "-":
        a, b = max(a, b), min(a, b)
    return column_problem("column_sum", a, operator, b)


def any_sum(rng: random.Random) -> Problem:
    """One of the three."""
    problem = rng.choice((multiplication, addition, subtraction))(rng)
    return replace(problem, skill="sum")


NAMES = (
    "Ann,Ben,Cleo,Dan,Eva,Finn,Gina,Hugo,Ida,Jon,Kim,Lea,Max,Nora,Otto,Pia,Rosa,Sam,Tim,Uma,Emma,Tom,Anna,Paul,Lucy,"
    "Mark,Sara,Peter,Julia,Leo,Maria,David,Laura,Felix,Clara,Oscar,Alice,Henry,Grace,Jack,Ella,Simon,Ruth,Victor"
).split(",")
THINGS = (
    "apples,balls,beads,books,cards,coins,eggs,nuts,pears,pens,plums,shells,stamps,stones,cookies,marbles,oranges,"
    "bananas,sweets,flowers,candles,buttons,stickers,toys,cups,plates,bottles,chairs,tickets,pencils,lemons,cakes,hats,"
    "socks,kites,rings,bricks,tomatoes,carrots,cherries"
).split(",")
_MORE = "{n} buys {x} more.|{n} finds {x} more.|Then {n} gets {x} more.|A friend gives {n} {x} more.".split("|")
_LESS = "{n} loses {x} of them.|{n} gives away {x}.|Then {n} sells {x}.|A friend takes {x} of them.".split("|")


def word_problem(rng: random.Random) -> Problem:
    """A little story in order of time: two changes to a number of things."""
    name, things, have = rng.choice(NAMES), rng.choice(THINGS), rng.randint(5, 39)
    story, steps, key = [f"{name} has {have} {things}."], [], str(have)
    for _ in range(2):
        change = rng.randint(2, 9)
        if change < have and rng.random() < 0.5:
            story.append(rng.choice(_LESS).format(n=name, x=change))
            steps.append(f"{have}-{change}={have - change}")
            have, key = have - change, f"{key}-{change}"
        else:
            story.append(rng.choice(_MORE).format(n=name, x=change))
            steps.append(f"{have}+{change}={have + change}")
            have, key = have + change, f"{key}+{change}"
    question = " ".join([*story, f"How many {things} does {name} have now?"])
    return Problem("word_problem", question, str(have), ", ".join(steps) + f", so {have}.", problem_split(key))


def long_sum(rng: random.Random) -> Problem:
    """An expression with numbers too long for the head: `steps` is what one types into a calculator."""
    operator = rng.choice("+-*")
    a = rng.randint(1000, 9999)
    b = rng.randint(11, 99) if operator == "*" else rng.randint(1000, 9999)
    if operator == "-":
        a, b = max(a, b), min(a, b)
    expression = f"{a}{operator}{b}"
    answer = {"+": a + b, "-": a - b, "*": a * b}[operator]
    return Problem("tool", f"What is {expression}?", str(answer), expression, problem_split(expression))


MAKERS = {
    "multiplication": multiplication,
    "addition": addition,
    "subtraction": subtraction,
    "sum": any_sum,
    "column_sum": column_sum,
    "word_problem": word_problem,
    "tool": long_sum,
    "long_multiplication": long_multiplication,
}


def problems(skill: str, rng: random.Random, split: str) -> Iterator[Problem]:
    """Endless distinct-where-possible problems of one skill and split."""
    while True:
        problem = MAKERS[skill](rng)
        if problem.split == split:
            yield problem


PATTERNS = {
    "opposite": {word: other for word, other in (pair.split("|") for pair in OPPOSITES.replace("\n", "").split(";"))}
}
PATTERNS["first letter"] = {word: word[0] for word in PATTERNS["opposite"]}
PATTERNS["last letter"] = {word: word[-1] for word in PATTERNS["opposite"]}
PATTERNS["repeat"] = {word: word for word in PATTERNS["opposite"]}
"""Four mappings of the same words: without an example nobody can know which one is meant."""


def pattern_line(rng: random.Random, length: int, pattern: str | None = None) -> str:
    """`hot > cold; wet > dry; …`: one mapping, as many examples as asked for."""
    mapping = PATTERNS[pattern or rng.choice(sorted(PATTERNS))]
    return "; ".join(f"{word} > {mapping[word]}" for word in rng.sample(sorted(mapping), length)) + "."


def crafts() -> dict[str, list[str]]:
    """What one can do, and its four steps."""
    rows = (row.split("|") for row in CRAFTS.replace("\n", "").split(";"))
    return {row[0]: row[1:] for row in rows}


_CHAINS = (
    "First {0}, then {1}, after that {2}, and finally {3}.",
    "Start like this: {0}. Then {1}. After that {2}. Last of all {3}.",
    "There are four steps: {0}, {1}, {2}, and in the end {3}.",
)


def craft_text(steps: Sequence[str], rng: random.Random) -> str:
    """The four steps of a craft in one of several wordings."""
    return rng.choice(_CHAINS).format(*steps)
