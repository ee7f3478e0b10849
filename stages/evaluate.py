"""Stage evaluate: every model of the run on every task, each number with its interval.

Reads the four models, tasks, probes and validation tokens; writes answers.jsonl, samples.jsonl, skills.csv, and of each
model against the one before it, on the same questions, differences.csv. Nothing asked here was trained on: facts are
split by entity, sums by operands.
"""

import csv
import logging
from pathlib import Path
from typing import Literal

from pydantic import Field

from crawl2chat.chat.identity import Identity
from crawl2chat.machine import Machine
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker

logger = logging.getLogger(__name__)

# What stands at the top of a run about each model.
EXAM = {
    "bpb": "val_bpb",
    "accuracy": "fact",
    "refusals": "refusal_unknown",
    "arithmetic": "arithmetic_steps",
    "talk": "conversation",
    "gold": "gold",
}
HEADLINE = {
    f"evaluate_{model}": {name: f"{model}.{key}" for name, key in EXAM.items()}
    for model in ("base", "sft", "reasoner", "chat")
}


class EvaluateParams(Params):
    # Questions of each skill at most.
    per_skill: int = Field(ge=1)
    max_new_tokens: int = Field(ge=1)
    # Rows of held-out text for bits per byte.
    validation_rows: int = Field(ge=1)
    # Answers and free continuations per model, for people to read.
    samples: int = Field(ge=0)
    # Conversations of each kind in words that nobody trained on.
    dialogues: int = Field(ge=0)
    # A folder with dialogues that people wrote.
    strangers: str
    # Of the wordings: dev to choose settings by, test to report.
    wordings: Literal["dev", "test"] = "test"
    who: Identity


def evaluate(
    base: Path,
    sft: Path,
    reasoner: Path,
    chat: Path,
    tasks: Path,
    probes: Path,
    tokens: Path,
    strangers: Path,
    index: Path,
    out: Path,
    params: EvaluateParams,
    machine: Machine,
    seed: int,
    tracker: Tracker,
) -> dict:
    """Examine all models; the metrics hold one object per model with the same keys."""
    from crawl2chat.chat.search import Index, with_search
    from crawl2chat.evaluation import dialogues, suite
    from crawl2chat.evaluation.samples import free_samples
    from crawl2chat.evaluation.search_exam import examine_search
    from crawl2chat.evaluation.statistics import arena, paired_differences
    from crawl2chat.jsonl import write_jsonl
    from crawl2chat.model.folder import load_model
    from crawl2chat.tasks import read_probes, read_tasks
    from crawl2chat.tinyweb.gold import gold
    from crawl2chat.tinyweb.talk import supply
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.batches import Rows, read_tokens
    from crawl2chat.training.devices import one_device
    from crawl2chat.training.validation import validate

    all_tasks = read_tasks(tasks)
    unknown = [task.entity for task in all_tasks if task.skill == "refusal" and task.split == "test" and task.entity]
    exam = suite.Exam(
        tasks=all_tasks,
        probes=read_probes(probes / "probes.jsonl"),
        gold=gold,
        identity=params.who,
        names=[name.split()[0] for name in unknown],
        per_skill=params.per_skill,
        max_new_tokens=params.max_new_tokens,
        seed=seed,
    )
    search = Index(index)
    topics = supply.topics_of(exam.probes, all_tasks, params.who, search, params.wordings, seed)
    scripts = supply.scripts(topics, params.dialogues, seed)
    written = dialogues.read_scripts(strangers)
    people = supply.fill_slots(written, topics, seed)
    if len(people) < len(written):
        left_out = len(written) - len(people)
        logger.warning(f"{left_out} of {len(written)} dialogues in {strangers} are left out: nothing fits their slots.")
    tools = with_search(index)
    metrics: dict = {}
    talks: list[dict] = []
    searches: list[dict] = []
    answers: list[dict] = []
    samples: list[dict] = []
    for name, folder in (("base", base), ("sft", sft), ("reasoner", reasoner), ("chat", chat)):
        model, tokenizer = load_model(folder, one_device(machine)), Tokenizer.load(folder)
        examinee = suite.Examinee(name, model, tokenizer, exam)
        examinee.tools = tools
        metrics[name], rows = suite.examine(examinee)
        played = dialogues.play(scripts + people, examinee.converse)
        metrics[name] |= dialogues.summarize(played)
        found, looked_up = examine_search(examinee.answers, exam.probes, search)
        metrics[name] |= found
        searches += [{"model": name} | row for row in looked_up]
        talks += [{"model": name} | row for row in played]
        held_out = read_tokens(tokens, "val", tokenizer.vocab_size, tokenizer.bos)
        text = Rows(held_out, model.config.max_position_embeddings, seed)
        metrics[name]["val_bpb"] = validate(model, text, tokenizer.token_bytes(), params.validation_rows)["val_bpb"]
        answers += rows
        samples += free_samples(name, model, tokenizer, rows, params.samples, seed)
    games, players, prompts = suite.games(answers, list(metrics))
    for name, rating in zip(metrics, arena(games, players, prompts, seed), strict=True):
        metrics[name] |= {"arena": rating.value, "arena_n": rating.n}
        metrics[name] |= {"arena_low": rating.low, "arena_high": rating.high}
    out.mkdir(parents=True)
    write_jsonl(out / "answers.jsonl", answers)
    write_jsonl(out / "samples.jsonl", samples)
    write_jsonl(out / "talks.jsonl", talks)
    write_jsonl(out / "searches.jsonl", searches)
    _write_skills(out / "skills.csv", metrics)
    differences = paired_differences(answers, list(metrics), seed)
    _write_rows(out / "differences.csv", differences)
    tracker.table("differences", differences)
    for name in ("sft", "chat"):
        _write_calibration(out / f"calibration_{name}.csv", [row for row in answers if row["model"] == name])
    tracker.table("samples", samples)
    tracker.table("skills", [row for model in metrics for row in _skill_rows(model, metrics[model])])
    return metrics


def _write_calibration(path: Path, answers: list[dict]) -> None:
    """Share of right answers to facts by how sure the model was, in fifths; admissions of ignorance left out."""
    from crawl2chat.evaluation.statistics import wilson
    from crawl2chat.tasks import is_refusal

    given = [row for row in answers if row["kind"] == "fact" and not is_refusal(row["answer"])]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["what", "value", "low", "high", "n"])
        for fifth in range(5):
            hits = [row["correct"] for row in given if min(int(5 * (row["confidence"] or 0)), 4) == fifth]
            if hits:
                low, high = wilson(sum(hits), len(hits))
                name = f"{fifth / 5:.1f}–{(fifth + 1) / 5:.1f}"
                writer.writerow([name, round(sum(hits) / len(hits), 4), round(low, 4), round(high, 4), len(hits)])


def _skill_rows(model: str, numbers: dict) -> list[dict]:
    names = [name for name in numbers if f"{name}_n" in numbers]
    return [
        {"model": model, "skill": name}
        | {key: numbers[f"{name}{key and '_' + key}"] for key in ("", "low", "high", "n")}
        for name in names
    ]


def _write_rows(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_skills(path: Path, metrics: dict) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["model", "skill", "value", "low", "high", "n"])
        for model, numbers in metrics.items():
            writer.writerows(row.values() for row in _skill_rows(model, numbers))
