"""One table for all models: the same questions to the simulator, the assistant, the reasoner and the chat model.

In: a model, tasks of the test split, the probe's results. Out: numbers with n and interval, and the answers themselves.
A base model is asked by prompt alone, as a page would ask; every other one as a person would, with its tools. Facts are
reported by what the base model knew before anybody taught it anything, so that extraction, honest ignorance and false
refusals are told apart.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from crawl2chat.chat.loop import answer
from crawl2chat.chat.mixture import SELF_ANSWERS, SELF_QUESTIONS, Identity
from crawl2chat.evaluation.probes import QUESTION, cloze_prompt, continuations, first_sentence
from crawl2chat.evaluation.statistics import accuracy, as_metrics, mean
from crawl2chat.evaluation.tasks import NUMERIC, is_refusal, names, verify, well_formed
from crawl2chat.model.network import Transformer
from crawl2chat.tinyweb.gold import gold
from crawl2chat.tokens.tokenizer import Tokenizer

ELSEWHERE = {"fact", "refusal", "pattern"}  # skills with an examination of their own


@dataclass(frozen=True)
class Said:
    """An answer, whether its turn ended by itself, and how many tools it called."""

    text: str
    finished: bool
    calls: int


@dataclass(frozen=True)
class Exam:
    """What every model is asked: tasks of the test split, probed facts, and how much of each."""

    tasks: list[dict]
    probes: list[dict]
    identity: Identity
    names: list[str]  # given to the model by system prompts
    per_skill: int = 250
    max_new_tokens: int = 80
    seed: int = 0

    def of(self, skill: str) -> list[dict]:
        return [task for task in self.tasks if task["skill"] == skill and task["split"] == "test"][: self.per_skill]

    @property
    def facts(self) -> list[dict]:
        return [row for row in self.probes if row["split"] == "test"]

    @property
    def other_skills(self) -> list[str]:
        return sorted({task["skill"] for task in self.tasks} - ELSEWHERE)


class Examinee:
    """A model that answers questions, in its own way."""

    def __init__(self, name: str, model: Transformer, tokenizer: Tokenizer, exam: Exam) -> None:
        self.name, self.model, self.tokenizer, self.exam = name, model, tokenizer, exam
        self.converses = name != "base"
        self.ended: list[bool] = []

    def ask(self, prompts: Sequence[str], system: Sequence[str | None] = ()) -> list[Said]:
        """One greedy answer to each prompt."""
        if not self.converses:
            texts = [QUESTION.format(question=prompt) for prompt in prompts]
            said = self.go_on(texts, self.exam.max_new_tokens)
            return [Said(first_sentence(text), False, 0) for text in said]
        openings = system or [None] * len(prompts)
        conversations = [
            [*([{"role": "system", "content": opening}] if opening else []), {"role": "user", "content": prompt}]
            for prompt, opening in zip(prompts, openings, strict=True)
        ]
        answers = answer(
            self.model,
            self.tokenizer,
            conversations,
            max_new_tokens=self.exam.max_new_tokens,
            temperature=0.0,
            seed=self.exam.seed,
        )
        self.ended += [one.finished for one in answers]
        return [Said(one.text, one.finished, len(one.tool_calls)) for one in answers]

    def go_on(self, texts: Sequence[str], max_new_tokens: int) -> list[str]:
        """Greedy continuation of each text as a page."""
        return continuations(self.model, self.tokenizer, texts, max_new_tokens=max_new_tokens)


def examine(who: Examinee) -> tuple[dict, list[dict]]:
    """All numbers of one model, and every answer it gave. The keys are the same for every model."""
    exam, rows = who.exam, []

    def ask(kind: str, tasks: Sequence[dict], prompts: Sequence[str] | None = None) -> list[Said]:
        wanted = prompts if prompts is not None else [task["prompt"] for task in tasks]
        said = who.ask(wanted) if wanted else []
        rows.extend(
            {
                "model": who.name,
                "kind": kind,
                "id": task["id"],
                "prompt": prompt,
                "truth": task["answer"],
                "answer": one.text,
                "correct": verify(task, one.text),
                "gold": gold(task, one.text),
                "finished": one.finished,
            }
            for task, prompt, one in zip(tasks, wanted, said, strict=True)
        )
        return said

    metrics: dict = {}
    metrics |= _facts(exam, ask)
    metrics |= _refusals(exam, ask)
    metrics |= _skills(exam, ask)
    metrics |= _raw_text(exam, who)
    metrics |= _self_knowledge(exam, who)
    metrics |= accuracy("ending", who.ended)
    asked = [row["gold"] for row in rows if row["kind"] in ("fact", "refusal", "subtraction", "craft")]
    metrics |= as_metrics("gold", mean(asked)) if asked else {}
    return metrics, rows


def _facts(exam: Exam, ask) -> dict:
    """Extraction: facts of entities that fine-tuning never asked about, apart by whether the base model knew them."""
    facts = exam.facts
    said = ask("fact", facts)
    right = [verify(row, one.text) for row, one in zip(facts, said, strict=True)]
    refused = [is_refusal(one.text) for one in said]
    known = [row["known"] for row in facts]
    invented = [row["known"] and row["meta"].get("kind") != "country" for row in facts]
    unlearnt = [row["rate"] == 0 and not row["cloze"] for row in facts]
    far = [row for row in facts if row["known"] and row["meta"].get("far")]
    far_said = ask("fact_far", far, [row["meta"]["far"] for row in far])
    return (
        accuracy("fact", right)
        | accuracy("fact_known", _where(right, known))
        | accuracy("fact_known_invented", _where(right, invented))
        | accuracy("fact_completed", _where(right, [row["cloze"] for row in facts]))
        | accuracy("fact_known_far", [verify(row, one.text) for row, one in zip(far, far_said, strict=True)])
        | accuracy("false_refusal", _where(refused, invented))
        | accuracy("refusal_unlearnt", _where(refused, unlearnt))
    )


def _refusals(exam: Exam, ask) -> dict:
    """Names that no page mentions: the only right answer is not to know."""
    said = ask("refusal", exam.of("refusal"))
    return accuracy("refusal_unknown", [is_refusal(one.text) for one in said])


def _skills(exam: Exam, ask) -> dict:
    """Every other skill; sums also with the wish for nothing but the number, and their form apart from their result."""
    metrics: dict = {}
    with_steps, at_once = [], []
    for skill in exam.other_skills:
        tasks = exam.of(skill)
        said = ask(skill, tasks)
        right = [verify(task, one.text) for task, one in zip(tasks, said, strict=True)]
        metrics |= accuracy(skill, right)
        if skill == "tool":
            metrics |= accuracy("tool_called", [one.calls > 0 for one in said])
        if skill == "sum":
            shown = [well_formed(task, one.text) for task, one in zip(tasks, said, strict=True)]
            metrics |= accuracy("sum_steps_shown", shown)
        direct = [task for task in tasks if task["meta"].get("direct")]
        if direct:
            said_at_once = ask(f"{skill}_direct", direct, [task["meta"]["direct"] for task in direct])
            hits = [verify(task, one.text) for task, one in zip(direct, said_at_once, strict=True)]
            metrics |= accuracy(f"{skill}_direct", hits)
            if skill in NUMERIC - {"word_problem"}:
                with_steps, at_once = with_steps + right, at_once + hits
                form = [well_formed(task, one.text) for task, one in zip(tasks, said, strict=True)]
                metrics |= accuracy(f"{skill}_format", form)
    return metrics | accuracy("arithmetic_steps", with_steps) | accuracy("arithmetic_direct", at_once)


def _raw_text(exam: Exam, who: Examinee) -> dict:
    """Is it still a simulator of pages? Cloze recall of what the base model recalled, and patterns in context."""
    recalled = [row for row in exam.facts if row["cloze"]]
    told = who.go_on([cloze_prompt(row) for row in recalled], 10)
    kept = [verify(row, first_sentence(text)) for row, text in zip(recalled, told, strict=True)]
    patterns = exam.of("pattern")
    shots = {
        "pattern_zero_shot": [task["meta"]["zero_shot"] for task in patterns],
        "pattern_one_shot": [task["prompt"] for task in patterns],
    }
    metrics = accuracy("recall_kept", kept)
    for name, prompts in shots.items():
        said = who.go_on([f" {prompt}" for prompt in prompts], 5)  # as a line inside a page begins
        first = [text.replace(".", ";").split(";")[0].strip() for text in said]
        metrics |= accuracy(name, [text == task["answer"] for text, task in zip(first, patterns, strict=True)])
    return metrics


def _self_knowledge(exam: Exam, who: Examinee) -> dict:
    """Who are you? Asked plainly, and under system prompts that give another name."""
    about = exam.identity.model_dump()
    plain = [(question, about[key]) for key in sorted(SELF_ANSWERS) for question in SELF_QUESTIONS[key]]
    said = who.ask([question for question, _ in plain])
    metrics = accuracy("identity", [names(one.text, truth) for one, (_, truth) in zip(said, plain, strict=True)])
    rng = random.Random(exam.seed)
    given = exam.names[:100]
    questions = [rng.choice(SELF_QUESTIONS["name"]) for _ in given]
    said = who.ask(questions, [f"Your name is {name}." for name in given]) if given else []
    return metrics | accuracy("system_prompt", [names(one.text, name) for one, name in zip(said, given, strict=True)])


def _where(values: Sequence[bool], condition: Sequence[bool]) -> list[bool]:
    return [value for value, holds in zip(values, condition, strict=True) if holds]


def games(rows: Sequence[dict], models: Sequence[str]) -> tuple[list[tuple[int, int, float]], int, list[int]]:
    """Every pair of models on every prompt that all of them answered, judged by gold: what `statistics.arena` takes.

    (games, number of models, the prompt of each game); the score is 1, ½ for equally good answers, or 0.
    """
    by_prompt: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        by_prompt.setdefault((row["kind"], row["id"]), {})[row["model"]] = row["gold"]
    played, prompts = [], []
    for number, scores in enumerate(by_prompt.values()):
        if len(scores) == len(models):
            for i, j in combinations(range(len(models)), 2):
                ours, theirs = scores[models[i]], scores[models[j]]
                played.append((i, j, 0.5 + 0.5 * (ours > theirs) - 0.5 * (ours < theirs)))
                prompts.append(number)
    return played, len(models), prompts
