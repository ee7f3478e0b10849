"""Stage probe: what does the base model know, before anybody teaches it to answer?

Reads the base model and the tasks (or, without fact tasks, makes questions from the corpus); writes probes.jsonl: each
fact question with the model's own answers and how often they are right.
"""

import json
from pathlib import Path

from pydantic import Field

from crawl2chat.errors import UserError
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker

RARE, FREQUENT = 2, 16  # mentions: at most, at least


class ProbeParams(Params):
    samples: int = Field(4, ge=1)  # answers drawn per question
    max_new_tokens: int = Field(10, ge=1)
    known_from: float = Field(0.5, gt=0, le=1)  # share of right answers from which a fact counts as known
    corpus_questions: int = Field(1000, ge=1)  # made from the corpus where no fact tasks exist


def probe(
    base: Path, tasks: Path, corpus: Path, out: Path, params: ProbeParams, seed: int, tracker: Tracker
) -> dict:
    """Ask the base model every fact; the metrics say how much it knows by number of mentions."""
    from crawl2chat.evaluation import probes
    from crawl2chat.evaluation.statistics import accuracy
    from crawl2chat.jsonl import read_tasks, write_jsonl
    from crawl2chat.model.folder import load_model
    from crawl2chat.tokens.tokenizer import Tokenizer

    facts = read_tasks(tasks, "fact")
    if not facts:
        facts = probes.questions_from_corpus(_documents(corpus), params.corpus_questions, seed)
    if not facts:
        raise UserError(
            f"{corpus} gives no sentence that ends in a name or a number, so nothing can be asked: add text."
        )
    model, tokenizer = load_model(base), Tokenizer.load(base)
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
    for name, low, high in (
        ("1_2", 1, 2),
        ("3_6", 3, 6),
        ("7_15", 7, 15),
        ("16_40", 16, 40),
        ("41_up", 41, 10**9),
    ):
        metrics |= accuracy(
            f"recall_{name}", [row["cloze"] for row in rows if low <= row["mentions"] <= high]
        )
    commonest = max((sum(r["answer"] == a for r in rows), a) for a in sorted({r["answer"] for r in rows}))[0]
    return metrics | {"majority_baseline": commonest / len(rows)}


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
