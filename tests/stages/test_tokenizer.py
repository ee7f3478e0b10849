"""Stages tokenizer and tokenize on a corpus of a few rows."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from training_toys import NOTHING

from crawl2chat.errors import UserError
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tracking import Tracker
from stages.tokenize import TokenizeParams, tokenize
from stages.tokenizer import TokenizerParams, tokenizer


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = [
        (f"d{n}", -1 if n % 4 else n // 8, f"Page {n} tells that {n * 7} and {n * 3} make {n * 10}.")
        for n in range(80)
    ]
    frame = pl.DataFrame(rows, schema=["id", "cluster", "text"], orient="row")
    for number, part in enumerate((frame[:50], frame[50:])):
        part.write_parquet(folder / f"documents-{number:05d}.parquet")
    return folder


def test_vocabulary_and_shards(corpus: Path, tmp_path: Path) -> None:
    metrics = tokenizer(corpus, NOTHING, tmp_path / "tokenizer", TokenizerParams(vocab_size=275), Tracker())
    assert metrics["vocab_size"] == 275 and metrics["merges"] == 11 and 1.0 < metrics["bytes_per_token"] < 4.0
    counts = tokenize(
        corpus, tmp_path / "tokenizer", tmp_path / "tokens", TokenizeParams(val_share=0.2), seed=1
    )
    assert counts["documents"] == counts["train_documents"] + counts["val_documents"] == 80
    made = Tokenizer.load(tmp_path / "tokenizer")
    ids = np.fromfile(tmp_path / "tokens" / "train.bin", np.uint16)
    assert len(ids) == counts["train_tokens"] and made.decode(ids).count("Page ") == counts["train_documents"]


def test_vocabulary_too_large_for_the_corpus(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the corpus only allows"):
        tokenizer(corpus, NOTHING, tmp_path / "tokenizer", TokenizerParams(vocab_size=50_000), Tracker())


def test_missing_corpus(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run the stage deduplicate first"):
        tokenizer(tmp_path, NOTHING, tmp_path / "tokenizer", TokenizerParams(), Tracker())
    with pytest.raises(UserError, match="run the stage deduplicate first"):
        tokenize(tmp_path, tmp_path, tmp_path / "tokens", TokenizeParams(), seed=1)
