"""What a person reads to get a feeling for a model: a few answers of each kind and a few free continuations."""

import random
from collections.abc import Sequence

from crawl2chat.evaluation.probes import continuations
from crawl2chat.model.network import Transformer
from crawl2chat.tokens.tokenizer import Tokenizer

BEGINNINGS = ("The", "Question: What is", "How to", "")


def free_samples(
    name: str, model: Transformer, tokenizer: Tokenizer, rows: Sequence[dict], count: int, seed: int
) -> list[dict]:
    """`count` samples: one answer of each kind in turn, and of the base model also pages that it continues freely."""
    samples: list[dict] = []
    if name == "base":
        texts = [BEGINNINGS[i % len(BEGINNINGS)] for i in range(count // 2)]
        pages = continuations(model, tokenizer, texts, max_new_tokens=60, temperature=0.8, seed=seed)
        samples = [sample(name, "page", text, page) for text, page in zip(texts, pages, strict=True)]
    by_kind: dict[str, list[dict]] = {}
    for row in rows:
        by_kind.setdefault(row["kind"], []).append(row)
    rng = random.Random(f"samples {seed}")
    kinds = sorted(by_kind)
    rng.shuffle(kinds)
    for turn in range(count - len(samples) if kinds else 0):
        row = rng.choice(by_kind[kinds[turn % len(kinds)]])
        samples.append(sample(name, row["kind"], row["prompt"], row["answer"], row["truth"]))
    return samples


def sample(model: str, kind: str, prompt: str, answer: str, truth: str = "") -> dict:
    return {"model": model, "kind": kind, "prompt": prompt, "answer": answer, "truth": truth}
