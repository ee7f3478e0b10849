"""Stage probe: what does the base model know, before anybody teaches it to answer?

Reads the base model and the tasks (or, without fact tasks, makes questions from the corpus); writes probes.jsonl: each
fact question with the model's own answers and how often they are right. Beside it the tables that show the base model as
a simulator of pages: what it recalls by mentions, recites by occurrences, learns from examples before it, answers to a
prompt alone, and dreams.
"""

import csv
import json
from pathlib import Path

from pydantic import Field

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker

RARE, FREQUENT = 2, 16  # mentions: at most, at least
MANY = 10**9
MENTIONS = ((1, 2), (3, 6), (7, 15), (16, 40), (41, MANY))


class ProbeParams(Params):
    samples: int = Field(4, ge=1)  # answers drawn per question
    max_new_tokens: int = Field(10, ge=1)
    known_from: float = Field(0.5, gt=0, le=1)  # share of right answers from which a fact counts as known
    corpus_questions: int = Field(1000, ge=1)  # made from the corpus where no fact tasks exist
    recitals: int = Field(200, ge=1)  # texts of each number of occurrences that it is asked to go on with
    beginnings: list[str] = ["The", "Question: What is", "How to"]  # of pages it dreams, three of each


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
    """Ask the base model every fact; the metrics say how much it knows by number of mentions, and how much it recites."""
    from crawl2chat.evaluation import probes
    from crawl2chat.evaluation.statistics import accuracy
    from crawl2chat.jsonl import read_tasks, write_jsonl
    from crawl2chat.model.folder import load_model
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.devices import one_device

    facts = read_tasks(tasks, "fact")
    if not facts:
        facts = probes.questions_from_corpus(_documents(corpus), params.corpus_questions, seed)
    if not facts:
        raise UserError(
            f"{corpus} gives no sentence that ends in a name or a number, so nothing can be asked: add text."
        )
    model, tokenizer = load_model(base, one_device(machine)), Tokenizer.load(base)
    rows = probes.probe(
        model, tokenizer, facts, samples=params.samples, max_new_tokens=params.max_new_tokens, seed=seed
    )
    for row in rows:
        row["known"] = row["rate"] >= params.known_from
    out.mkdir(parents=True)
    write_jsonl(out / "probes.jsonl", rows)
    tracker.table("probes", [_sample(row) for row in rows[:200]])
    metrics = {"questions": len(rows)} | accuracy("known_fraction", [row["known"] for row in rows])
    metrics |= accuracy("recall_rare", [row["cloze"] for row in rows if row["mentions"] <= RARE])
    metrics |= accuracy("recall_frequent", [row["cloze"] for row in rows if row["mentions"] >= FREQUENT])
    apart = [row["cloze_apart"] for row in rows if "cloze_apart" in row and row["mentions"] >= FREQUENT]
    metrics |= accuracy("recall_other_words", apart)
    for low, high in MENTIONS:
        hits = [row["cloze"] for row in rows if low <= row["mentions"] <= high]
        metrics |= accuracy(f"recall_{low}_{high}" if high < MANY else f"recall_{low}_up", hits)
    commonest = max((sum(r["answer"] == a for r in rows), a) for a in sorted({r["answer"] for r in rows}))[0]
    metrics["majority_baseline"] = commonest / len(rows)
    return metrics | _simulate(model, tokenizer, tokens, tasks, rows, out_tables, params, seed, tracker)


def _simulate(
    model,
    tokenizer,
    tokens: Path,
    tasks: Path,
    facts: list[dict],
    out: Path,
    params: ProbeParams,
    seed: int,
    tracker: Tracker,
) -> dict:
    """Write the tables of the simulator; its metrics are the ends of the memorization curve."""
    from crawl2chat.evaluation import simulator
    from crawl2chat.jsonl import read_tasks, write_jsonl
    from crawl2chat.training.batches import read_tokens

    train, held_out = (
        read_tokens(tokens, split, tokenizer.vocab_size, tokenizer.bos).ids for split in ("train", "val")
    )
    windows = simulator.recital_windows(train, held_out, tokenizer.bos, params.recitals, seed)
    asked = [row for row in facts if row["split"] == "test"]
    shown = [row for row in facts if row["split"] == "train" and row["cloze"]]
    prompted, answers = simulator.assistant_by_prompt(model, tokenizer, asked, shown, seed)
    tables = {
        **_by_mentions(facts, params.samples),
        "regurgitation": simulator.regurgitation(model, tokenizer, windows),
        "shots": simulator.patterns_by_shots(model, tokenizer, read_tasks(tasks, "pattern"), seed),
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


def _documents(corpus: Path):
    import polars

    for file in sorted(corpus.glob("documents-*.parquet")):
        yield from polars.read_parquet(file, columns=["id", "text"]).iter_rows()


def _sample(row: dict) -> dict:
    return {
        "question": row["prompt"],
        "truth": row["answer"],
        "mentions": row["mentions"],
        "rate": row["rate"],
        "answers": json.dumps(row["answers"], ensure_ascii=False),
    }


def _by_mentions(facts: list[dict], samples: int) -> dict[str, list[dict]]:
    """How often a fact is recalled: its sentence completed, and its question answered in `samples` tries, by mentions in
    powers of two."""
    from crawl2chat.evaluation.simulator import row

    tables: dict[str, list[dict]] = {"recall": [], "answered": []}
    for low in (2**k for k in range(30)):
        told = [fact for fact in facts if low <= fact["mentions"] < 2 * low]
        if told:
            name = str(low) if low == 1 else f"{low}-{2 * low - 1}"
            tables["recall"].append(row(name, [fact["cloze"] for fact in told]))
            tries = [n < round(fact["rate"] * samples) for fact in told for n in range(samples)]
            tables["answered"].append(row(name, tries))
    return tables
