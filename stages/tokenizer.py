"""Stage tokenizer: a byte-level BPE vocabulary from the corpus, or that of the model which pretraining starts from."""

from pathlib import Path
from typing import Any, Literal

from crawl2chat.errors import UserError
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker


class TokenizerParams(Params):
    """Section `tokenizer` of params.yaml."""

    vocab_size: int = 1_024
    digits: Literal[1, 3] = 1  # how many digits a token may hold
    max_megabytes: float = 64.0  # of text to learn from


def tokenizer(
    corpus: Path, init_from: Path, out: Path, params: TokenizerParams, tracker: Tracker
) -> dict[str, Any]:
    """Train on the corpus (or take over what a model in `init_from` has) and measure how many bytes a token holds."""
    import polars as pl

    from crawl2chat.tokens.adopt import adopt, is_model
    from crawl2chat.tokens.tokenizer import SPECIALS, Tokenizer
    from crawl2chat.tokens.training import train

    files = sorted(corpus.glob("documents-*.parquet"))
    if not files:
        raise UserError(
            f"The folder {corpus.name} holds no documents-*.parquet; run the stage deduplicate first."
        )
    texts, size = [], 0
    for text in pl.concat(pl.scan_parquet(path).select("text") for path in files).collect()["text"]:
        if texts and size > params.max_megabytes * 2**20:
            break
        texts.append(text)
        size += len(text.encode())
    if is_model(init_from):
        adopt(init_from, out)
    else:
        train(texts, out, params.vocab_size, params.digits)
    made = Tokenizer.load(out)
    tokens = sum(map(len, made.encode_batch(texts)))
    longest = sorted((made.decode([i]) for i in range(made.vocab_size)), key=len)[-50:]
    tracker.table("longest_tokens", [{"token": token} for token in longest])
    return {
        "vocab_size": made.vocab_size,
        "merges": made.vocab_size - 256 - len(SPECIALS),
        "bytes_per_token": size / max(1, tokens),
        "bytes": size,
    }
