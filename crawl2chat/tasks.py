"""A task: a question whose answer can be checked, and the verifiers that check answers.

In: folders of JSON lines, one task a line. Out: `Task` records that probe, mixture, reinforcement learning and
evaluation share. One verifier a skill: the last number counts in sums, the named thing in facts, the honesty in
refusals. Verifiers look at the answer's text alone; how well it is written is another question, answered by a `Gold`
that callers pass in.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from crawl2chat.errors import UserError
from crawl2chat.jsonl import numbered_rows

NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


@dataclass(frozen=True, kw_only=True)
class Task:
    """A question with one right answer, as JSON: one object with these keys."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: str
    skill: str
    split: Literal["train", "dev", "test"]
    prompt: str
    answer: str
    aliases: tuple[str, ...] = ()
    # Whom a fact is about, and how often the corpus states it.
    entity: str | None = None
    mentions: int | None = None
    # What only some skills have: worked steps, other wordings of the question, statements to complete.
    meta: dict[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The task as JSON, keys in alphabetical order."""
        return {key: getattr(self, key) for key in sorted(Task.__dataclass_fields__)}


@dataclass(frozen=True, kw_only=True)
class ProbedTask(Task):
    """A task with what a base model answered before any fine-tuning."""

    # Whether it completes a statement of the fact.
    cloze: bool
    # Sampled answers to the question, and the share of right ones.
    answers: list[str]
    rate: float
    # Whether it completes a statement in words that no page uses; None where there is no such statement.
    cloze_apart: bool | None = None
    known: bool

    def record(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in ("cloze", "answers", "rate", "cloze_apart", "known")}
        return super().record() | {key: value for key, value in own.items() if value is not None}


T = TypeVar("T", bound=Task)
Gold = Callable[[Task, str], float]
"""The true worth of an answer to a task, where somebody knows it: watched and reported, never trained on."""

SCHEMAS = {kind: TypeAdapter(kind) for kind in (Task, ProbedTask)}


def parse_task(place: str, row: dict[str, Any], kind: type[T] = Task) -> T:
    """`row` as a task. Raises UserError that names `place`, the first bad key and the remedy."""
    try:
        return SCHEMAS[kind].validate_python(row)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = ".".join(map(str, problem["loc"]))
        raise UserError(f"{place}: {key!r} of the task: {problem['msg']}; correct or remove the task.") from None


def read_tasks(folder: Path, skills: Collection[str] = (), splits: Collection[str] = ()) -> list[Task]:
    """Tasks of a folder in the order of its files: of these skills and splits, by default of all.

    Raises UserError for a bad line, and where skills are named and there is no task of them.
    """
    tasks = [parse_task(place, row) for file in sorted(folder.glob("*.jsonl")) for place, row in numbered_rows(file)]
    chosen = [t for t in tasks if (not skills or t.skill in skills) and (not splits or t.split in splits)]
    if skills and not chosen:
        present = ", ".join(sorted({task.skill for task in tasks})) or "none"
        wanted = f"{' or '.join(splits)} task of {', '.join(skills)}".strip()
        raise UserError(f"{folder} holds no {wanted}; skills there: {present}.")
    return chosen


def read_probes(file: Path) -> list[ProbedTask]:
    """The tasks of a file with a base model's answers. Raises UserError for a bad line."""
    return [parse_task(place, row, ProbedTask) for place, row in numbered_rows(file)]


def write_tasks(folder: Path, tasks: Iterable[Task]) -> None:
    """One file a skill, in an existing folder."""
    by_skill: dict[str, list[str]] = {}
    for task in tasks:
        line = json.dumps(task.record(), ensure_ascii=False, sort_keys=True) + "\n"
        by_skill.setdefault(task.skill, []).append(line)
    for skill, lines in by_skill.items():
        (folder / f"{skill}.jsonl").write_text("".join(lines), encoding="utf-8")


# ---- verifiers

NUMERIC = {"multiplication", "addition", "subtraction", "sum", "word_problem", "tool", "long_multiplication", "gsm8k"}

REFUSALS = (
    "i do not know",
    "i don't know",
    "no idea",
    "never heard",
    "nobody here knows",
    "i am not sure",
    "i cannot answer",
)


def verify(task: Task, answer: str) -> bool:
    """Whether the answer solves the task."""
    if task.skill == "refusal":
        return is_refusal(answer) or answer.strip().startswith("search(")  # to look it up first is honest too
    if task.skill == "talk":
        return all(re.search(each, answer, re.IGNORECASE) for each in task.meta["expect"])
    if task.skill == "craft":
        positions = [answer.find(step) for step in task.meta["steps"]]
        return min(positions) >= 0 and positions == sorted(positions)
    if task.skill in NUMERIC or is_number(task.answer):
        number = last_number(answer)
        return number is not None and equal_numbers(number, task.answer)
    return not is_refusal(answer) and any(names(answer, thing) for thing in (task.answer, *task.aliases))


def well_formed(task: Task, answer: str) -> bool:
    """Whether a worked sum has its form: steps, then `so N.` Reported apart from being right."""
    if task.skill in NUMERIC - {"tool", "gsm8k"}:
        return re.search(r"=\d+.*, so -?\d+\.?(?: |$)", answer.strip()) is not None
    return bool(answer.strip())


def is_refusal(answer: str) -> bool:
    """Whether the answer admits not to know."""
    text = answer.lower()
    return any(phrase in text for phrase in REFUSALS)


def last_number(text: str) -> str | None:
    """The last number of a text without thousands separators or a trailing full stop: `so 1,060.` gives `1060`."""
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    return found[-1].replace(",", "") if found else None


def with_digits(text: str) -> str:
    """Number words up to ninety-nine as digits."""
    units = "|".join(sorted(NUMBER_WORDS, key=len, reverse=True))
    tens = "|".join(TENS)
    found = re.compile(rf"\b(?:({tens})(?:[- ]({units}))?|({units}))\b", re.IGNORECASE)
    return found.sub(lambda match: _number(match[1], match[2] or match[3]), text)


def _number(ten: str | None, unit: str | None) -> str:
    value = (TENS.index(ten.lower()) + 2) * 10 if ten else 0
    return str(value + (NUMBER_WORDS.index(unit.lower()) if unit else 0))


def names(answer: str, thing: str) -> bool:
    """Whether the answer mentions the thing as whole words, whatever the case."""
    return re.search(rf"(?<!\w){re.escape(thing)}(?!\w)", answer, re.IGNORECASE) is not None


def is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d[\d,]*(?:\.\d+)?", text.strip()) is not None


def equal_numbers(a: str, b: str) -> bool:
    try:
        return float(a) == float(b.replace(",", ""))
    except ValueError:
        return False
