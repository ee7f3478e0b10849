"""Verifiable tasks become the one schema, whatever set they come from, and their split depends on the prompt alone."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from crawl2chat.evaluation.datasets import SHARES, read_task_sets
from crawl2chat.records import Broken
from crawl2chat.splits import split_of
from crawl2chat.tasks import Task

REAL = os.environ.get("CRAWL2CHAT_REAL_DATA")


def read(folder: Path, *records: Any, name: str = "set__two_digit_addition.jsonl") -> tuple[list[Task], Broken]:
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    broken = Broken()
    return read_task_sets(folder, seed=1, broken=broken), broken


def test_gsm8k_answer_stands_behind_the_hashes_and_annotations_go(tmp_path: Path) -> None:
    answer = "48/2 = <<48/2=24>>24 clips.\n1,000+80 = <<1000+80=1080>>1,080 in all.\n#### 1,080"
    (task,), _ = read(tmp_path, {"question": "How many?", "answer": answer})
    assert (task.skill, task.answer, task.aliases) == ("gsm8k", "1080", ("1,080",))
    assert task.meta["steps"] == "48/2 = 24 clips.\n1,000+80 = 1,080 in all."


def test_few_shot_arithmetic_is_reduced_to_the_question(tmp_path: Path) -> None:
    (task,), _ = read(tmp_path, {"context": "\n\nQ: What is 98 plus 45?\n\nA:", "completion": " 143"})
    assert (task.prompt, task.answer, task.skill) == ("What is 98 plus 45?", "143", "two_digit_addition")
    assert task.id == "set__two_digit_addition.jsonl:1"


def test_plain_questions_and_tasks_in_the_schema_keep_what_they_say(tmp_path: Path) -> None:
    given = {"prompt": "Capital?", "answer": "Rome", "skill": "fact", "split": "dev", "aliases": ["Roma"], "id": "q1"}
    tasks, _ = read(tmp_path, {"question": "2 + 3?", "answer": 5}, given, name="mine.jsonl")
    assert (tasks[0].answer, tasks[0].skill) == ("5", "mine")
    assert (given | {"aliases": ("Roma",)}).items() <= vars(tasks[1]).items()


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"text": "what?"}, "not a task format"),
        ([1], "not a task format"),
        ({"question": "", "answer": "5"}, "empty question or answer"),
        ({"question": "Why?", "answer": " "}, "empty question or answer"),
        ({"question": ["Why?"], "answer": "5"}, "question or answer is not text"),
        ({"question": "Why?", "answer": "5", "split": "practice"}, "unknown split"),
        ({"question": "Why?", "answer": "5", "mentions": "often"}, "malformed task"),
        ({"question": "Why?", "answer": "5", "aliases": 5}, "malformed task"),
    ],
)
def test_what_is_no_task_is_refused_by_reason(tmp_path: Path, record: Any, reason: str) -> None:
    tasks, broken = read(tmp_path, record)
    assert tasks == [] and broken == {reason: 1}


def test_a_question_that_occurs_twice_is_kept_once(tmp_path: Path) -> None:
    tasks, broken = read(tmp_path, {"question": "Why?", "answer": "a"}, {"question": "Why?", "answer": "a"})
    assert len(tasks) == 1 and broken == {"the same question again": 1}


def test_the_split_depends_on_prompt_and_seed_alone_in_the_stated_shares() -> None:
    def split(prompt: str, seed: int) -> str:
        return split_of(f"{seed}\n{prompt}", SHARES)

    splits = Counter(split(f"What is {n}?", seed=3) for n in range(10_000))
    assert splits["train"] == pytest.approx(8000, abs=150) and splits["test"] == pytest.approx(1000, abs=100)
    assert [split("Why?", seed) for seed in range(4)] == [split("Why?", seed) for seed in range(4)]
    assert len({split("Why?", seed) for seed in range(50)}) == 3


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CRAWL2CHAT_REAL_DATA names no folder")
def test_every_real_task_is_read_and_its_answer_right() -> None:
    broken = Broken()
    tasks = read_task_sets(Path(str(REAL)) / "verifiable", seed=7, broken=broken)
    counts = Counter(task.skill for task in tasks)
    assert counts["gsm8k"] == 7473 and counts["five_digit_addition"] == 2000
    assert broken == {"the same question again": 9}
    assert len(tasks) == 8 * 2000 + 7473 - 9
    for task in tasks:
        float(task.answer)  # every answer is a number
        if task.skill == "two_digit_addition":
            a, b = (int(word) for word in task.prompt.rstrip("?").split() if word.isdigit())
            assert int(task.answer) == a + b
