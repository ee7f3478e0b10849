"""Stage tokenizer: a byte-level BPE vocabulary, learned from the corpus, read from a published file of ranks, or that
of the model which pretraining starts from."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from crawl2chat.errors import UserError
from crawl2chat.parameters import Params
from crawl2chat.tokens.training import LARGEST, SMALLEST
from crawl2chat.tracking import Tracker

HEADLINE = {"tokenizer": {"bytes_per_token": "bytes_per_token"}}


class TokenizerParams(Params):
    """Section `tokenizer` of params.yaml."""

    vocab_size: int = Field(ge=SMALLEST, le=LARGEST)
    # How many digits a token may hold.
    digits: Literal[1, 3]
    # Of text to learn from.
    max_megabytes: float = Field(gt=0.0)
    # A file of ranks, or a folder that may hold one.
    ranks: str
    # Of an unknown file of ranks.
    split: Literal["gpt2", "gpt4", "gpt4o"] | None


def tokenizer(
    corpus: Path, init_from: Path, ranks: Path, out: Path, params: TokenizerParams, tracker: Tracker
) -> dict[str, Any]:
    """Train on the corpus, or take the vocabulary in `ranks` or of the model in `init_from`; measure what a token
    holds, in all and by language."""
    from crawl2chat.tokens import ranks as published
    from crawl2chat.tokens.adopt import adopt, is_model
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.tokens.training import train

    file = published.find_file(ranks)
    if file and is_model(init_from):
        raise UserError(f"The model in {init_from.name} brings its tokenizer; take {file.name} out of tokenizer.ranks.")
    if is_model(init_from):
        adopt(init_from, out)
    elif file:
        vocabulary = published.read(file)
        published.convert(vocabulary, published.split_for(vocabulary, params.split, file.name), out)
    else:
        texts = (text for _, text in first_documents(corpus, params.max_megabytes))
        train(texts, out, params.vocab_size, params.digits)
    trained = Tokenizer.load(out)
    counts = count(trained, first_documents(corpus, params.max_megabytes))
    longest = sorted((trained.decode([i]) for i in range(trained.vocab_size)), key=len)[-50:]
    tracker.table("longest_tokens", [{"token": token} for token in longest])
    total = sum(counts.values(), Counter())
    languages = {language: compression(counts[language]) for language in sorted(counts)}
    tracker.table("languages", [{"language": name, **values} for name, values in languages.items()])
    return {
        "vocab_size": trained.vocab_size,
        "merges": int((trained.token_bytes() > 0).sum()) - 256,
        **compression(total),
        "bytes": total["bytes"],
        "languages": languages,
    }


def first_documents(corpus: Path, megabytes: float) -> Iterator[tuple[str, str]]:
    """(language, text) of the corpus's documents, up to `megabytes`."""
    from crawl2chat.tokens.corpus import read

    size = 0
    for language, text in read(corpus, "language", "text"):
        if size > megabytes * 2**20:
            return
        size += len(text.encode())
        yield language, text


def count(tokenizer: Any, documents: Iterator[tuple[str, str]]) -> dict[str, Counter[str]]:
    """Per language: documents, bytes, words and tokens."""
    from crawl2chat.tokens.shards import batches

    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for batch in batches(documents):
        for (language, text), ids in zip(batch, tokenizer.encode_batch(text for _, text in batch), strict=True):
            counts[language or "unknown"].update(
                documents=1, bytes=len(text.encode()), words=len(text.split()), tokens=len(ids)
            )
    return counts


def compression(counts: Counter[str]) -> dict[str, float]:
    """Bytes per token, and fertility: tokens per word between white space (Rust et al. 2021), in scripts that have
    it."""
    return {
        "documents": counts["documents"],
        "bytes_per_token": counts["bytes"] / max(1, counts["tokens"]),
        "fertility": counts["tokens"] / max(1, counts["words"]),
    }
