"""Does search find what is asked? The share of facts of which a passage that states them is among the hits.

In: a search index and tasks about facts. Out: shares with n and interval, for the plain question as a person asks it.
"""

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any

from crawl2chat.chat.search import Index
from crawl2chat.evaluation.statistics import accuracy
from crawl2chat.tasks import Task, names

# Mentions of a fact in the corpus at most, for it to count as rare.
RARE = 5


def states(passage: str, task: Task) -> bool:
    """Whether the passage names both whom the fact is about and the answer."""
    answers = (task.answer, *task.aliases)
    return bool(task.entity) and names(passage, task.entity) and any(names(passage, answer) for answer in answers)


def retrieval(index: Index, tasks: Iterable[Task]) -> dict[str, Any]:
    """Facts outside fine-tuning whose question finds them: first, among all hits, and of those told rarely."""
    asked = [task for task in tasks if task.skill == "fact" and task.entity and task.split != "train"]
    hits = [[states(source.passage, task) for source in index.search(task.prompt)] for task in asked]
    rare = [(task.mentions or 0) <= RARE for task in asked]
    found: Sequence[bool] = [any(found) for found in hits]
    return (
        accuracy("found_first", [any(found[:1]) for found in hits])
        | accuracy("found", found)
        | accuracy("found_rare", list(compress(found, rare)))
    )
