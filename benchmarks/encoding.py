"""Encoding and training against the tokenizers library, in one run: `python -m benchmarks.encoding [--data <folder>]`.

In: the texts of a folder of JSON and text files (subfolders text, chat, filters/language_sentences), or of the tiny
web. Out: one line of JSON. `speed_ratio`: how many times faster `Tokenizer.encode` is than the library's `encode` in a
loop, one thread, in CPU seconds, over all different texts; `ids_equal`: are all ids the same; `batch_ratio`: the same
for both batch calls with `threads` threads in wall seconds, over the first megabytes; `training_ratio`: CPU seconds of
`train` over those of the library alone with the same settings.
"""

import argparse
import gzip
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import command
from stages.settings import tuned

THREADS = min(2, os.cpu_count() or 1)
os.environ["RAYON_NUM_THREADS"] = str(THREADS)  # read when the library is first used
os.environ["TOKENIZERS_PARALLELISM"] = "true"

import tokenizers  # noqa: E402
from tqdm import tqdm  # noqa: E402

from benchmarks.measure import Pair, show  # noqa: E402
from crawl2chat.records import Broken, read_records  # noqa: E402
from crawl2chat.tokens.splits import split_pattern  # noqa: E402
from crawl2chat.tokens.tokenizer import SPECIALS, Tokenizer  # noqa: E402
from crawl2chat.tokens.training import assemble, train  # noqa: E402

FOLDERS = ("text", "chat", "filters/language_sentences")
CHUNK = 1_000_000  # bytes encoded by the one before it is the other's turn


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.encoding", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with text/, chat/ …; without it the tiny web is read")
    parser.add_argument("--vocab-size", type=int, default=8_192)
    parser.add_argument("--training-megabytes", type=float, default=6.0)
    options = parser.parse_args(arguments)
    texts = list(dict.fromkeys(text for text in (real(options.data) if options.data else tiny()) if text))
    if not texts:
        print(f"error: {options.data} holds no text in {', '.join(FOLDERS)}.", file=sys.stderr)
        return 1
    show(compare(texts, options.vocab_size, options.training_megabytes))
    return 0


def compare(texts: list[str], vocab_size: int, training_megabytes: float) -> dict[str, Any]:
    """Every number of the benchmark."""
    # Every n-th text, so that all kinds are in it.
    chosen = next(chunks(texts[:: max(1, round(size_of(texts) / training_megabytes / 1e6))], training_megabytes * 1e6))
    with tempfile.TemporaryDirectory() as folder:
        training = Pair()
        for _ in range(2):
            training.run(
                lambda: train(chosen, Path(folder), vocab_size, digits=3),
                lambda: train_with_the_library(chosen, vocab_size),
            )
        ours = Tokenizer.load(Path(folder))
        theirs = tokenizers.Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    theirs.encode_special_tokens = True  # text is only text, as it always is with ours
    equal, loop, batch = True, Pair(), Pair(time.perf_counter)
    parts = list(chunks(texts, CHUNK))
    for number, chunk in enumerate(tqdm(parts, unit="MB", disable=None)):
        first, second = loop.run(
            lambda chunk=chunk: [ours.encode(text) for text in chunk],
            lambda chunk=chunk: [theirs.encode(text).ids for text in chunk],
        )
        equal &= first == second
        if number < 8:
            batch.run(
                lambda chunk=chunk: ours.encode_batch(chunk, THREADS),
                lambda chunk=chunk: [encoding.ids for encoding in theirs.encode_batch(chunk)],
            )
    megabytes = size_of(texts) / 1e6
    return {
        "benchmark": "encoding",
        "speed_ratio": loop.ratio,
        "ids_equal": equal,
        "batch_ratio": batch.ratio,
        "training_ratio": 1 / training.ratio,
        "documents": len(texts),
        "megabytes": megabytes,
        "our_megabytes_per_second": megabytes / loop.seconds[0],
        "their_megabytes_per_second": megabytes / loop.seconds[1],
        "training_megabytes": size_of(chosen) / 1e6,
        "vocab_size": vocab_size,
        "threads": THREADS,
        "tokenizers": tokenizers.__version__,
    }


def train_with_the_library(texts: list[str], vocab_size: int) -> None:
    """The bare library with the settings that `train` gives it."""
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIALS),
        show_progress=False,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    assemble(tokenizers.models.BPE(), split_pattern(3)).train_from_iterator(texts, trainer)


def size_of(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def chunks(texts: list[str], size: float) -> Iterator[list[str]]:
    """Lists of texts of about `size` bytes."""
    chunk: list[str] = []
    held = 0
    for text in texts:
        chunk.append(text)
        held += len(text.encode())
        if held >= size:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


# ---- texts


def real(data: Path) -> Iterator[str]:
    """Every string in the JSON files and every text file of the folders."""
    for folder in (data / name for name in FOLDERS):
        if not folder.is_dir():
            continue
        for record in read_records(folder, Broken()):
            yield from strings(record.value)
        for path in sorted(path for ending in ("*.txt", "*.txt.gz") for path in folder.rglob(ending)):
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                yield file.read().decode("utf-8", "replace")


def strings(value: Any) -> Iterator[str]:
    """The strings anywhere in a JSON value, keys apart."""
    if isinstance(value, str):
        # Half a surrogate pair is no text; a corpus never holds one.
        yield value.encode("utf-8", "replace").decode()
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from strings(item)


def tiny() -> Iterator[str]:
    """Pages of the tiny web, some three megabytes."""
    from crawl2chat.tinyweb.pages import PageParams, write_pages
    from crawl2chat.tinyweb.world import WorldParams, build_world

    for page in write_pages(build_world(1, tuned(WorldParams)), tuned(PageParams), 1):
        yield "\n\n".join([page.title, *page.paragraphs])


if __name__ == "__main__":
    command(lambda: main(sys.argv[1:]))
