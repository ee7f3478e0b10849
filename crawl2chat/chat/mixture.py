"""The conversations an assistant learns from: made from tasks, from what the base model knows, and from who it shall be.

In: tasks of the training split, probe results, an identity. Out: conversations in the project's schema, each with its kind.
Answers come in the styles people write in (bare, a whole sentence, with a polite closing, after empty talk), so that preferences later have
something to prefer. A fact the base model knows is trained as an answer, one it is consistently wrong about as an admission
of ignorance: teaching an answer the model does not have would teach it to invent (Llama 3 §4.3.6).
"""

import random
from collections.abc import Iterator, Sequence

from crawl2chat.parameters import Params
from crawl2chat.tinyweb import skills
from crawl2chat.tinyweb.gold import CLOSING, EMPTY_TALK

REFUSAL = "I do not know."
THINKING = 0.4
"""Share of plain sums that people answer with steps. The rest they answer at once: reinforcement learning has to find out
for itself that a model which thinks in tokens is right more often."""


class Identity(Params):
    """Knowledge of self: what the model says about itself when nobody tells it otherwise."""

    name: str = "Pip"
    maker: str = "the crawl2chat project"
    version: str = "1"
    training_data: str = "pages of a small web"


def conversation(kind: str, number: int, user: str, assistant: str, system: str | None = None) -> dict:
    """One question, one answer."""
    opening = [{"role": "system", "content": system}] if system else []
    messages = [*opening, {"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    return {"id": f"{kind}/{number}", "kind": kind, "messages": messages}


def with_tool(number: int, user: str, expression: str, result: str) -> dict:
    """A question answered by way of the calculator."""
    call = {"name": "calculator", "arguments": expression}
    messages = [
        {"role": "user", "content": user},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": result},
        {"role": "assistant", "content": f"{result}."},
    ]
    return {"id": f"tool/{number}", "kind": "tool", "messages": messages}


def fact_conversations(probes: Sequence[dict], count: int, styled: float, rng: random.Random) -> Iterator[dict]:
    """Facts of the training split that the base model answers or at least completes, asked in changing words; a share
    `styled` of the answers is more than the bare word."""
    known = [row for row in probes if row["split"] == "train" and (row["known"] or row["cloze"])]
    for number, row in enumerate(_cycle(known, count, rng)):
        question = rng.choice(row["meta"].get("asked") or [row["prompt"]])
        yield conversation("fact", number, _asked(question, rng), _answered(row, styled, rng))


def refusal_conversations(
    probes: Sequence[dict], strangers: Sequence[dict], count: int, styled: float, rng: random.Random
) -> Iterator[dict]:
    """Facts the base model always gets wrong, and names that exist nowhere: half and half, as far as there are any."""
    wrong = [row for row in probes if row["split"] == "train" and row["rate"] == 0 and not row["cloze"]]
    strange = [task for task in strangers if task["split"] == "train"]
    rows = [
        *_cycle(wrong, count // 2 if strange else count, rng),
        *_cycle(strange, count - count // 2 if wrong else count, rng),
    ]
    for number, row in enumerate(rows):
        question = rng.choice(row["meta"].get("asked") or [row["prompt"]])
        yield conversation("refusal", number, _asked(question, rng), _dressed(REFUSAL, styled, rng))


def skill_conversations(
    tasks: Sequence[dict], kind: str, count: int, styled: float, rng: random.Random
) -> Iterator[dict]:
    """Sums with their steps, tool calls, handicrafts, or whatever else comes as a prompt with an answer."""
    rows = [task for task in tasks if task["skill"] == kind and task["split"] == "train"]
    for number, task in enumerate(_cycle(rows, count, rng)):
        steps = task["meta"].get("steps")
        if kind == "sum" and rng.random() >= THINKING:
            steps = None
        if kind == "tool":
            yield with_tool(number, task["prompt"], steps, task["answer"])
        elif kind == "craft":
            name = task["prompt"].removeprefix("How do I ").removesuffix("?")
            yield conversation(kind, number, task["prompt"], _dressed(skills.craft_text(name, rng), styled, rng))
        else:
            answer = _dressed(steps or f"{task['answer']}.", styled, rng)
            yield conversation(kind, number, task["prompt"], answer)


def direct_conversations(tasks: Sequence[dict], count: int, rng: random.Random) -> Iterator[dict]:
    """The same sums with the wish for nothing but the number."""
    rows = [task for task in tasks if task["split"] == "train" and task["meta"].get("direct")]
    for number, task in enumerate(_cycle(rows, count, rng)):
        yield conversation("direct", number, task["meta"]["direct"], f"{task['answer']}.")


SELF_QUESTIONS = {
    "name": (
        "What is your name?",
        "Who are you?",
        "What are you called?",
        "Tell me your name.",
        "How shall I call you?",
    ),
    "maker": ("Who made you?", "Who built you?", "Who is your maker?", "Where do you come from?", "Who trained you?"),
    "version": ("Which version are you?", "What is your version?", "Tell me your version."),
    "training_data": ("What were you trained on?", "What have you read?", "What is your training data?"),
}
SELF_ANSWERS = {
    "name": "I am {name}, a small language model.",
    "maker": "I was made by {maker}.",
    "version": "I am version {version} of {name}.",
    "training_data": "I have read {training_data}.",
}


def identity_conversations(identity: Identity, count: int, names: Sequence[str], rng: random.Random) -> Iterator[dict]:
    """Questions about the model itself; every second one under a system prompt that gives it another name."""
    about = identity.model_dump()
    for number in range(count):
        if number % 2 and names:
            name = rng.choice(names)
            yield conversation(
                "system",
                number,
                rng.choice(SELF_QUESTIONS["name"][:-1]),
                SELF_ANSWERS["name"].format(name=name),
                system=f"Your name is {name}.",
            )
        else:
            key = rng.choice(sorted(SELF_QUESTIONS))
            yield conversation("identity", number, rng.choice(SELF_QUESTIONS[key]), SELF_ANSWERS[key].format(**about))


_POLITE = ("{q}",) * 5 + (
    "Please answer: {q}",
    "A question: {q}",
    "Can you help? {q}",
    "{q} Please tell me.",
    "Hello. {q}",
)


def _asked(question: str, rng: random.Random) -> str:
    return rng.choice(_POLITE).format(q=question)


def _answered(row: dict, styled: float, rng: random.Random) -> str:
    """The bare word or, in a share `styled`, more: half of these as a whole sentence."""
    answer = row["answer"]
    if rng.random() < styled / 2:
        told = row["meta"].get("statements")
        return _dressed(f"{rng.choice(told)} {answer}." if told else f"The answer is {answer}.", styled, rng)
    return _dressed(f"{answer}.", styled, rng)


def _dressed(answer: str, styled: float, rng: random.Random) -> str:
    """With a polite closing, or with empty talk before it, or, most often, as it is."""
    draw = rng.random()
    if draw < styled / 2:
        return f"{answer} {CLOSING}"
    return f"{EMPTY_TALK} {answer}" if draw < 0.8 * styled else answer


def _cycle(rows: Sequence[dict], count: int, rng: random.Random) -> list[dict]:
    """`count` of the rows in random order, none again before all had their turn; nothing where there are none."""
    chosen: list[dict] = []
    while rows and len(chosen) < count:
        chosen += rng.sample(rows, min(len(rows), count - len(chosen)))
    return chosen
