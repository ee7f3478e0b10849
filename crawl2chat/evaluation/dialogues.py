"""The conversation exam: scripts of one to eight turns, played with a model and scored turn by turn.

In: scripts, from a file that people wrote or from a generator. A script's user says the next line whatever the model
answered, so that a bad answer burdens the turns behind it, as in real talk. Out: a row for each scored turn and, over
them, shares by kind. An answer is right if it holds what it must, nothing it must not, and does not run on.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from crawl2chat.chat.loop import without_markers
from crawl2chat.errors import UserError
from crawl2chat.evaluation.statistics import accuracy
from crawl2chat.tasks import equal_numbers, is_refusal, last_number, with_digits

PAGE_MARKS = re.compile(r"\b(Question|Answer|Quiz|Solution|Calculator|Result|Q|A):")
LONGEST = 60
"""Words of an answer, above which it has gone on into something else; steps of a craft take about 35."""


@dataclass(frozen=True)
class Said:
    """A line of the user and, where it is scored, what the answer must hold."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    say: str
    kind: str = ""
    # Regular expressions: all must be found in the answer, none of `reject`. Case does not count.
    expect: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()
    # What the last number of the answer must be.
    number: str | int | float | None = None
    # A tool that must have been called.
    tool: str = ""


@dataclass(frozen=True)
class Script:
    """A conversation to play."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: str
    turns: tuple[Said, ...]
    system: str = ""
    source: str = "families"


@dataclass(frozen=True)
class Heard:
    """A model's answer to one line: its text, whether it ended by itself, the tools it called."""

    text: str
    finished: bool
    tools: tuple[str, ...] = ()
    # What it adds to the conversation.
    messages: list[dict[str, Any]] = field(default_factory=list)
    # The probability of the least probable token that the model wrote.
    confidence: float | None = None


Answerer = Callable[[list[list[dict[str, Any]]]], list[Heard]]
"""Conversations that wait for an answer → an answer to each."""

SCHEMA = TypeAdapter(list[Script])
SLOT = re.compile(r"\{([a-z_]+\d*(?:\.[a-z]+)?)\}")


# ---- scripts


def read_scripts(folder: Path) -> list[Script]:
    """The scripts of every YAML file of a folder; `patterns` are expressions that `expect` may name as `@name`.

    Raises UserError naming the file and the key for what is no script.
    """
    from ruamel.yaml import YAML, YAMLError

    scripts: list[Script] = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            content = YAML(typ="safe").load(file.read_text(encoding="utf-8")) or {}
            rows = [{"source": file.stem} | dict(row) for row in content["dialogues"]]
            found = SCHEMA.validate_python(rows)
        except (YAMLError, KeyError, TypeError, ValueError, ValidationError) as error:
            problem = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else None
            what = f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" if problem else f"{error}"
            raise UserError(f"{file.name} is no file of dialogues ({what}); mend or remove it.") from None
        scripts += [with_patterns(script, content.get("patterns") or {}, file.name) for script in found]
    twice = [script.id for number, script in enumerate(scripts) if script.id in {s.id for s in scripts[:number]}]
    if twice:
        raise UserError(f"the dialogue {twice[0]!r} occurs twice in {folder.name}; make ids unique.")
    return scripts


def with_patterns(script: Script, patterns: Mapping[str, str], file: str) -> Script:
    """The script with every `@name` replaced; each expression must compile."""

    def resolve(expression: str) -> str:
        if expression.startswith("@") and expression[1:] not in patterns:
            raise UserError(f"{file}: dialogue {script.id!r} names the pattern {expression}, which is not there.")
        found = patterns[expression[1:]] if expression.startswith("@") else expression
        try:
            re.compile(SLOT.sub("word", found))
        except re.error as error:
            raise UserError(f"{file}: dialogue {script.id!r}: {found!r} is no regular expression ({error}).") from None
        return found

    turns = [
        replace(turn, expect=tuple(map(resolve, turn.expect)), reject=tuple(map(resolve, turn.reject)))
        for turn in script.turns
    ]
    return Script(script.id, tuple(turns), script.system, script.source)


def slots_of(script: Script) -> set[str]:
    """The names in braces that a script wants filled."""
    texts = [script.system]
    for turn in script.turns:
        texts += [turn.say, *turn.expect, *turn.reject]
    return {found for text in texts for found in SLOT.findall(text)}


def filled(script: Script, values: Mapping[str, str]) -> Script:
    """The script with its slots filled; in expressions the values stand for themselves."""

    def plain(text: str) -> str:
        return SLOT.sub(lambda match: values.get(match[1], match[0]), text)

    def escaped(text: str) -> str:
        return SLOT.sub(lambda match: re.escape(values[match[1]]) if match[1] in values else match[0], text)

    turns = [
        replace(
            turn,
            say=plain(turn.say),
            expect=tuple(map(escaped, turn.expect)),
            reject=tuple(map(escaped, turn.reject)),
        )
        for turn in script.turns
    ]
    return Script(script.id, tuple(turns), plain(script.system), script.source)


# ---- playing and judging


def play(scripts: Sequence[Script], answer: Answerer) -> list[dict[str, Any]]:
    """Plays all scripts side by side; a row for each turn, scored or not, in the order of the scripts."""
    talks = [[{"role": "system", "content": script.system}] if script.system else [] for script in scripts]
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    for turn in range(max((len(script.turns) for script in scripts), default=0)):
        open_talks = [number for number, script in enumerate(scripts) if len(script.turns) > turn]
        for number in open_talks:
            talks[number].append({"role": "user", "content": scripts[number].turns[turn].say})
        for number, heard in zip(open_talks, answer([talks[number] for number in open_talks]), strict=True):
            said = scripts[number].turns[turn]
            rows[number, turn] = {
                "id": scripts[number].id,
                "source": scripts[number].source,
                "system": scripts[number].system,
                "turn": turn + 1,
                "kind": said.kind,
                "say": said.say,
                "answer": heard.text,
                "tools": list(heard.tools),
                "correct": is_right(said, heard) if said.kind else None,
                "run_on": runs_on(heard),
                "refused": is_refusal(heard.text),
            }
            said_nothing = [{"role": "assistant", "content": heard.text.strip() or "…"}]
            talks[number] += heard.messages if heard.messages and heard.text.strip() else said_nothing
    return [rows[key] for key in sorted(rows)]


def is_right(said: Said, heard: Heard) -> bool:
    """Whether an answer holds what it must, and nothing more than an answer."""
    text = without_markers(heard.text)
    if not text.strip() or runs_on(heard):
        return False
    if said.number is not None:
        found = last_number(with_digits(text))
        if found is None or not equal_numbers(found, str(said.number)):
            return False
    return (
        all(re.search(each, text, re.IGNORECASE) for each in said.expect)
        and not any(re.search(each, text, re.IGNORECASE) for each in said.reject)
        and (not said.tool or said.tool in heard.tools)
    )


def runs_on(heard: Heard) -> bool:
    """Whether an answer goes on into something else: it never ends, shows marks of a page, or is far too long."""
    return not heard.finished or bool(PAGE_MARKS.search(heard.text)) or len(heard.text.split()) > LONGEST


def summarize(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Shares of right answers: by kind, the mean over kinds, that of first and of later turns, and of run-ons."""
    rows = list(rows)
    scored = [row for row in rows if row["kind"]]
    kinds = sorted({row["kind"] for row in scored})
    metrics: dict[str, Any] = {}
    parts = {
        "conversation": scored,
        "conversation_first": [row for row in scored if row["turn"] == 1],
        "conversation_later": [row for row in scored if row["turn"] > 1],
    }
    for source in sorted({row["source"] for row in scored}):
        parts[f"conversation_{source}"] = [row for row in scored if row["source"] == source]
    for name, part in parts.items():
        metrics |= mean_over_kinds(name, part)
    metrics |= accuracy("run_on", [row["run_on"] for row in rows])
    metrics |= accuracy("empty", [not row["answer"].strip() for row in rows])
    known = [row for row in scored if row["kind"] in ("fact", "follow_up", "return")]
    metrics |= accuracy("false_refusal_in_talk", [row["refused"] for row in known])
    for kind in kinds:
        metrics |= accuracy(f"talk_{kind}", [row["correct"] for row in scored if row["kind"] == kind])
    return metrics


def mean_over_kinds(name: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The mean of the kinds' shares with a 95 % interval from the kinds' binomial variances; kinds weigh the same."""
    by_kind: dict[str, list[bool]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row["correct"])
    if not by_kind:
        return {name: None, f"{name}_n": 0, f"{name}_low": None, f"{name}_high": None}
    shares = {kind: (sum(hits) + 1) / (len(hits) + 2) for kind, hits in by_kind.items()}  # Agresti's, for the variance
    variance = sum(p * (1 - p) / len(by_kind[kind]) for kind, p in shares.items()) / len(by_kind) ** 2
    mean = sum(sum(hits) / len(hits) for hits in by_kind.values()) / len(by_kind)
    spread = 1.96 * variance**0.5
    return {
        name: round(mean, 4),
        f"{name}_n": len(rows),
        f"{name}_low": round(max(0.0, mean - spread), 4),
        f"{name}_high": round(min(1.0, mean + spread), 4),
    }
