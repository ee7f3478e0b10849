"""Finds evaluation items in the corpus, so that no model is asked what it has read word for word.

In: tasks (those of the splits `dev` and `test`) and text. Out: the id of the first task whose prompt shares a run of `n`
words with the text. Only prompts count: telling a fact is not contamination, showing the question of the exam is. Words
are compared lower-case without punctuation. Source: Brown et al. 2020, appendix C (13-grams).
"""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_WORD = re.compile(r"\w+")


def evaluation_items(tasks: Path) -> list[dict[str, Any]]:
    """All tasks of the splits `dev` and `test` below the folder, in a fixed order."""
    items = []
    for path in sorted(tasks.glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            items += [
                task for line in file if line.strip() and (task := json.loads(line))["split"] != "train"
            ]
    return items


class Overlap:
    """An index of the word n-grams of evaluation prompts.

    A prompt shorter than `n` words counts as a whole, if it has at least `least` words; shorter ones are left out, since
    such runs occur by chance.
    """

    def __init__(self, items: Iterable[dict[str, Any]], n: int, least: int):
        self.least = least
        # hash of the first `least` words of a run → (its length, hash of all its words, task id)
        self.runs: dict[int, list[tuple[int, int, str]]] = {}
        for item in items:
            words = _WORD.findall(item["prompt"].lower())
            length = min(n, len(words))
            if length < least:
                continue
            for start in range(len(words) - length + 1):
                run = words[start : start + length]
                self.runs.setdefault(_digest(run[:least]), []).append((length, _digest(run), item["id"]))

    def find(self, text: str) -> str | None:
        """The id of a task whose prompt the text shows, or None."""
        words = _WORD.findall(text.lower())
        for start in range(len(words) - self.least + 1):
            for length, digest, task in self.runs.get(_digest(words[start : start + self.least]), ()):
                if _digest(words[start : start + length]) == digest:
                    return task
        return None


def _digest(words: list[str]) -> int:
    from xxhash import xxh3_64_intdigest

    return xxh3_64_intdigest(" ".join(words))
