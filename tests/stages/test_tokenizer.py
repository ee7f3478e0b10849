"""Stages tokenizer and tokenize on a corpus of a few rows."""

import base64
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from training_toys import NOTHING

from crawl2chat.errors import UserError
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tracking import Tracker
from stages.settings import tuned
from stages.tokenize import TokenizeParams, tokenize
from stages.tokenizer import TokenizerParams, tokenizer


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = [
        (
            f"d{n}",
            -1 if n % 4 else n // 8,
            "de" if n % 5 == 0 else "en",
            f"Page {n} tells that {n * 7} and {n * 3} make {n * 10}.",
        )
        for n in range(80)
    ]
    frame = pl.DataFrame(rows, schema=["id", "cluster", "language", "text"], orient="row")
    for number, part in enumerate((frame[:50], frame[50:])):
        part.write_parquet(folder / f"documents-{number:05d}.parquet")
    return folder


@pytest.fixture
def ranks(tmp_path: Path) -> Path:
    """The folder of published vocabularies as the project has it: with nothing but an explanation."""
    (tmp_path / "ranks").mkdir()
    (tmp_path / "ranks" / "README.md").write_text("Put one vocabulary here.")
    return tmp_path / "ranks"


def test_vocabulary_and_shards(corpus: Path, ranks: Path, tmp_path: Path) -> None:
    metrics = tokenizer(
        corpus, NOTHING, ranks, tmp_path / "tokenizer", tuned(TokenizerParams, vocab_size=275), Tracker()
    )
    assert metrics["vocab_size"] == 275 and metrics["merges"] == 11 and 1.0 < metrics["bytes_per_token"] < 4.0
    counts = tokenize(corpus, tmp_path / "tokenizer", tmp_path / "tokens", tuned(TokenizeParams, val_share=0.2), seed=1)
    assert counts["documents"] == counts["train_documents"] + counts["val_documents"] == 80
    made = Tokenizer.load(tmp_path / "tokenizer")
    ids = np.fromfile(tmp_path / "tokens" / "train.bin", np.uint16)
    assert len(ids) == counts["train_tokens"] and made.decode(ids).count("Page ") == counts["train_documents"]


def test_compression_is_told_by_language(corpus: Path, ranks: Path, tmp_path: Path) -> None:
    metrics = tokenizer(
        corpus, NOTHING, ranks, tmp_path / "tokenizer", tuned(TokenizerParams, vocab_size=275), Tracker()
    )
    assert metrics["documents"] == 80
    assert {name: values["documents"] for name, values in metrics["languages"].items()} == {"de": 16, "en": 64}
    made = Tokenizer.load(tmp_path / "tokenizer")
    frame = pl.concat(pl.read_parquet(path) for path in sorted(corpus.iterdir()))
    texts = frame.filter(pl.col("language") == "de")["text"].to_list()
    tokens = sum(len(made.encode(text)) for text in texts)
    assert metrics["languages"]["de"]["bytes_per_token"] == sum(map(len, texts)) / tokens
    assert metrics["languages"]["de"]["fertility"] == tokens / sum(len(text.split(" ")) for text in texts)


def test_a_file_of_ranks_replaces_training(corpus: Path, ranks: Path, tmp_path: Path) -> None:
    pairs = [bytes([n]) for n in range(256)] + [b"ag", b"Pag", b"Page", b" t"]
    lines = [f"{base64.b64encode(token).decode()} {rank}" for rank, token in enumerate(pairs)]
    (ranks / "small.tiktoken").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"small.tiktoken holds 260 tokens.*say in split how"):
        tokenizer(corpus, NOTHING, ranks, tmp_path / "tokenizer", tuned(TokenizerParams), Tracker())
    params = tuned(TokenizerParams, split="gpt4")
    metrics = tokenizer(corpus, NOTHING, ranks, tmp_path / "tokenizer", params, Tracker())
    assert metrics["vocab_size"] == 268 and metrics["merges"] == 4
    assert Tokenizer.load(tmp_path / "tokenizer").encode("Page to") == [258, 259, ord("o")]
    tokenize(corpus, tmp_path / "tokenizer", tmp_path / "tokens", tuned(TokenizeParams, val_share=0.2), seed=1)
    ids = np.fromfile(tmp_path / "tokens" / "train.bin", np.uint16)
    assert ids.max() == 260 and (ids == 258).sum() == (ids == 260).sum()
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="model in model brings its tokenizer; take small.tiktoken out of"):
        tokenizer(corpus, tmp_path / "model", ranks, tmp_path / "tokenizer", params, Tracker())
    (ranks / "other.tiktoken").write_text("")
    with pytest.raises(UserError, match="ranks holds other.tiktoken, small.tiktoken; name one of them"):
        tokenizer(corpus, NOTHING, ranks, tmp_path / "tokenizer", params, Tracker())


def test_near_duplicates_share_their_split(tmp_path: Path) -> None:
    """Ten clusters of eight pages that differ in a word: every cluster lies whole in one split."""
    rows = [(f"d{n}", n // 8, "en", f"Cluster {n // 8:02d}, copy {n % 8}.") for n in range(80)]
    frame = pl.DataFrame(rows, schema=["id", "cluster", "language", "text"], orient="row")
    frame.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(tmp_path / "documents-00000.parquet")
    (tmp_path / "ranks").mkdir()
    params = tuned(TokenizerParams, vocab_size=266)
    tokenizer(tmp_path, NOTHING, tmp_path / "ranks", tmp_path / "tokenizer", params, Tracker())
    tokenize(tmp_path, tmp_path / "tokenizer", tmp_path / "tokens", tuned(TokenizeParams, val_share=0.4), seed=1)
    made = Tokenizer.load(tmp_path / "tokenizer")
    found = {
        split: Counter(
            re.findall(r"Cluster (\d\d)", made.decode(np.fromfile(tmp_path / "tokens" / f"{split}.bin", np.uint16)))
        )
        for split in ("train", "val")
    }
    assert found["train"] and found["val"] and not found["train"].keys() & found["val"].keys()
    assert set((found["train"] + found["val"]).values()) == {8}


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        ({"vocab_size": 100_278}, "tokenizer.vocab_size: input should be less than or equal to 100277"),
        ({"vocab_size": 263}, "tokenizer.vocab_size: input should be greater than or equal to 264"),
        ({"digits": 2}, "tokenizer.digits: input should be 1 or 3"),
        ({"split": "gpt5"}, "tokenizer.split: input should be 'gpt2', 'gpt4' or 'gpt4o'"),
        ({"max_megabytes": 0.0}, "tokenizer.max_megabytes: input should be greater than 0"),
    ],
)
def test_a_parameter_out_of_range(section: dict[str, object], sentence: str) -> None:
    from stages.settings import validate

    whole = tuned(TokenizerParams).model_dump()
    with pytest.raises(UserError, match=sentence):
        validate("tokenizer", TokenizerParams, whole | section)
    assert validate("tokenizer", TokenizerParams, whole | {"vocab_size": 100_277})


def test_vocabulary_too_large_for_the_corpus(corpus: Path, ranks: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the corpus only allows"):
        tokenizer(corpus, NOTHING, ranks, tmp_path / "tokenizer", tuned(TokenizerParams, vocab_size=50_000), Tracker())


def test_missing_corpus(ranks: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no documents-.*.parquet: it is no curated corpus"):
        tokenizer(tmp_path, NOTHING, ranks, tmp_path / "tokenizer", tuned(TokenizerParams), Tracker())
    with pytest.raises(UserError, match="holds no documents-.*.parquet: it is no curated corpus"):
        tokenize(tmp_path, tmp_path, tmp_path / "tokens", tuned(TokenizeParams), seed=1)
    pl.DataFrame({"id": ["a"], "text": ["A page."]}).write_parquet(tmp_path / "documents-00000.parquet")
    with pytest.raises(UserError, match="documents-00000.parquet has no column language: curate the corpus again"):
        tokenizer(tmp_path, NOTHING, ranks, tmp_path / "tokenizer", tuned(TokenizerParams), Tracker())


def test_the_tokenizer_of_a_model_to_start_from_is_taken_over(corpus: Path, ranks: Path, tmp_path: Path) -> None:
    params = tuned(TokenizerParams, vocab_size=270)
    tokenizer(corpus, NOTHING, ranks, tmp_path / "theirs", params, Tracker())
    words = json.loads((tmp_path / "theirs/tokenizer.json").read_text())
    ends = [{**words["added_tokens"][0], "content": "<|endoftext|>"}]  # special tokens of its own
    words |= {"added_tokens": ends, "normalizer": {"type": "NFC"}}
    (tmp_path / "theirs/tokenizer.json").write_text(json.dumps(words))
    metrics = tokenizer(corpus, tmp_path / "theirs", ranks, tmp_path / "ours", tuned(TokenizerParams), Tracker())
    ours = Tokenizer.load(tmp_path / "ours")
    assert metrics["vocab_size"] == 270 and metrics["merges"] == 6
    assert ours.bos == 262 and ours.decode([ours.end], specials=True) == "<|end|>"


def test_a_tokenizer_of_another_kind_is_refused(corpus: Path, ranks: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/tokenizer.json").write_text(json.dumps({"model": {"type": "Unigram"}}))
    with pytest.raises(UserError, match="is no byte-level BPE with a split pattern"):
        tokenizer(corpus, tmp_path / "theirs", ranks, tmp_path / "ours", tuned(TokenizerParams), Tracker())
