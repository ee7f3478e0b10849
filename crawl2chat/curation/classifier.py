"""An optional quality classifier, trained from samples of good and bad text: fastText over words and pairs.

In: texts of both kinds, chosen from one's own files (`quality/` of the inputs) or from the crawl itself by domain or
source. Out: a model, and for each document the probability that it is like the good ones. One thread and a seed: the
same samples give the same bytes. Source: Li et al. 2024 (DCLM), which keeps the best tenth by such a score.
"""

import heapq
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveInt, model_validator

from crawl2chat.curation.documents import documents_in
from crawl2chat.curation.reading.any_file import read_file
from crawl2chat.curation.reading.records import Found
from crawl2chat.errors import UserError
from crawl2chat.parameters import Params, Share

Choice = Annotated[str, Field(pattern=r"^(samples|domain|source):.+")]
CHARACTERS = 5_000  # of a text, when it is learned and when it is judged
HELD_OUT = 10  # every tenth sample is kept to measure the classifier
LEAST = 10  # samples of each kind


class ClassifierParams(Params):
    """What good and bad text is, and what is good enough."""

    positive: tuple[Choice, ...]  # samples:<path below quality/>, domain:<domain>, source:<source>; () is off
    negative: tuple[Choice, ...]  # the same; () takes documents of the crawl at random
    min_score: Share
    max_samples: PositiveInt  # of each kind
    epochs: PositiveInt
    dimensions: PositiveInt
    buckets: PositiveInt  # for hashes of pairs of words

    @model_validator(mode="after")
    def _both(self) -> "ClassifierParams":
        if self.negative and not self.positive:
            raise ValueError("negative samples need positive ones; fill in positive")
        return self


def train(documents: Path, samples: Path, params: ClassifierParams, work: Path) -> tuple[Path, dict[str, Any]]:
    """Train on the chosen texts; returns the model's file and its scores on held-out samples."""
    work.mkdir(parents=True, exist_ok=True)
    positive = choose(texts(params.positive, documents, samples), params.max_samples)
    others = params.negative or ("source:*",)
    unlike = {key for key, _ in positive}
    negative = choose(
        ((key, text) for key, text in texts(others, documents, samples) if key not in unlike),
        params.max_samples if params.negative else len(positive),
    )
    for name, found in (("positive", positive), ("negative", negative)):
        if len(found) < LEAST:
            raise UserError(
                f"{len(found)} {name} samples for the classifier, at least {LEAST} are needed; "
                f"change `{name}` or put texts into quality/ of your inputs."
            )
    rows = [("good", *row) for row in positive] + [("bad", *row) for row in negative]
    rows.sort(key=lambda row: hash_of(row[1]))  # both kinds in turn, in an order that only the samples decide
    samples_file, held_out = work / "samples.txt", rows[::HELD_OUT]
    with samples_file.open("w", encoding="utf-8") as file:
        file.writelines(f"__label__{label} {text}\n" for n, (label, _, text) in enumerate(rows) if n % HELD_OUT)
    path = work / "model.bin"
    options = {"epoch": params.epochs, "dim": params.dimensions, "bucket": params.buckets}
    learn(samples_file, path, options)
    right = sum((score(text, path) >= 0.5) == (label == "good") for label, _, text in held_out)
    if right <= len(held_out) / 2:
        raise UserError(
            f"The classifier is right on {right} of {len(held_out)} held-out samples, no better than chance; "
            "give it more samples or raise `epochs`."
        )
    return path, {
        "positives": len(positive),
        "negatives": len(negative),
        "held_out": len(held_out),
        "accuracy": right / len(held_out),
    }


def learn(samples: Path, model: Path, options: dict[str, int]) -> None:
    """Run fastText in a process of its own, whose fresh memory is all zero: with one thread fastText 0.9.2 fills but a
    tenth of its matrix and takes the rest as it finds it, which would be different every time, or not a number.
    """
    aside = model.with_suffix(".aside")
    code = (
        "import fasttext, json, sys; samples, model, options = sys.argv[1:]; "
        "fasttext.train_supervised(samples, wordNgrams=2, thread=1, seed=1, verbose=0, **json.loads(options))"
        ".save_model(model)"
    )
    # glibc fills memory that is handed out with the complement of this byte
    process = subprocess.run(
        [sys.executable, "-c", code, str(samples), str(aside), json.dumps(options)],
        env=os.environ | {"MALLOC_PERTURB_": "255"},
        capture_output=True,
        text=True,
    )
    if process.returncode:
        raise UserError(
            f"fastText could not learn from the samples ({process.stderr.strip().splitlines()[-1]}); "
            "change the samples or the parameters of the classifier."
        )
    os.replace(aside, model)


def score(text: str, model: Path) -> float:
    """The probability that a text is a good one."""
    labels, scores = load_model(str(model)).predict(flat(text), k=2)
    return min(1.0, float(dict(zip(labels, scores, strict=True))["__label__good"]))


@lru_cache(1)
def load_model(path: str) -> Any:
    from fasttext.FastText import _FastText

    return _FastText(path)


def flat(text: str) -> str:
    """A text as fastText reads it: one line, lower case."""
    return " ".join(text[:CHARACTERS].lower().split())


def texts(choices: Iterable[str], documents: Path, samples: Path) -> Iterator[tuple[str, str]]:
    """(key, flat text) of everything that the choices name."""
    wanted: dict[str, set[str]] = {"domain": set(), "source": set()}
    for choice in choices:
        kind, _, name = choice.partition(":")
        if kind == "samples":
            yield from texts_in(samples / name, samples)
        else:
            wanted[kind].add(name)
    if any(wanted.values()):
        for document in documents_in(documents):
            metadata = document["metadata"]
            if "*" in wanted["source"] or any(metadata.get(kind) in names for kind, names in wanted.items()):
                yield document["id"], flat(document["text"])


def texts_in(path: Path, samples: Path) -> Iterator[tuple[str, str]]:
    if not path.exists():
        raise UserError(
            f"quality/{path.relative_to(samples)} is not among your inputs; put it there or change filter.classifier."
        )
    for file in sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]:
        for record in read_file(file, 1 << 25):
            if isinstance(record, Found):
                yield f"{file.relative_to(samples).as_posix()} {record.id}", flat(record.text)


def choose(found: Iterable[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """At most so many (key, text), those with the smallest hashes: the same ones in whatever order they come."""
    hashed = ((hash_of(key), key, text) for key, text in found if text)
    return [(key, text) for _, key, text in heapq.nsmallest(most, hashed)]


def hash_of(key: str) -> int:
    from xxhash import xxh3_64_intdigest

    return xxh3_64_intdigest(key)
