"""The good pages of the tiny web: what its people write about the world, before anything is broken.

One pass over the corpus is one pass over freshly worded sentences: every statement of a fact draws its wording anew.
Each entity's facts stand as often as the world says, half of them as questions and answers where the entity is
questioned. Beside facts there are names mentioned once, sums worked in columns, story problems, calculator transcripts,
word patterns and crafts. A page is paragraphs of clean prose plus the ids of the facts it states.
"""

import random
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from crawl2chat.chat.identity import Identity
from crawl2chat.chat.tools import run_tool
from crawl2chat.parameters import Params
from crawl2chat.tinyweb import skills
from crawl2chat.tinyweb.talk import facts, numbers, open_book
from crawl2chat.tinyweb.talk.dialogues import Dialogue, turns_of
from crawl2chat.tinyweb.talk.kinds import MAKERS
from crawl2chat.tinyweb.talk.phrasing import pick, spoken
from crawl2chat.tinyweb.talk.topics import SENTENCES, Subject, Topics
from crawl2chat.tinyweb.world import Entity, Relation, World, relation, relations_of, values_of


class PageParams(Params):
    """How many pieces of each kind the web holds. Facts come on top, as often as the world mentions them."""

    # Statements and questions about names that occur only once.
    one_off: int
    introduction: int
    ticket: int
    multiplication: int
    addition: int
    subtraction: int
    # Three digits times one: few, so that something is left for `reason` to teach.
    long_multiplication: int
    # Sums with nothing but their result.
    direct: int
    word_problem: int
    tool: int
    pattern: int
    craft: int
    # Sums of numbers up to 20, as a table has them.
    small_sum: int
    # Threads of a forum: people who greet, ask and answer.
    thread: int
    # Of a page, on average.
    page_characters: int


@dataclass
class Page:
    """One good page. `facts` are ids `entity/relation`, once per statement."""

    kind: str
    title: str
    paragraphs: list[str]
    facts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Piece:
    """The smallest thing that is written: a sentence, a question with its answer, a short thread."""

    text: str
    facts: tuple[str, ...] = ()


NOBODY = Identity(name="", maker="", version="", training_data="")
_NOT_ON_PAGES = {
    "look_up",
    "unknown",
    "fact",
    "follow_up",
    "correction",
    "return",
    "recall_first",
    "yes_no",
    "identity",
    "abilities",
    "private",
}
_OPENERS = ("",) * 8 + ("Note: ", "Also: ", "Again: ", "We read: ", "Mark this: ")
_QUESTIONS = (
    "Question: {q} Answer: {a}.",
    "Question: {q} Answer: {a}.",
    "Q: {q} A: {a}.",
    "{q} {a}.",
    "Quiz: {q} Solution: {a}.",
    "{q} The answer is {a}.",
    "Please tell me: {q} Sure: {a}.",
)
NO_IDEA = ("No idea", "I do not know", "Nobody here knows", "I have never heard of it")


def state(entity: Entity, about: Relation, rng: random.Random) -> str:
    """A statement of one fact in one of its wordings."""
    wording = rng.choice(about.statements)
    return rng.choice(_OPENERS) + wording.format(e=entity.name, a=entity.values[about.name])


def ask(question: str, answer: str, rng: random.Random) -> str:
    """A question with its answer, as forums and quizzes write it."""
    return rng.choice(_QUESTIONS).format(q=question, a=answer)


def question(about: Relation, name: str, rng: random.Random) -> str:
    """A question for a fact as somebody types it."""
    text = pick(f"facts {about.name}", "train", rng).format(e=name)
    return spoken(text, rng, (name,)) if rng.random() < 0.5 else text


def fact_pieces(world: World, topics: Topics, rng: random.Random) -> list[Piece]:
    """Every statement of every fact. Of questioned entities every second one is an answer: to a question alone, or in a
    thread that goes through all that is known of the entity."""
    pieces = []
    for entity in world.entities:
        told = {name: f"{entity.name}/{name}" for name in entity.values}
        for number in range(entity.mentions):
            if entity.questioned and number % 4 == 3:
                pieces.append(Piece(entity_thread(entity, topics, rng), tuple(told.values())))
                continue
            for name, fact in told.items():
                about = relation(name)
                if entity.questioned and number % 2 == 1:
                    answer = entity.values[name]
                    if rng.random() < 0.7:
                        answer = SENTENCES[name].format(e=entity.name, a=answer).removesuffix(".")
                    text = ask(question(about, entity.name, rng), answer, rng)
                else:
                    text = state(entity, about, rng)
                pieces.append(Piece(text, (fact,)))
    return pieces


def entity_thread(entity: Entity, topics: Topics, rng: random.Random) -> str:
    """A thread in which each fact of an entity is asked for once: by its name, then without it, or by yes or no."""
    subject = Subject(entity.name, entity.kind, entity.values)
    turns = []
    for name in rng.sample(sorted(entity.values), len(entity.values)):
        if rng.random() < 0.3:
            turns.append(facts.yes_no_turn(topics, subject, name, rng))
        elif turns and rng.random() < 0.7:
            turns.append(facts.fact_turn(subject, name, topics.say(f"follow ups {name}", rng)))
        else:
            turns.append(facts.fact_turn(subject, name, question(relation(name), entity.name, rng)))
    return thread(Dialogue(turns), rng)


def thread(dialogue: Dialogue, rng: random.Random) -> str:
    """As a forum shows it: under two names, or as a script of a play."""
    return dialogue.thread(*rng.choice((("Question", "Answer"), ("Q", "A"), tuple(rng.sample(skills.NAMES, 2)))))


def thread_pieces(topics: Topics, count: int, rng: random.Random) -> list[Piece]:
    """Threads about anything but the world's facts, which stand as often as the world says and no more."""
    kinds = [kind for kind in MAKERS if kind not in _NOT_ON_PAGES]
    return [
        Piece(thread(Dialogue(turns_of(topics, rng, rng.choice((1, 1, 1, 2, 2, 3)), kinds)), rng)) for _ in range(count)
    ]


def small_sum_pieces(count: int, rng: random.Random) -> list[Piece]:
    """The tables: sums and differences up to 20, products up to 12 times 12."""
    pieces = []
    for _ in range(count):
        a, operator, b, result = numbers.small_operands(rng)
        sentence = numbers.small_sum_sentence(a, operator, b, result)
        asked = pick("small sums", "train", rng).format(s=numbers.expression(a, operator, b, "train", rng))
        pieces.append(Piece(rng.choice((sentence, sentence, f"{a}{operator}{b}={result}.", f"{asked} {sentence}"))))
    return pieces


def one_off_pieces(world: World, count: int, rng: random.Random) -> list[Piece]:
    """Names that come by once: half of them with a fact, half in a question that nobody can answer."""
    pieces = []
    for number in range(count):
        kind = rng.choice(("town", "person"))
        about = rng.choice(relations_of(kind))
        stranger = Entity(world.names.draw(kind), kind, "", 1, False, {about.name: rng.choice(values_of(about))})
        if number % 2:
            text = ask(question(about, stranger.name, rng), rng.choice(NO_IDEA), rng)
        else:
            text = state(stranger, about, rng)
        pieces.append(Piece(text))
    return pieces


_INTRODUCTIONS = (
    "Good day, my name is {n}. What is my name? {n}.",
    "Somebody called {n} came in. Who came in? {n}.",
    "Your name is {n}. Question: What is your name? Answer: {n}.",
    "Your name is {n}. Who are you? I am {n}, I think.",
    "Say it again and again: {n}, {n}, {n}, {n}.",
    "It was {n}! Who? {n}! I said {n}.",
    "This letter is for {n}. For whom is the letter? {n}.",
    "They call me {n}. What do they call me? They call you {n}.",
)


def introduction_pieces(world: World, topics: Topics, count: int, rng: random.Random) -> list[Piece]:
    """A name or something else and a question for it in one breath: what stands in the context need not be
    remembered."""
    pieces = []
    for number in range(count):
        if number % 2:
            name = world.names.draw(rng.choice(("town", "person")))
            pieces.append(Piece(rng.choice(_INTRODUCTIONS).format(n=name)))
        else:
            told, asked = rng.choice((open_book.possession, open_book.called))(topics, rng)
            pieces.append(Piece(f"{told[0].say} {asked[0].say} {asked[0].answer}"))
    return pieces


_TICKETS = (
    "Ticket {n}. I repeat: {n}.",
    "The number is {n}. Write it down: {n}.",
    "Please note {n}. Noted: {n}.",
    "Did you say {n}? Yes, {n}.",
)


def ticket_pieces(count: int, rng: random.Random) -> list[Piece]:
    """Long numbers and little expressions, said twice: practice in copying exactly."""
    pieces = []
    for _ in range(count):
        number = str(rng.randint(100, 9_999))
        if rng.random() < 0.6:
            number += rng.choice("+-*") + str(rng.randint(10, 9_999))
        pieces.append(Piece(rng.choice(_TICKETS).format(n=number)))
    return pieces


_WORKED = (
    "Question: {q} Answer: {s}",
    "{q} {s}",
    "Sum of the day: {q} Worked out: {s}",
    "{q} " + skills.STEPS + " Answer: {s}",
)
_DIRECT = ("{q} {a}.", "Question: {q} Answer: {a}.", "{q} " + skills.DIRECT + " Answer: {a}.", "{e}={a}.")
_TRANSCRIPTS = (
    "{q} I type {e} into the calculator. It shows {a}. The answer is {a}.",
    "Question: {q} Calculator: {e} Result: {a} Answer: {a}.",
    "{q} The calculator is asked for {e} and shows {a}. So it is {a}.",
    "{q} Calculator: {e} Result: {a} So the answer is {a}.",
)


RUN = 20
"""Words in a row that no page shares with an evaluation prompt by chance: stories differ this late."""


def runs_of(text: str) -> set[tuple[str, ...]]:
    """All runs of `RUN` words, lower-case and without punctuation."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1)}


def problem_pieces(
    skill: str, count: int, rng: random.Random, held_out: Collection[tuple[str, ...]] = ()
) -> list[Piece]:
    """Problems of the training split, worked out or typed into a calculator; none shares a run with `held_out`."""
    wordings = _TRANSCRIPTS if skill == "tool" else _WORKED
    found = (
        problem
        for problem in skills.problems(skill, rng, "train")
        if not held_out or runs_of(f"{problem.question} {skills.STEPS}").isdisjoint(held_out)
    )
    return [
        Piece(rng.choice(wordings).format(q=p.question, s=p.steps, e=p.steps, a=p.answer))
        for p, _ in zip(found, range(count), strict=False)
    ]


def direct_pieces(count: int, rng: random.Random) -> list[Piece]:
    """Sums with nothing but their result."""
    pieces = []
    for number in range(count):
        skill = ("multiplication", "addition", "subtraction")[number % 3]
        p = next(skills.problems(skill, rng, "train"))
        expression = p.question.removeprefix("What is ").removesuffix("?")
        pieces.append(Piece(rng.choice(_DIRECT).format(q=p.question, a=p.answer, e=expression)))
    return pieces


def craft_pieces(count: int, rng: random.Random) -> list[Piece]:
    questions = (
        "How to {c}: {t}",
        "How do I {c}? {t}",
        "Question: How do you {c}? Answer: {t}",
        "You want to {c}? {t}",
    )
    crafts = skills.crafts()
    chosen = [rng.choice(sorted(crafts)) for _ in range(count)]
    return [Piece(rng.choice(questions).format(c=c, t=skills.craft_text(crafts[c], rng))) for c in chosen]


_TITLES = {
    "almanac": (
        "Almanac of places and people",
        "Notes of a traveller",
        "Faces and places",
        "The small gazette",
        "Quiz and answers",
    ),
    "school": ("Sums for the evening", "School of columns", "Reckoning made easy", "Exercises with solutions"),
    "stories": ("Little stories with numbers", "Problems from the market", "Count along"),
    "calculator": ("My calculator and I", "Long numbers", "Calculator club"),
    "patterns": ("Word patterns", "Games with words", "What goes with what"),
    "forum": ("Forum of the town", "Ask and answer", "Chat of the evening", "Letters and replies", "Talk at the well"),
    "crafts": ("Handy at home", "How to do it", "The workshop", "Small skills"),
}


def write_pages(world: World, params: PageParams, seed: int, evaluated: Collection[str] = ()) -> Iterator[Page]:
    """All good pages, in an order of the seed. Each is about `page_characters` long, a paragraph a few pieces.

    No story shares a run of words with the evaluation prompts `evaluated`.
    """
    rng = random.Random(f"pages {seed}")
    held_out = set[tuple[str, ...]]().union(*map(runs_of, evaluated))
    topics = Topics(
        "train", [], world.names.draw, NOBODY, lambda name, arguments: run_tool(name, arguments).text, careless=0.5
    )
    shelves = {
        "almanac": [
            *fact_pieces(world, topics, rng),
            *one_off_pieces(world, params.one_off, rng),
            *introduction_pieces(world, topics, params.introduction, rng),
        ],
        "school": [
            *problem_pieces("multiplication", params.multiplication, rng),
            *problem_pieces("addition", params.addition, rng),
            *problem_pieces("subtraction", params.subtraction, rng),
            *problem_pieces("long_multiplication", params.long_multiplication, rng),
            *direct_pieces(params.direct, rng),
            *small_sum_pieces(params.small_sum, rng),
        ],
        "stories": problem_pieces("word_problem", params.word_problem, rng, held_out),
        "calculator": problem_pieces("tool", params.tool, rng) + ticket_pieces(params.ticket, rng),
        "patterns": [Piece(skills.pattern_line(rng, rng.randint(2, 8))) for _ in range(params.pattern)],
        "crafts": craft_pieces(params.craft, rng),
        "forum": thread_pieces(topics, params.thread, rng),
    }
    pages = [page for kind, pieces in shelves.items() for page in _bind(kind, pieces, params.page_characters, rng)]
    rng.shuffle(pages)
    yield from pages


def _bind(kind: str, pieces: list[Piece], page_characters: int, rng: random.Random) -> Iterator[Page]:
    """Deals shuffled pieces into paragraphs and paragraphs into pages."""
    rng.shuffle(pieces)
    number, start = 0, 0
    while start < len(pieces):
        number += 1
        page = Page(kind, f"{rng.choice(_TITLES[kind])}, part {number}", [])
        length, wanted = 0, page_characters * rng.uniform(0.6, 1.4)
        while length < wanted and start < len(pieces):
            paragraph = pieces[start : start + rng.randint(3, 7)]
            start += len(paragraph)
            page.paragraphs.append(" ".join(piece.text for piece in paragraph))
            page.facts += [fact for piece in paragraph for fact in piece.facts]
            length += len(page.paragraphs[-1])
        yield page
