"""What the last run gave, as a table a person understands: stage, seconds, key numbers.

    python -m flows.summary [--root <folder>] [--markdown]

In: metrics/<stage>.json, and what the last run took on this machine (seconds, rates, cost), as the runner noted it.
Out: a table on the terminal; with --markdown, the same tables in README.md, between its two marks, and every
row of the exam in docs/results.md.
"""

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from crawl2chat.evaluation.table import evaluation_table, interval, is_scalar, markdown_table, number
from flows.stage_process import last_run
from stages.files import read_yaml
from stages.program import program

# The numbers that tell how a stage went, in reading order; stages and keys not listed show their first few numbers.
KEY_NUMBERS = {
    "crawl": ["pages", "bytes"],
    "extract": ["documents", "f1"],
    "filter": ["documents", "precision", "recall"],
    "deduplicate": ["documents", "duplicate_precision", "duplicate_recall", "pii_recall", "contaminated"],
    "index": ["pages", "passages", "found", "found_rare"],
    "tokenizer": ["vocab_size", "bytes_per_token"],
    "tokenize": ["train_tokens", "val_tokens"],
    "pretrain": ["parameters", "val_bpb", "tokens_per_second", "cost"],
    "probe": ["known_fraction", "recall_rare", "recall_frequent"],
    "conversations": ["conversations", "refusals"],
    "sft": ["val_loss"],
    "reason": ["accuracy_before", "accuracy_after"],
    "preferences": ["prompts", "rankings", "labeler_agreement"],
    "reward": ["pair_accuracy", "length_baseline_accuracy"],
    "rlhf": ["gold_before", "gold_after", "kl"],
    "report": ["path"],
}
# The exam's rows that tell it, in reading order; a run whose tasks are others shows all it has.
KEY_ROWS = (
    "conversation",
    "conversation_families",
    "conversation_strangers",
    "conversation_first",
    "conversation_later",
    "talk_identity",
    "talk_open_book",
    "fact_known",
    "fact_known_far",
    "refusal_unknown",
    "false_refusal",
    "vague_searched",
    "vague_false_citation",
    "arithmetic_steps",
    "arithmetic_direct",
    "word_problem",
    "tool",
    "run_on",
    "gold",
    "arena",
    "val_bpb",
)
RESULTS = Path("docs") / "results.md"
MARKS = ("<!-- results: python -m flows.summary --markdown -->", "<!-- end of results -->")


def read_metrics(root: Path) -> dict[str, dict[str, Any]]:
    """Stage → its metrics, in the order of dvc.yaml; stages that have none yet are left out."""
    files = {stage: root / "metrics" / f"{stage}.json" for stage in read_yaml(root / "dvc.yaml")["stages"]}
    return {stage: json.loads(path.read_text(encoding="utf-8")) for stage, path in files.items() if path.exists()}


def key_numbers(stage: str, metrics: dict[str, Any]) -> list[str]:
    """`val_bpb 1.234 (1.2–1.3)`: each key number with its interval where it has one."""
    plain = [key for key, value in metrics.items() if is_scalar(value) and not key.endswith(("_n", "_low", "_high"))]
    keys = [key for key in KEY_NUMBERS.get(stage, plain[:5]) if is_scalar(metrics.get(key))]
    return [f"{key} {number(metrics[key])}{interval(metrics, key)}" for key in keys]


def key_table(metrics: dict[str, dict[str, Any]]) -> list[list[str]]:
    """The exam's key rows; all of them where it has none of these."""
    exam = {model: values for model, values in metrics.get("evaluate", {}).items() if isinstance(values, dict)}
    keys = [f"{row}{part}" for row in KEY_ROWS for part in ("", "_n", "_low", "_high")]
    chosen = {model: {key: values[key] for key in keys if key in values} for model, values in exam.items()}
    return evaluation_table(chosen if any(chosen.values()) else exam)


def unreadable(metrics: dict[str, dict[str, Any]]) -> list[tuple[str, int]]:
    """Records that could not be read, by reason: whatever a stage counts under `unreadable`."""
    counts = [
        (f"{stage}: {reason}", count)
        for stage, values in metrics.items()
        for reason, count in (values.get("unreadable") or {}).items()
    ]
    return sorted(counts, key=lambda pair: -pair[1])


def stage_rows(root: Path, metrics: dict[str, dict[str, Any]]) -> list[tuple[str, str, str]]:
    """(stage, seconds, key numbers); what the last run took stands among the numbers."""
    notes = {stage: last_run(root, stage) for stage in metrics}
    return [
        (
            stage,
            f"{notes[stage]['seconds']:,.1f}" if notes[stage] else "",
            ", ".join(key_numbers(stage, values | notes[stage].get("facts", {}))),
        )
        for stage, values in metrics.items()
    ]


def terminal(root: Path) -> str:
    """The whole summary for a terminal."""
    metrics = read_metrics(root)
    lines = [f"{'stage':<16}{'seconds':>8}   key numbers"]
    lines += [f"{stage:<16}{seconds:>8}   {numbers}" for stage, seconds, numbers in stage_rows(root, metrics)]
    table = key_table(metrics)
    if len(table) > 1:
        widths = [max(len(row[column]) for row in table) + 2 for column in range(len(table[0]))]
        lines += [
            "",
            *("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table),
        ]
    broken = unreadable(metrics)
    if broken:
        lines += ["", "records that could not be read:", *(f"  {count:>8,}  {reason}" for reason, count in broken)]
    home = "" if root.resolve() == Path.cwd() else f" ROOT={os.path.relpath(root)}"
    lines += [
        "",
        f"talk to it:         make chat{home}",
        f"every run (MLflow): make ui{home}, then open http://127.0.0.1:5000",
        f"the flow (Prefect): make ui{home}, then open http://127.0.0.1:4200",
    ]
    return "\n".join(lines)


def write_results(root: Path) -> None:
    """Put the stages and the exam's key rows between the marks of README.md, and all of the exam into RESULTS."""
    metrics = read_metrics(root)
    tables = [[["stage", "seconds", "key numbers"], *stage_rows(root, metrics)], key_table(metrics)]
    between_marks(root / "README.md", "\n\n".join(markdown_table(table) for table in tables if len(table) > 1))
    between_marks(root / RESULTS, markdown_table(evaluation_table(metrics.get("evaluate", {}))))


def between_marks(page: Path, results: str) -> None:
    pattern = re.compile(f"({re.escape(MARKS[0])}).*?({re.escape(MARKS[1])})", re.DOTALL)
    text = page.read_text(encoding="utf-8")
    page.write_text(pattern.sub(lambda match: f"{match[1]}\n{results}\n{match[2]}", text), encoding="utf-8")


@program
def main(arguments: list[str]) -> int:
    """The command line; 1 where there is no project."""
    parser = argparse.ArgumentParser(prog="python -m flows.summary", description="Show what the last run gave.")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project or a workspace")
    parser.add_argument("--markdown", action="store_true", help="write the tables in README.md and docs/results.md")
    options = parser.parse_args(arguments)
    if options.markdown:
        write_results(options.root)
    else:
        print(terminal(options.root))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
