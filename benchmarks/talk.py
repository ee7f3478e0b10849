"""What makes conversation work? The same fine-tuning without one of its parts, under the same exam.

    python -m benchmarks.talk [--wordings dev] [--steps 400]

In: a finished run (`dvc repro`). Each control makes its conversations (all of them; only first exchanges; in few
wordings; without talk), fine-tunes the base model of the run on them for as many steps, and plays the exam. Out: a
table, and on the last line JSON. What pages with threads bring needs another base model: set `crawl.pages.thread` and
`crawl.pages.small_sum` to 0 in a workspace and run the pipeline there.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import command
from crawl2chat import logs
from crawl2chat.chat.search import Index, with_search
from crawl2chat.evaluation import dialogues, suite
from crawl2chat.jsonl import read_jsonl, write_jsonl
from crawl2chat.machine import Machine
from crawl2chat.model.folder import load_model
from crawl2chat.tasks import read_probes, read_tasks
from crawl2chat.tinyweb.gold import gold
from crawl2chat.tinyweb.talk import phrasing, supply
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tracking import Tracker
from stages.conversations import ConversationsParams, conversations
from stages.evaluate import EvaluateParams
from stages.settings import tuned
from stages.sft import SftParams, sft

INDEX = Path("models/search.sqlite")
FEW = 3
"""Forms that are left of each block where wordings are few."""


def first_exchange(rows: list[dict]) -> list[dict]:
    """Each conversation up to the first answer."""
    return [row | {"messages": row["messages"][: first_answer(row["messages"])]} for row in rows]


def first_answer(messages: list[dict]) -> int:
    spoken = (i for i, one in enumerate(messages, start=1) if one["role"] == "assistant" and one["content"])
    return next(spoken)


def unchanged(rows: list[dict]) -> list[dict]:
    return rows


def no_talk(rows: list[dict]) -> list[dict]:
    """Without the conversations of the talk generator."""
    return [row for row in rows if row["kind"] != "talk"]


@contextmanager
def few_wordings() -> Iterator[None]:
    """Only the first forms of each block are drawn from, in training; exams have theirs."""
    all_forms = phrasing.forms

    def some(block: str, split: str) -> tuple[str, ...]:
        return all_forms(block, split)[: FEW if split == "train" else None]

    phrasing.forms = some  # type: ignore[assignment]
    try:
        yield
    finally:
        phrasing.forms = all_forms


@contextmanager
def as_it_is() -> Iterator[None]:
    yield


CONTROLS: dict[str, tuple[Callable[[list[dict]], list[dict]], Callable]] = {
    "whole": (unchanged, as_it_is),
    "one turn": (first_exchange, as_it_is),
    "few wordings": (unchanged, few_wordings),
    "no talk": (no_talk, as_it_is),
}


def train(name: str, folder: Path, seed: int, steps: int | None) -> tuple[Path, int]:
    """Conversations and a fine-tuned model of one control; returns the model's folder and the number of steps."""
    change, words = CONTROLS[name]
    with words():
        conversations(
            Path("data/probes"),
            Path("data/crawl/tasks"),
            Path("data/crawl/chat"),
            INDEX,
            folder / "conversations",
            tuned(ConversationsParams),
            seed,
            Tracker(),
        )
    for part in ("train", "val"):
        file = folder / "conversations" / f"{part}.jsonl"
        write_jsonl(file, change(read_jsonl(file)))
    params = tuned(SftParams, **({"steps": steps} if steps else {}))
    outcome = sft(
        Path("models/base"),
        folder / "conversations",
        Path("data/tokens"),
        folder / "sft",
        folder / "sft.csv",
        params,
        Machine(),
        seed,
        Tracker(),
        folder / "work",
    )
    return folder / "sft", outcome["steps"]


def examine(model: Path, wordings: str, seed: int) -> dict[str, Any]:
    """The conversation exam of one model."""
    params = tuned(EvaluateParams)
    probes, tasks = read_probes(Path("data/probes/probes.jsonl")), read_tasks(Path("data/crawl/tasks"))
    topics = supply.topics_of(probes, tasks, params.who, Index(INDEX), wordings, seed)
    scripts = supply.scripts(topics, params.dialogues, seed)
    scripts += supply.fill_slots(dialogues.read_scripts(Path(params.strangers)), topics, seed)
    exam = suite.Exam(tasks, probes, gold, params.who, [], params.per_skill, params.max_new_tokens, seed)
    examinee = suite.Examinee(model.name, load_model(model, "cpu"), Tokenizer.load(model), exam)
    examinee.tools = with_search(INDEX)
    return dialogues.summarize(dialogues.play(scripts, examinee.converse))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.talk", description=__doc__.split("\n")[0])
    parser.add_argument("--wordings", choices=("dev", "test"), default="test")
    parser.add_argument("--steps", type=int, help="of fine-tuning; by default one pass over all conversations")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logs.configure()
    found: dict[str, dict[str, Any]] = {}
    steps = options.steps
    with tempfile.TemporaryDirectory() as folder:
        for name in CONTROLS:
            place = Path(folder) / name.replace(" ", "-")
            (place / "work").mkdir(parents=True)
            model, steps = train(name, place, options.seed, steps)
            found[name] = examine(model, options.wordings, options.seed)
    keys = [key for key in found["whole"] if f"{key}_n" in found["whole"]]
    print(f"{'':28}" + "".join(f"{name:>16}" for name in found) + f"{'n':>8}")
    for key in keys:
        values = (numbers[key] for numbers in found.values())
        cells = "".join(f"{'–' if value is None else format(value, '.3f'):>16}" for value in values)
        print(f"{key:28}{cells}{found['whole'][f'{key}_n']:8}")
    print(json.dumps({name: {key: numbers[key] for key in keys} for name, numbers in found.items()}))


if __name__ == "__main__":
    command(main)
