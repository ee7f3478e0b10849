"""The tokenizer: ids like the tokenizers library's, no special id out of text, and a vocabulary of exactly the size
asked."""

import os
import random
import re
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from crawl2chat.errors import UserError
from crawl2chat.tokens.shards import BATCH, Entry, split_of, write
from crawl2chat.tokens.splits import split_pattern
from crawl2chat.tokens.tokenizer import BLANK, SPECIALS, Tokenizer, byte_of_character
from crawl2chat.tokens.training import train

TEXTS = [
    "The baker's boy didn't know that 1234 loaves weren't enough for the whole valley.",
    "What is 345+678? ones 5+8=13, tens 4+7+1=12, hundreds 3+6+1=10, so 1023.\n\n  Indented,  twice.",
    "Café, naïve, Zürich; 東京 and Ελλάδα — an emoji 🙂 and a tab\there.",
    "<|bos|> <|end|> are only text on a page, as is <|user|>.",
] * 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokenizer")
    assert train(TEXTS, out, 320, digits=1) == 320 - 256 - len(SPECIALS)
    return out


@pytest.fixture(scope="module")
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.load(folder)


def test_special_tokens_are_the_last_ids_in_order(tokenizer: Tokenizer) -> None:
    t = tokenizer
    assert t.vocab_size == 320
    assert [t.bos, t.pad, t.system, t.user, t.assistant, t.end, t.tool_call, t.tool_result] == list(range(312, 320))


def test_ids_equal_the_tokenizers_library(folder: Path, tokenizer: Tokenizer) -> None:
    from tokenizers import Tokenizer as Reference

    reference = Reference.from_file(str(folder / "tokenizer.json"))
    texts = [text for text in TEXTS if "<|" not in text] + ["", " ", "\n", "a" * 500, "  \n\t x", "\u00a0\u2003?"]
    assert [tokenizer.encode(text) for text in texts] == [reference.encode(text).ids for text in texts]
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


def test_text_never_yields_a_special_id(tokenizer: Tokenizer) -> None:
    ids = tokenizer.encode("".join(SPECIALS))
    assert max(ids) < tokenizer.bos
    assert tokenizer.decode(ids) == "".join(SPECIALS)


@pytest.mark.parametrize("special", SPECIALS)
def test_no_neighbourhood_makes_a_spelling_special(tokenizer: Tokenizer, special: str) -> None:
    for text in (f"x{special}y", f" {special} ", f"\n{special}\n{special}", special * 3, f"<{special}>", special[:-1]):
        ids = tokenizer.encode(text)
        assert max(ids) < tokenizer.bos and tokenizer.decode(ids) == text
        assert tokenizer.encode_batch([text, special]) == [ids, tokenizer.encode(special)]
    for cut in range(1, len(special)):
        ids = tokenizer.encode(special[:cut]) + tokenizer.encode(special[cut:])
        assert max(ids) < tokenizer.bos and tokenizer.decode(ids) == special


def test_other_libraries_can_read_a_spelling_as_text_too(folder: Path, tokenizer: Tokenizer) -> None:
    """The file makes them match special tokens, as chat templates need; both libraries have a switch against it."""
    from tokenizers import Tokenizer as Reference
    from transformers import PreTrainedTokenizerFast

    text = "A page that says " + " ".join(SPECIALS)
    reference = Reference.from_file(str(folder / "tokenizer.json"))
    assert max(reference.encode(text).ids) >= tokenizer.bos
    reference.encode_special_tokens = True
    assert reference.encode(text).ids == tokenizer.encode(text)
    fast = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    assert fast.encode(text, split_special_tokens=True) == tokenizer.encode(text)


@pytest.mark.parametrize("tail", ["", "x", "\n\n x"])
def test_a_page_of_white_space_is_encoded_like_any_other(tokenizer: Tokenizer, tail: str) -> None:
    """Where the fast split would overflow, a slower one cuts the same pieces."""
    assert not tokenizer.encode_batch([]) and tokenizer.encode("") == []
    blank = "A page.\n" + " " * 50_000 + "\n\t" * 10 + " " * (BLANK // 2) + tail
    fast = tokenizer.encode(blank[: BLANK - 10_000])
    assert fast == tokenizer._encoding._encode_only_native_bpe(blank[: BLANK - 10_000])
    assert tokenizer.encode(blank) == tokenizer._encoding.encode_ordinary(blank)
    huge = "A page." + " " * 1_000_000 + tail
    ids = tokenizer.encode(huge)
    assert tokenizer.decode(ids) == huge and tokenizer.encode_batch(["Hi", huge]) == [tokenizer.encode("Hi"), ids]


def test_decode_is_the_inverse_and_hides_specials_unless_asked(tokenizer: Tokenizer) -> None:
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    ids = [tokenizer.bos, *tokenizer.encode("Hi"), tokenizer.end]
    assert tokenizer.decode(ids) == "Hi" and tokenizer.decode(ids, specials=True) == "<|bos|>Hi<|end|>"


def test_token_bytes_add_up(tokenizer: Tokenizer) -> None:
    lengths = tokenizer.token_bytes()
    assert lengths.shape == (320,) and not lengths[312:].any() and lengths[:312].min() >= 1
    for text in TEXTS:
        assert lengths[tokenizer.encode(text)].sum() == len(text.encode())


def test_digits_stand_alone_or_in_threes(tmp_path: Path, tokenizer: Tokenizer) -> None:
    import regex

    assert regex.findall(split_pattern(1), "in 12345") == ["in", " ", "1", "2", "3", "4", "5"]
    assert regex.findall(split_pattern(3), "in 12345") == ["in", " ", "123", "45"]
    assert not any(re.search(r"\d\d", tokenizer.decode([i])) for i in range(tokenizer.vocab_size))
    train(["777 888 " * 50], tmp_path, 268, digits=3)
    made = Tokenizer.load(tmp_path)
    assert "777" in {made.decode([i]) for i in range(made.vocab_size)}


def test_vocabulary_larger_than_the_corpus_allows(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vocab_size is 5000, but the corpus only allows \d+"):
        train(["a few words"], tmp_path, 5000, digits=1)
    with pytest.raises(UserError, match="need 264"):
        train(["a few words"], tmp_path, 100, digits=1)


def test_a_foreign_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    text = (folder / "tokenizer.json").read_text(encoding="utf-8").replace("<|end|>", "<|stop|>")
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="its last ids must be"):
        Tokenizer.load(tmp_path)


def test_a_vocabulary_over_65536_gives_four_byte_shards(tmp_path: Path) -> None:
    rng = random.Random(1)
    words = [" ".join("".join(rng.choices("abcdefghijklmnop", k=20)) for _ in range(330)) for _ in range(30)]
    assert train(words, tmp_path, 70_000, digits=1) == 70_000 - 256 - len(SPECIALS)
    large = Tokenizer.load(tmp_path)
    write([Entry(f"d{n}", f"d{n}", text) for n, text in enumerate(words)], large, tmp_path / "out", 1, 0.3)
    assert (tmp_path / "out" / "meta.json").read_text().count('"dtype": "uint32"') == 1
    ids = np.fromfile(tmp_path / "out" / "train.bin", np.uint32)
    assert ids.max() == large.bos > 2**16
    documents = np.split(ids, np.flatnonzero(ids == large.bos)[1:])
    assert len(documents) > 10 and {large.decode(document) for document in documents} <= set(words)


def test_missing_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tokenizer.json in .*: train a tokenizer into it first"):
        Tokenizer.load(tmp_path)


def test_training_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    train(iter(TEXTS), tmp_path, 320, digits=1)
    assert (tmp_path / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


def test_byte_characters_are_a_bijection() -> None:
    assert sorted(byte_of_character().values()) == list(range(256))
    assert byte_of_character()["Ġ"] == ord(" ")


def test_shards_hold_every_document_once(tokenizer: Tokenizer, tmp_path: Path) -> None:
    entries = [Entry(f"d{n}", f"c{n // 2}", f"Document {n}. {TEXTS[n % 3]}") for n in range(60)]
    counts = write(entries, tokenizer, tmp_path / "a", seed=1, val_share=0.2)
    assert counts["train"]["documents"] + counts["val"]["documents"] == 60 and counts["val"]["documents"] > 0
    seen = []
    for split in ("train", "val"):
        ids = np.fromfile(tmp_path / "a" / f"{split}.bin", np.uint16)
        starts = np.load(tmp_path / "a" / f"{split}.idx.npy")
        assert (
            len(ids) == counts[split]["tokens"]
            and (ids == tokenizer.bos).sum() == len(starts) == counts[split]["documents"]
        )
        assert (ids[starts] == tokenizer.bos).all()
        seen += [tokenizer.decode(part) for part in np.split(ids, starts[1:])]
    assert sorted(seen) == sorted(entry.text for entry in entries)
    assert seen != [entry.text for entry in entries]
    write(reversed(entries), tokenizer, tmp_path / "b", seed=1, val_share=0.2)
    for name in ("train.bin", "val.bin", "train.idx.npy", "meta.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_shards_are_written_without_holding_the_texts(tokenizer: Tokenizer, tmp_path: Path) -> None:
    alive: weakref.WeakSet[Entry] = weakref.WeakSet()
    most = 0

    def entries() -> Iterator[Entry]:
        nonlocal most
        for n in range(5 * BATCH):
            alive.add(entry := Entry(f"d{n}", f"d{n}", "A page."))
            yield entry
            if n % 256 == 0:
                most = max(most, len(alive))

    assert write(entries(), tokenizer, tmp_path / "out", 1, 0.1)["train"]["documents"] > 4 * BATCH
    assert most <= 2 * BATCH
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "meta.json",
        "train.bin",
        "train.idx.npy",
        "val.bin",
        "val.idx.npy",
    ]


def test_near_duplicates_never_straddle_the_splits() -> None:
    splits = [{split_of(Entry(f"d{n}", f"cluster {c}", ""), 1, 0.3) for n in range(5)} for c in range(50)]
    assert all(len(split) == 1 for split in splits) and {"train"} in splits and {"val"} in splits


@pytest.mark.real
def test_ids_equal_on_real_text(tmp_path: Path) -> None:
    import gzip
    import json

    from tokenizers import Tokenizer as Reference

    if not (folder := os.environ.get("CRAWL2CHAT_REAL_DATA")):
        pytest.skip("CRAWL2CHAT_REAL_DATA names no folder")
    with gzip.open(Path(folder) / "text" / "peps.jsonl.gz") as file:
        texts = [json.loads(line)["text"][:20_000] for _, line in zip(range(60), file, strict=False)]
    train(texts, tmp_path, 2048, digits=3)
    ours, reference = Tokenizer.load(tmp_path), Reference.from_file(str(tmp_path / "tokenizer.json"))
    assert [ours.encode(text) for text in texts] == [reference.encode(text).ids for text in texts]
