"""Stage tokenize: the corpus as token shards, split into train and val by document hash."""

from pathlib import Path
from typing import Any

from pydantic import Field

from crawl2chat.errors import UserError
from crawl2chat.parameters import Params

HEADLINE = {"tokenize": {"documents": "documents", "tokens": "train_tokens"}}


class TokenizeParams(Params):
    """Section `tokenize` of params.yaml."""

    # Of documents.
    val_share: float = Field(gt=0.0, lt=1.0)


def tokenize(corpus: Path, tokenizer: Path, out: Path, params: TokenizeParams, seed: int) -> dict[str, Any]:
    """Encode every document of the corpus into `out`."""
    from crawl2chat.tokens.corpus import read
    from crawl2chat.tokens.shards import Entry, write
    from crawl2chat.tokens.tokenizer import Tokenizer

    entries = (
        Entry(identity, identity if cluster < 0 else f"cluster {cluster}", text)
        for identity, cluster, text in read(corpus, "id", "cluster", "text")
    )
    counts = write(entries, Tokenizer.load(tokenizer), out, seed, params.val_share)
    documents = sum(values["documents"] for values in counts.values())
    for split in ("train", "val"):
        if not counts[split]["documents"]:
            raise UserError(f"tokenize: no document fell into '{split}' of {documents}; change tokenize.val_share.")
    return {
        "documents": documents,
        **{f"{split}_{key}": value for split, values in counts.items() for key, value in values.items()},
    }
