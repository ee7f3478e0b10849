"""Preferences as records: prompts with candidate answers, and who ranked them how.

`prompts.jsonl`, one object a line:
    {"id": "…", "messages": [{"role": "user", "content": "…"}], "task": {…} or null, "split": "train" or "test",
     "candidates": [{"text": "…", "finished": true, "gold": 1.5 or null}, …]}
`rankings.jsonl`, one object a line, which a person may write by hand or with `python -m crawl2chat.alignment.rank`:
    {"prompt_id": "…", "order": [2, 0, [1, 3]], "labeler": "anna"}
`order` names candidates by their place in `candidates` (from 0), best first; candidates in brackets are tied, and tied
pairs are dropped. Candidates may be left out. Source: the ranking of K answers in Ouyang et al. 2022 (InstructGPT).
"""

import json
from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

from crawl2chat.errors import UserError
from crawl2chat.jsonl import numbered_rows
from crawl2chat.splits import split_of
from crawl2chat.tasks import Task, parse_task

Order = list[int | list[int]]
Pair = tuple[int, int]  # (better, worse)


def pairs(order: Order) -> list[Pair]:
    """All (better, worse) pairs an order implies; none between tied candidates."""
    places = [place if isinstance(place, list) else [place] for place in order]
    return [(a, b) for high, low in combinations(places, 2) for a in high for b in low]


def gold_pairs(scores: Sequence[float | None]) -> list[Pair]:
    """The (better, worse) pairs of clean gold scores; none where scores are equal or unknown."""
    known = [i for i, score in enumerate(scores) if score is not None]
    return [(i, j) if scores[i] > scores[j] else (j, i) for i, j in combinations(known, 2) if scores[i] != scores[j]]


def prompt_split(messages: list[dict], test_share: float) -> str:
    """train or test, decided by the prompt alone: the same question never falls on both sides."""
    return split_of(json.dumps(messages, sort_keys=True), {"test": test_share, "train": 1 - test_share})


def purpose(prompt: dict) -> str:
    """What a prompt's rankings are for: `test`, or of those of the train split one half for the reward model that is
    optimised (`proxy`), the other for the one that says when to stop (`validation`)."""
    if prompt["split"] == "test":
        return "test"
    return split_of(prompt["id"], {"proxy": 0.5, "validation": 0.5})


def noise_for(gold: Sequence[Sequence[float]], flipped: float) -> float:
    """Standard deviation of Gaussian noise on each score that flips this share of the untied pairs, on average.

    Two noisy scores swap with probability Φ(−|Δ| / (σ√2)); σ by bisection. 0 where nothing is to be flipped,
    1 where all candidates are of equal worth and any order is as good as another.
    """
    from torch import erfc, tensor

    gaps = tensor([abs(scores[i] - scores[j]) for scores in gold for i, j in gold_pairs(scores)])
    if flipped <= 0 or not len(gaps):
        return float(flipped > 0)
    low, high = 0.0, 1e3 * float(gaps.max())
    for _ in range(60):
        middle = (low + high) / 2
        share = float((erfc(gaps / (2 * middle)) / 2).mean())  # Φ(−x) = erfc(x / √2) / 2
        low, high = (middle, high) if share < flipped else (low, middle)
    return high


def simulate(gold: Sequence[float], noise: float, generator: np.random.Generator) -> Order:
    """A labeler who sees gold + Gaussian noise ranks all candidates, best first; what looks equal is tied."""
    seen = np.asarray(gold) + noise * generator.standard_normal(len(gold))
    places = [[int(i) for i in np.flatnonzero(seen == value)] for value in np.unique(seen)[::-1]]
    return [place[0] if len(place) == 1 else place for place in places]


def agreement(first: Sequence[Order], second: Sequence[Order]) -> tuple[int, int]:
    """(agreeing, all) pairs that both of two labelers ordered, ranking by ranking."""
    same = both = 0
    for a, b in zip(first, second, strict=True):
        mine, theirs = set(pairs(a)), set(pairs(b))
        common = [pair for pair in mine if pair in theirs or pair[::-1] in theirs]
        both += len(common)
        same += sum(pair in theirs for pair in common)
    return same, both


def read_prompts(path: Path) -> dict[str, dict]:
    """Prompts by id, their tasks as records. Raises UserError for an empty file, repeated ids, or a missing part."""
    prompts: dict[str, dict] = {}
    for where, record in numbered_rows(path):
        for key in ("id", "messages", "candidates"):
            if not record.get(key):
                raise UserError(f"{where}: a prompt needs a non-empty {key!r}.")
        if record["id"] in prompts:
            raise UserError(f"{where}: prompt id {record['id']!r} occurs twice; make ids unique.")
        task = record.get("task")
        prompts[record["id"]] = record | {"task": parse_task(where, task) if task else None}
    if not prompts:
        raise UserError(f"{path} holds no prompt: add prompts with candidates.")
    return prompts


def read_rankings(path: Path, prompts: dict[str, dict]) -> list[dict]:
    """Rankings checked against their prompts; those that order no pair (all tied, or one candidate) are dropped.

    Raises UserError naming the line for an unknown prompt, an unknown candidate or one that is named twice.
    """
    rankings = []
    for where, record in numbered_rows(path):
        check_ranking(record, prompts, where)
        if pairs(record["order"]):
            rankings.append(record)
    if not rankings:
        raise UserError(f"{path} holds no ranking that puts one candidate above another.")
    return rankings


def check_ranking(record: dict, prompts: dict[str, dict], where: str) -> None:
    """Raises UserError where a ranking does not fit its prompt."""
    prompt = prompts.get(record.get("prompt_id"))
    if prompt is None:
        raise UserError(f"{where}: prompt_id {record.get('prompt_id')!r} is not among the prompts.")
    task = prompt.get("task")
    if isinstance(task, Task) and task.split == "test":
        raise UserError(
            f"{where}: prompt {record['prompt_id']!r} is the task {task.id!r} of the test split, which the exam asks: "
            "leave it out, or the exam measures what was trained."
        )
    order, count = record.get("order"), len(prompt["candidates"])
    if not isinstance(order, list):
        raise UserError(f"{where}: 'order' must be a list of candidate numbers, best first, found {order!r}.")
    candidates = [i for place in order for i in (place if isinstance(place, list) else [place])]
    for i in candidates:
        if not isinstance(i, int) or isinstance(i, bool) or not 0 <= i < count:
            raise UserError(f"{where}: candidate {i!r} is unknown; the prompt has candidates 0 to {count - 1}.")
    twice = next((a for a, b in pairwise(sorted(candidates)) if a == b), None)
    if twice is not None:
        raise UserError(f"{where}: candidate {twice} is ranked twice; name each candidate once.")
