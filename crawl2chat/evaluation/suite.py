"""One table for all models: the same questions to the simulator, the assistant, the reasoner and the chat model.

In: a model, tasks of the test split, the probe's results, gold scores. Out: numbers with n and interval, and the
answers themselves. A base model is asked by prompt alone, as a page would ask; every other one as a person would, with
its tools. Facts are reported by what the base model knew before fine-tuning, which separates extraction, honest
ignorance and false refusals.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, compress

from crawl2chat.chat.identity import QUESTIONS, Identity
from crawl2chat.chat.loop import Answer, answer
from crawl2chat.chat.tools import TOOLS, Tool
from crawl2chat.evaluation.dialogues import Heard
from crawl2chat.evaluation.probes import QUESTION, cloze_prompt, continuations, first_sentence, own_turn
from crawl2chat.evaluation.statistics import accuracy, as_metrics, mean
from crawl2chat.model.network import Transformer
from crawl2chat.tasks import NUMERIC, Gold, ProbedTask, Task, is_refusal, names, verify, well_formed
from crawl2chat.tokens.tokenizer import Tokenizer

# Skills with numbers of their own.
SPECIAL = {"fact", "refusal", "pattern"}
# Kinds of questions whose gold scores are averaged.
GOLD_KINDS = {"fact", "refusal", "subtraction", "craft"}


@dataclass(frozen=True)
class Reply:
    """An answer, whether its turn ended by itself, how many tools it called, and how sure the model was of the token
    that it was least sure of."""

    text: str
    finished: bool
    calls: int
    confidence: float | None = None


Ask = Callable[..., list[Reply]]
"""(kind of question, tasks, prompts; by default those of the tasks) → one reply to each."""


@dataclass(frozen=True)
class Exam:
    """What every model is asked: tasks of the test split, probed facts, and how much of each."""

    tasks: list[Task]
    probes: list[ProbedTask]
    gold: Gold
    identity: Identity
    # Other names that system prompts set.
    names: list[str]
    per_skill: int = 250
    max_new_tokens: int = 80
    seed: int = 0

    def of(self, skill: str) -> list[Task]:
        return [task for task in self.tasks if task.skill == skill and task.split == "test"][: self.per_skill]

    @property
    def facts(self) -> list[ProbedTask]:
        return [task for task in self.probes if task.split == "test"]

    @property
    def other_skills(self) -> list[str]:
        return sorted({task.skill for task in self.tasks} - SPECIAL)


class Examinee:
    """A model that answers questions, in its own way."""

    def __init__(self, name: str, model: Transformer, tokenizer: Tokenizer, exam: Exam) -> None:
        self.name, self.model, self.tokenizer, self.exam = name, model, tokenizer, exam
        self.converses = name != "base"
        self.tools: Mapping[str, Tool] = TOOLS
        # Whether each turn so far ended by itself.
        self.ended: list[bool] = []

    def ask(self, prompts: Sequence[str], system: Sequence[str | None] = ()) -> list[Reply]:
        """One greedy answer to each prompt."""
        if not self.converses:
            heard = self.heard_on_pages([QUESTION.format(question=prompt) for prompt in prompts])
            return [Reply(one.text, one.finished, 0) for one in heard]
        openings = system or [None] * len(prompts)
        conversations = [
            [*([{"role": "system", "content": opening}] if opening else []), {"role": "user", "content": prompt}]
            for prompt, opening in zip(prompts, openings, strict=True)
        ]
        heard = self.converse(conversations)
        self.ended += [one.finished for one in heard]
        return [Reply(one.text, one.finished, len(one.tools), one.confidence) for one in heard]

    def converse(self, conversations: Sequence[list[dict]]) -> list[Heard]:
        """One greedy answer to each conversation. The base model reads it as questions and answers of a page."""
        if not self.converses:
            return self.heard_on_pages([as_page(messages) for messages in conversations])
        answers = self.answered(conversations, self.tools)
        return [
            Heard(one.text, one.finished, tuple(call["name"] for call in one.tool_calls), one.messages, one.confidence)
            for one in answers
        ]

    def heard_on_pages(self, pages: Sequence[str]) -> list[Heard]:
        """What a simulator of pages says next, by the rule that holds for everybody: an answer ends where its turn or
        the page does, and whoever talks on has not ended."""
        limit = self.exam.max_new_tokens
        texts = self.complete(pages, limit)
        turns = [own_turn(text) for text in texts]
        return [
            Heard(turn, turn != text.strip() or len(self.tokenizer.encode(text)) < limit)
            for turn, text in zip(turns, texts, strict=True)
        ]

    def answered(self, conversations: Sequence[list[dict]], tools: Mapping[str, Tool]) -> list[Answer]:
        """A greedy answer to each conversation, with these tools at hand."""
        return answer(
            self.model,
            self.tokenizer,
            conversations,
            max_new_tokens=self.exam.max_new_tokens,
            temperature=0.0,
            seed=self.exam.seed,
            tools=tools,
        )

    def answers(self, prompts: Sequence[str], tools: Mapping[str, Tool]) -> list[Answer]:
        """An answer to each prompt; the base model's are what it continues a page with."""
        if not self.converses:
            return [Answer([], messages=[{"role": "assistant", "content": one.text}]) for one in self.ask(prompts)]
        return self.answered([[{"role": "user", "content": prompt}] for prompt in prompts], tools)

    def complete(self, texts: Sequence[str], max_new_tokens: int) -> list[str]:
        """Greedy continuation of each text as a page."""
        return continuations(self.model, self.tokenizer, texts, max_new_tokens=max_new_tokens)


def as_page(messages: Sequence[dict]) -> str:
    """A conversation as a page would show it, up to where the answer begins."""
    marks = {"system": "", "user": "Question: ", "assistant": "Answer: "}
    shown = [marks[one["role"]] + one["content"] for one in messages if one["role"] in marks and one["content"]]
    return " ".join([*shown, "Answer:"])


def examine(examinee: Examinee) -> tuple[dict, list[dict]]:
    """All numbers of one model, and every answer it gave. The keys are the same for every model."""
    exam, rows = examinee.exam, []

    def ask(kind: str, tasks: Sequence[Task], prompts: Sequence[str] | None = None) -> list[Reply]:
        questions = prompts if prompts is not None else [task.prompt for task in tasks]
        replies = examinee.ask(questions) if questions else []
        rows.extend(
            {
                "model": examinee.name,
                "kind": kind,
                "id": task.id,
                "prompt": question,
                "truth": task.answer,
                "answer": reply.text,
                "correct": verify(task, reply.text),
                "gold": exam.gold(task, reply.text),
                "finished": reply.finished,
                "confidence": reply.confidence,
            }
            for task, question, reply in zip(tasks, questions, replies, strict=True)
        )
        return replies

    metrics = fact_metrics(exam, ask)
    # The only right answer to names that no page mentions is not to know.
    replies = ask("refusal", exam.of("refusal"))
    metrics |= accuracy("refusal_unknown", [is_refusal(reply.text) for reply in replies])
    metrics |= skill_metrics(exam, ask)
    metrics |= raw_text_metrics(exam, examinee)
    metrics |= identity_metrics(exam, examinee)
    metrics |= accuracy("ending", examinee.ended)
    gold = [row["gold"] for row in rows if row["kind"] in GOLD_KINDS]
    metrics |= as_metrics("gold", mean(gold)) if gold else {}
    return metrics, rows


def correct(tasks: Iterable[Task], replies: Iterable[Reply]) -> list[bool]:
    return [verify(task, reply.text) for task, reply in zip(tasks, replies, strict=True)]


def fact_metrics(exam: Exam, ask: Ask) -> dict:
    """Extraction: facts of entities that fine-tuning never asked about, apart by whether the base model knew them."""
    facts = exam.facts
    replies = ask("fact", facts)
    right, refused = correct(facts, replies), [is_refusal(reply.text) for reply in replies]
    known = [task.known for task in facts]
    invented = [task.known and task.meta.get("kind") != "country" for task in facts]
    refused_by_kind: dict = {}
    for kind in ("country", "town", "person"):
        of_kind = [task.known and task.meta.get("kind") == kind for task in facts]
        refused_by_kind |= accuracy(f"false_refusal_{kind}", list(compress(refused, of_kind)))
    unlearnt = [task.rate == 0 and not task.cloze for task in facts]
    far = [task for task in facts if task.known and task.meta.get("far")]
    return (
        accuracy("fact", right)
        | accuracy("fact_known", list(compress(right, known)))
        | accuracy("fact_known_invented", list(compress(right, invented)))
        | accuracy("fact_completed", list(compress(right, [task.cloze for task in facts])))
        | accuracy("fact_known_far", correct(far, ask("fact_far", far, [task.meta["far"] for task in far])))
        | accuracy("false_refusal", list(compress(refused, invented)))
        | refused_by_kind
        | accuracy("refusal_unlearnt", list(compress(refused, unlearnt)))
    )


def skill_metrics(exam: Exam, ask: Ask) -> dict:
    """Every other skill; sums also with the wish for nothing but the number, and their form apart from their result."""
    metrics: dict = {}
    with_steps, at_once = [], []
    for skill in exam.other_skills:
        tasks = exam.of(skill)
        replies = ask(skill, tasks)
        right = correct(tasks, replies)
        form = [well_formed(task, reply.text) for task, reply in zip(tasks, replies, strict=True)]
        metrics |= accuracy(skill, right)
        if skill == "tool":
            metrics |= accuracy("tool_called", [reply.calls > 0 for reply in replies])
        if skill == "sum":
            metrics |= accuracy("sum_steps_shown", form)
        direct = [task for task in tasks if task.meta.get("direct")]
        if direct:
            hits = correct(direct, ask(f"{skill}_direct", direct, [task.meta["direct"] for task in direct]))
            metrics |= accuracy(f"{skill}_direct", hits)
            if skill in NUMERIC - {"word_problem"}:
                with_steps, at_once = with_steps + right, at_once + hits
                metrics |= accuracy(f"{skill}_format", form)
    return metrics | accuracy("arithmetic_steps", with_steps) | accuracy("arithmetic_direct", at_once)


def raw_text_metrics(exam: Exam, examinee: Examinee) -> dict:
    """Is it still a simulator of pages? Cloze recall of what the base model recalled, and patterns in context."""
    recalled = [task for task in exam.facts if task.cloze]
    completed = examinee.complete([cloze_prompt(task) for task in recalled], 10)
    kept = [verify(task, first_sentence(text)) for task, text in zip(recalled, completed, strict=True)]
    patterns = exam.of("pattern")
    shots = {
        "pattern_zero_shot": [task.meta["zero_shot"] for task in patterns],
        "pattern_one_shot": [task.prompt for task in patterns],
    }
    metrics = accuracy("recall_kept", kept)
    for name, prompts in shots.items():
        completed = examinee.complete([f" {prompt}" for prompt in prompts], 5)  # as a line inside a page begins
        first = [text.replace(".", ";").split(";")[0].strip() for text in completed]
        metrics |= accuracy(name, [text == task.answer for text, task in zip(first, patterns, strict=True)])
    return metrics


def identity_metrics(exam: Exam, examinee: Examinee) -> dict:
    """Who are you? Asked plainly, and under system prompts that set another name."""
    about = exam.identity.model_dump()
    plain = [(question, about[key]) for key in sorted(QUESTIONS) for question in QUESTIONS[key]]
    replies = examinee.ask([question for question, _ in plain])
    metrics = accuracy("identity", [names(one.text, truth) for one, (_, truth) in zip(replies, plain, strict=True)])
    rng = random.Random(exam.seed)
    others = exam.names[:100]
    questions = [rng.choice(QUESTIONS["name"]) for _ in others]
    replies = examinee.ask(questions, [f"Your name is {name}." for name in others]) if others else []
    hits = [names(reply.text, name) for reply, name in zip(replies, others, strict=True)]
    return metrics | accuracy("system_prompt", hits)


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
