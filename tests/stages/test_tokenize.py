"""Stage tokenize: a share that leaves a split empty is an error that names the parameter."""

from pathlib import Path

import polars as pl
import pytest
from training_toys import NOTHING

from crawl2chat.errors import UserError
from crawl2chat.tracking import Tracker
from stages.settings import tuned
from stages.tokenize import TokenizeParams, tokenize
from stages.tokenizer import TokenizerParams, tokenizer


def test_an_empty_split_is_an_error(tmp_path: Path) -> None:
    page = {"id": ["a"], "cluster": [-1], "language": ["en"], "text": ["One page only."]}
    pl.DataFrame(page).write_parquet(tmp_path / "documents-00000.parquet")
    tokenizer(tmp_path, NOTHING, NOTHING, tmp_path / "tokenizer", tuned(TokenizerParams, vocab_size=266), Tracker())
    with pytest.raises(UserError, match="no document fell into 'val' of 1; change tokenize.val_share"):
        tokenize(tmp_path, tmp_path / "tokenizer", tmp_path / "tokens", tuned(TokenizeParams, val_share=0.01), seed=1)
