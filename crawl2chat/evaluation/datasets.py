"""Verifiable tasks as people publish them, read into the one task schema that evaluation and training share.

In: a folder of JSON files: GSM8K (Cobbe et al. 2021), the arithmetic sets of GPT-3 (Brown et al. 2020), plain questions
with answers, or tasks already in the schema. Out: tasks, split into train, dev and test by prompt and seed.
"""

import re
from pathlib import Path

from crawl2chat.errors import UserError
from crawl2chat.records import BadRecord, Broken, Record, read_records
from crawl2chat.splits import split_of
from crawl2chat.tasks import Task, parse_task

CALCULATION = re.compile(r"<<[^>]*>>")  # GSM8K's calculator annotations, between an expression and its result
FINAL = "####"
SHARES = {"test": 0.1, "dev": 0.1, "train": 0.8}


def read_task_sets(folder: Path, seed: int, broken: Broken | None = None) -> list[Task]:
    """Every task of every file below `folder`, in the order of files and records.

    A question that occurs twice is kept once. Refused records are counted and named in `broken` where one is given.
    Raises UserError where there is no such folder.
    """
    broken = Broken() if broken is None else broken
    tasks: dict[str, Task] = {}
    for record in read_records(folder, broken):
        try:
            task = _task(record, seed)
        except BadRecord as error:
            broken.refuse(record.place, *error.args)
            continue
        except (UserError, TypeError, ValueError) as error:
            broken.refuse(record.place, "malformed task", str(error))
            continue
        if task.prompt in tasks:
            broken.refuse(record.place, "the same question again", tasks[task.prompt].id)
        else:
            tasks[task.prompt] = task
    return list(tasks.values())


def _task(record: Record, seed: int) -> Task:
    value = record.value
    if not isinstance(value, dict):
        raise BadRecord("not a task format", type(value).__name__)
    prompt = value.get("prompt", value.get("question", value.get("context")))
    answer = value.get("answer", value.get("completion"))
    if prompt is None or answer is None:
        raise BadRecord("not a task format", "keys " + ", ".join(sorted(value)))
    if not isinstance(prompt, str) or not isinstance(answer, str | int | float):
        raise BadRecord("question or answer is not text")
    prompt, answer = _question(prompt), str(answer).strip()
    skill, meta = str(value.get("skill", _skill(record.file))), dict(value.get("meta") or {})
    if FINAL in answer:
        skill = "gsm8k"
        steps, _, answer = (part.strip() for part in answer.rpartition(FINAL))
        meta["steps"] = CALCULATION.sub("", steps)
    if not prompt or not answer:
        raise BadRecord("empty question or answer")
    split = value.get("split", split_of(f"{seed}\n{prompt}", SHARES))
    if split not in SHARES:
        raise BadRecord("unknown split", f"{split!r}: it must be train, dev or test")
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", answer)  # 1,080 as 1080
    aliases = [*value.get("aliases", []), *([answer] if answer != plain else [])]
    task = {"id": str(value.get("id", record.place)), "skill": skill, "split": split, "prompt": prompt, "answer": plain}
    task |= {"aliases": aliases, "entity": value.get("entity"), "mentions": value.get("mentions"), "meta": meta}
    return parse_task(record.place, task)


def _question(prompt: str) -> str:
    """The bare question of a few-shot prompt such as "Q: What is 2 plus 3?\\n\\nA:"."""
    return re.sub(r"^\s*Q:|\s+A:\s*$", "", prompt).strip()


def _skill(file: str) -> str:
    """two_digit_addition of some/folder/gpt-3__two_digit_addition.jsonl.gz."""
    return file.rpartition("/")[2].partition(".")[0].rpartition("__")[2]
