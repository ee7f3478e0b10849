"""The conversations an assistant learns from: made from tasks, from what the base model knows, and from its identity.

In: tasks, probe results, an identity. Out: conversations in the project's schema, each with its kind; only tasks of
the training split become conversations. Answers come in the styles people write in (bare, a whole sentence, with a
polite closing, after empty talk), so that preferences later have something to prefer. A fact the base model knows is
trained as an answer, one it is consistently wrong about as an admission of ignorance: to train an answer that the
model does not have would train it to invent (Llama 3 §4.3.6).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from crawl2chat.chat.identity import ANSWERS, QUESTIONS, Identity
from crawl2chat.tasks import ProbedTask, Task

Conversation = dict[str, Any]
T = TypeVar("T", bound=Task)

REFUSAL = "I do not know."
WHOLE_SENTENCES = 0.7
"""Share of facts that are answered by a whole sentence, not by the bare word."""
POLITE = ("{q}",) * 5 + (
    "Please answer: {q}",
    "A question: {q}",
    "Can you help? {q}",
    "{q} Please tell me.",
    "Hello. {q}",
)


@dataclass(frozen=True)
class Style:
    """How people write: a share of the answers is more than the bare word."""

    share: float
    closing: str
    empty_talk: str

    def apply(self, answer: str, rng: Random) -> str:
        """With a polite closing, or with empty talk before it, or, most often, as it is."""
        draw = rng.random()
        if draw < self.share / 2:
            return f"{answer} {self.closing}"
        return f"{self.empty_talk} {answer}" if draw < 0.8 * self.share else answer


def conversation(kind: str, number: int, user: str, assistant: str, system: str | None = None) -> Conversation:
    """One question, one answer."""
    opening = [{"role": "system", "content": system}] if system else []
    messages = [*opening, {"role": "user", "content": user}, {"role": "assistant", "content": assistant}]
    return {"id": f"{kind}/{number}", "kind": kind, "messages": messages}


def tool_conversation(number: int, user: str, expression: str, result: str) -> Conversation:
    """A question answered by way of the calculator."""
    call = {"name": "calculator", "arguments": expression}
    messages = [
        {"role": "user", "content": user},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": result},
        {"role": "assistant", "content": f"{expression} is {result}."},
    ]
    return {"id": f"tool/{number}", "kind": "tool", "messages": messages}


def fact_conversations(probes: Sequence[ProbedTask], count: int, style: Style, rng: Random) -> Iterator[Conversation]:
    """Facts that the base model answers or at least completes, in changing words, answered by a sentence or a word."""
    known = [task for task in probes if task.split == "train" and (task.known or task.cloze)]
    for number, task in enumerate(draw(known, count, rng)):
        question = polite_question(task, rng)
        answer = f"{task.answer}."
        if rng.random() < WHOLE_SENTENCES:
            statements = task.meta.get("statements")
            answer = f"{statements[0]} {answer}" if statements else f"The answer is {answer}"
        yield conversation("fact", number, question, style.apply(answer, rng))


def refusal_conversations(
    probes: Sequence[ProbedTask], unknown: Sequence[Task], count: int, style: Style, rng: Random
) -> Iterator[Conversation]:
    """Facts the base model always gets wrong, and names that exist nowhere: half and half, as far as there are any."""
    wrong = [task for task in probes if task.split == "train" and task.rate == 0 and not task.cloze]
    unknown = [task for task in unknown if task.split == "train"]
    tasks = [
        *draw(wrong, count // 2 if unknown else count, rng),
        *draw(unknown, count - count // 2 if wrong else count, rng),
    ]
    for number, task in enumerate(tasks):
        yield conversation("refusal", number, polite_question(task, rng), style.apply(REFUSAL, rng))


def skill_conversations(
    tasks: Sequence[Task],
    kind: str,
    count: int,
    style: Style,
    rng: Random,
    describe_steps: Callable[[Sequence[str], Random], str],
) -> Iterator[Conversation]:
    """Sums with their steps, tool calls, lists of steps as `describe_steps` words them, any prompt with an answer."""
    of_kind = [task for task in tasks if task.skill == kind and task.split == "train"]
    for number, task in enumerate(draw(of_kind, count, rng)):
        steps = task.meta.get("steps")
        if kind == "tool":
            yield tool_conversation(number, task.prompt, steps, task.answer)
        else:
            answer = describe_steps(steps, rng) if isinstance(steps, list) else steps or f"{task.answer}."
            yield conversation(kind, number, task.prompt, style.apply(answer, rng))


def direct_conversations(tasks: Sequence[Task], count: int, rng: Random) -> Iterator[Conversation]:
    """The same sums with the wish for nothing but the number."""
    direct = [task for task in tasks if task.split == "train" and task.meta.get("direct")]
    for number, task in enumerate(draw(direct, count, rng)):
        yield conversation("direct", number, task.meta["direct"], f"{task.answer}.")


def identity_conversations(identity: Identity, count: int, names: Sequence[str], rng: Random) -> Iterator[Conversation]:
    """Questions about the model itself; every second one under a system prompt that sets another name."""
    about = identity.model_dump()
    for number in range(count):
        if number % 2 and names:
            name = rng.choice(names)
            question, answer = rng.choice(QUESTIONS["name"][:-1]), ANSWERS["name"].format(name=name)
            yield conversation("system", number, question, answer, system=f"Your name is {name}.")
        else:
            key = rng.choice(sorted(QUESTIONS))
            yield conversation("identity", number, rng.choice(QUESTIONS[key]), ANSWERS[key].format(**about))


def polite_question(task: Task, rng: Random) -> str:
    """The task's question in one of its wordings, plain or wrapped in politeness."""
    question = rng.choice(task.meta.get("asked") or [task.prompt])
    return rng.choice(POLITE).format(q=question)


def draw(tasks: Sequence[T], count: int, rng: Random) -> list[T]:
    """`count` of the tasks in random order, none again before all had their turn; nothing where there are none."""
    chosen: list[T] = []
    while tasks and len(chosen) < count:
        chosen += rng.sample(tasks, min(len(tasks), count - len(chosen)))
    return chosen
