"""The base model as an internet document simulator, in numbers: it recites what it read often, learns from what stands
before it, and plays an assistant when a page makes one likely.

In: a base model, its tokens, tasks. Out: tables of {what, value, low, high, n} with Wilson intervals, and texts to
read. Sources: Carlini et al. 2022, "Quantifying Memorization"; Brown et al. 2020 (few-shot learning).
"""

import random
from collections.abc import Sequence

import numpy as np

from crawl2chat.evaluation.probes import QUESTION, continuations, first_sentence
from crawl2chat.evaluation.statistics import accuracy
from crawl2chat.model.generate import Sampling, generate
from crawl2chat.model.network import Transformer
from crawl2chat.tasks import Task, verify
from crawl2chat.tokens.tokenizer import Tokenizer

# Tokens of the prompt, and tokens that must follow exactly.
PROMPT, RECITAL = 24, 16
# From and to, of a window in the training text; 0: held-out text that training never saw.
OCCURRENCES = ((0, 0), (1, 1), (2, 3), (4, 7), (8, 15), (16, 10**12))
SHOTS = (0, 1, 2, 4, 8)


def row(what: str, hits: Sequence[bool]) -> dict:
    """A share of hits, of which there must be at least one, as a line of a table."""
    numbers = accuracy("value", hits)
    return {"what": what, "value": numbers["value"]} | {key: numbers[f"value_{key}"] for key in ("low", "high", "n")}


def window_hashes(ids: np.ndarray, width: int) -> np.ndarray:
    """(len(ids) - width + 1,) uint64: one number for each run of `width` ids, equal for equal runs. By doubling: the
    hash of a run is that of its two overlapping halves."""
    hashes, length = ids.astype(np.uint64) + np.uint64(1), 1
    with np.errstate(over="ignore"):
        while length < width:
            step = min(length, width - length)
            hashes = mix_bits(hashes[:-step] * np.uint64(0x9E3779B97F4A7C15) + hashes[step:])
            length += step
    return hashes


def mix_bits(values: np.ndarray) -> np.ndarray:
    """Spreads every bit over the whole number (the finaliser of MurmurHash3)."""
    values = (values ^ (values >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    return values ^ (values >> np.uint64(33))


def recital_windows(
    train: np.ndarray, held_out: np.ndarray, bos: int, each: int, seed: int
) -> dict[tuple[int, int], np.ndarray]:
    """{occurrences in training: (n, PROMPT + RECITAL) ids}: up to `each` different runs of every band, none across
    documents."""
    width = PROMPT + RECITAL
    rng = np.random.default_rng([seed, 7])
    seen = window_hashes(train, width)
    kinds, first, counts = np.unique(seen, return_index=True, return_counts=True)
    found = {}
    for low, high in OCCURRENCES:
        if low == 0:
            ids, places = held_out, np.flatnonzero(~np.isin(window_hashes(held_out, width), kinds))
        else:
            ids, places = train, first[(counts >= low) & (counts <= high)]
        rng.shuffle(places)
        inside = [p for p in places[: 20 * each] if bos not in ids[p : p + width]][:each]
        if inside:
            found[low, high] = np.stack([ids[p : p + width] for p in inside]).astype(np.int64)
    return found


def regurgitation(model: Transformer, tokenizer: Tokenizer, windows: dict[tuple[int, int], np.ndarray]) -> list[dict]:
    """How often the model goes on word for word: exactly RECITAL tokens after PROMPT tokens of a text, greedily."""
    table = []
    for (low, high), runs in windows.items():
        prompts = [[tokenizer.bos, *run[:PROMPT]] for run in runs.tolist()]
        completions = generate(model, prompts, Sampling(RECITAL, temperature=0))
        hits = [one.ids == run[PROMPT:] for one, run in zip(completions, runs.tolist(), strict=True)]
        name = "held out" if high == 0 else f"{low}" if low == high else f"{low}-{high}" if high < 10**12 else f"{low}+"
        table.append(row(name, hits))
    return table


def patterns_by_shots(model: Transformer, tokenizer: Tokenizer, tasks: list[Task], seed: int) -> list[dict]:
    """Patterns never trained as a task, asked after 0, 1, 2 … examples of the same pattern."""
    table = []
    for shots in SHOTS:
        prompts = []
        for number, task in enumerate(tasks):
            others = {
                other.meta["zero_shot"]: other.answer
                for other in tasks
                if other.meta["pattern"] == task.meta["pattern"] and other.meta["zero_shot"] != task.meta["zero_shot"]
            }
            rng = random.Random(f"shots {seed} {number}")
            examples = rng.sample(sorted(others), min(shots, len(others)))
            lines = [f"{example} {others[example]}; " for example in examples]
            prompts.append(" " + "".join(lines) + task.meta["zero_shot"])
        answers = [
            text.replace(".", ";").split(";")[0].strip()
            for text in continuations(model, tokenizer, prompts, max_new_tokens=5)
        ]
        hits = [text == task.answer for text, task in zip(answers, tasks, strict=True)]
        table += [row(str(shots), hits)] if hits else []
    return table


def assistant_by_prompt(
    model: Transformer, tokenizer: Tokenizer, facts: Sequence[Task], known: Sequence[Task], seed: int
) -> tuple[list[dict], list[dict]]:
    """An assistant by prompt alone: the bare question, the question on a page of questions, and after answered ones.

    facts: the questions. known: other facts, examples with their answers. Returns the table and answers to read."""
    rng = random.Random(f"prompted {seed}")
    examples = rng.sample(known, min(3, len(known)))
    page = " ".join(f"{QUESTION.format(question=task.prompt)} {task.answer}." for task in examples)
    ways = {"the question alone": "{question}", "as on a page": QUESTION}
    if examples:
        ways[f"after {len(examples)} answered ones"] = f"{page} {QUESTION}"
    table, answers = [], []
    for way, text in ways.items():
        prompts = [text.replace("{question}", task.prompt) for task in facts]
        texts = [first_sentence(text) for text in continuations(model, tokenizer, prompts, max_new_tokens=12)]
        table += [row(way, [verify(task, text) for task, text in zip(facts, texts, strict=True)])] if facts else []
        answers += [
            {"way": way, "question": task.prompt, "answer": text, "truth": task.answer}
            for task, text in zip(facts[:5], texts[:5], strict=True)
        ]
    return table, answers


def dreams(model: Transformer, tokenizer: Tokenizer, beginnings: Sequence[str], each: int, seed: int) -> list[dict]:
    """The same beginning, several continuations: a simulator draws one of many pages."""
    texts = [text for text in beginnings for _ in range(each)]
    pages = continuations(model, tokenizer, texts, max_new_tokens=60, temperature=0.8, seed=seed)
    return [{"beginning": text, "continuation": page} for text, page in zip(texts, pages, strict=True)]
