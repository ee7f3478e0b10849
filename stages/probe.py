"""Stage probe: what does the base model know, before anybody teaches it to answer?

Reads the base model and the tasks (or, without fact tasks, makes questions from the corpus); writes probes.jsonl: each
fact question with the model's own answers and how often they are right. Beside it the tables that show the base model
as a simulator of pages: what it recalls by mentions, recites by occurrences, learns from examples before it, answers to
a prompt alone, and how it continues beginnings of pages.
"""

import csv
import json
from collections import Counter
from pathlib import Path

from pydantic import Field

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.parameters import Params
from crawl2chat.tasks import ProbedTask, Task
from crawl2chat.tracking import Tracker

# Mentions, at most and at least.
RARE, FREQUENT = 2, 16
MANY = 10**9
MENTIONS = ((1, 2), (3, 6), (7, 15), (16, 40), (41, MANY))


HEADLINE = {"probe": {"accuracy": "known_fraction"}}


class ProbeParams(Params):
    # Answers drawn per question.
    samples: int = Field(ge=1)
    max_new_tokens: int = Field(ge=1)
    # Share of right answers from which a fact counts as known.
    known_from: float = Field(gt=0, le=1)
    # Made from the corpus where no fact tasks exist.
    corpus_questions: int = Field(ge=1)
    # Texts of each number of occurrences that the model continues.
    recitals: int = Field(ge=1)
    # Of pages that the model continues freely, three times each.
    beginnings: list[str]


def probe(
    base: Path,
    tasks: Path,
    corpus: Path,
    tokens: Path,
    out: Path,
    out_tables: Path,
    params: ProbeParams,
    machine: Machine,
    seed: int,
    tracker: Tracker,
) -> dict:
    """Ask the base model every fact; the metrics say how much it knows by mentions and how much it recites."""
    from crawl2chat.evaluation import probes
    from crawl2chat.evaluation.statistics import accuracy
    from crawl2chat.jsonl import write_jsonl
    from crawl2chat.model.folder import load_model
    from crawl2chat.tasks import read_tasks
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.devices import one_device

    all_tasks = read_tasks(tasks)
    facts = [task for task in all_tasks if task.skill == "fact"]
    if not facts:
        facts = probes.questions_from_corpus(documents(corpus), params.corpus_questions, seed)
    if not facts:
        raise UserError(
            f"{corpus} gives no sentence that ends in a name or a number, so nothing can be asked: add text."
        )
    model, tokenizer = load_model(base, one_device(machine)), Tokenizer.load(base)
    settings = {"samples": params.samples, "max_new_tokens": params.max_new_tokens, "known_from": params.known_from}
    probed = probes.probe(model, tokenizer, facts, **settings, seed=seed)
    out.mkdir(parents=True)
    write_jsonl(out / "probes.jsonl", (task.record() for task in probed))
    tracker.table("probes", [sample(task) for task in probed[:200]])
    frequent = [task for task in probed if task.mentions >= FREQUENT]
    metrics = {"questions": len(probed)} | accuracy("known_fraction", [task.known for task in probed])
    metrics |= accuracy("recall_rare", [task.cloze for task in probed if task.mentions <= RARE])
    metrics |= accuracy("recall_frequent", [task.cloze for task in frequent])
    apart = [task.cloze_apart for task in frequent if task.cloze_apart is not None]
    metrics |= accuracy("recall_other_words", apart)
    for low, high in MENTIONS:
        hits = [task.cloze for task in probed if low <= task.mentions <= high]
        metrics |= accuracy(f"recall_{low}_{high}" if high < MANY else f"recall_{low}_up", hits)
    metrics["majority_baseline"] = max(Counter(task.answer for task in probed).values()) / len(probed)
    patterns = [task for task in all_tasks if task.skill == "pattern"]
    return metrics | simulate(model, tokenizer, tokens, patterns, probed, out_tables, params, seed, tracker)


def simulate(
    model,
    tokenizer,
    tokens: Path,
    patterns: list[Task],
    facts: list[ProbedTask],
    out: Path,
    params: ProbeParams,
    seed: int,
    tracker: Tracker,
) -> dict:
    """Write the tables of the simulator; its metrics are the ends of the memorization curve."""
    from crawl2chat.evaluation import simulator
    from crawl2chat.jsonl import write_jsonl
    from crawl2chat.training.batches import read_tokens

    train, held_out = (
        read_tokens(tokens, split, tokenizer.vocab_size, tokenizer.bos).ids for split in ("train", "val")
    )
    windows = simulator.recital_windows(train, held_out, tokenizer.bos, params.recitals, seed)
    questions = [task for task in facts if task.split == "test"]
    examples = [task for task in facts if task.split == "train" and task.cloze]
    prompted, answers = simulator.assistant_by_prompt(model, tokenizer, questions, examples, seed)
    tables = {
        **recall_by_mentions(facts, params.samples),
        "regurgitation": simulator.regurgitation(model, tokenizer, windows),
        "shots": simulator.patterns_by_shots(model, tokenizer, patterns, seed),
        "prompted": prompted,
    }
    out.mkdir(parents=True)
    for name, table in tables.items():
        with (out / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ("what", "value", "low", "high", "n"), lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)
        tracker.table(name, table)
    dreams = simulator.dreams(model, tokenizer, params.beginnings, 3, seed)
    write_jsonl(out / "dreams.jsonl", dreams)
    write_jsonl(out / "answers.jsonl", answers)
    tracker.table("dreams", dreams)
    tracker.table("prompted_answers", answers)
    metrics: dict = {}
    for line in tables["regurgitation"]:
        name = f"regurgitation_{line['what'].replace(' ', '_').replace('-', '_').replace('+', '_up')}"
        metrics |= {name: line["value"]} | {f"{name}_{key}": line[key] for key in ("n", "low", "high")}
    return metrics


def documents(corpus: Path):
    import polars

    for file in sorted(corpus.glob("documents-*.parquet")):
        yield from polars.read_parquet(file, columns=["id", "text"]).iter_rows()


def sample(task: ProbedTask) -> dict:
    return {
        "question": task.prompt,
        "truth": task.answer,
        "mentions": task.mentions,
        "rate": task.rate,
        "answers": json.dumps(task.answers, ensure_ascii=False),
    }


def recall_by_mentions(facts: list[ProbedTask], samples: int) -> dict[str, list[dict]]:
    """How often a fact is recalled, by mentions in powers of two: its sentence completed, and its question answered in
    `samples` tries."""
    from crawl2chat.evaluation.simulator import row

    tables: dict[str, list[dict]] = {"recall": [], "answered": []}
    for low in (2**k for k in range(30)):
        band = [fact for fact in facts if low <= fact.mentions < 2 * low]
        if band:
            name = str(low) if low == 1 else f"{low}-{2 * low - 1}"
            tables["recall"].append(row(name, [fact.cloze for fact in band]))
            tries = [n < round(fact.rate * samples) for fact in band for n in range(samples)]
            tables["answered"].append(row(name, tries))
    return tables
