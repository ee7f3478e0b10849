"""Byte-level BPE: text to ids and back, with eight special tokens that no text can ever produce.

In: a folder with `tokenizer.json` (as `training.py` writes it). Out: a `Tokenizer`. Training and file format are those
of the tokenizers library; encoding runs through tiktoken over the same merges, with the same ids and several times the
speed.
"""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from crawl2chat.errors import UserError

# The last ids of the vocabulary, in this order. bos starts every document and conversation, end closes every turn.
SPECIALS = (
    "<|bos|>",
    "<|pad|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
    "<|tool_call|>",
    "<|tool_result|>",
)
# Characters of white space in a row; from some 300,000 the fast split overflows its stack.
BLANK = 100_000


@lru_cache(1)
def byte_of_character() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes, as they stand in tokenizer.json."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def transformers_config(max_tokens: int) -> dict[str, Any]:
    """What transformers needs in tokenizer_config.json beside tokenizer.json."""
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|bos|>",
        "eos_token": "<|end|>",
        "pad_token": "<|pad|>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": max_tokens,
    }


def write_config(folder: Path) -> None:
    """Writes tokenizer_config.json for a tokenizer without a model; the chat format adds <|bos|> itself."""
    config = transformers_config(1_000_000) | {"add_bos_token": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def has_long_blank(text: str) -> bool:
    """Whether the text holds a run of white space longer than `BLANK`, as hidden or broken pages do."""
    return len(text) > BLANK and any(len(run[0]) > BLANK for run in re.finditer(r"\s{64,}", text))


class Tokenizer:
    """Encodes and decodes. Special tokens are ids only: `encode` treats their spelling as ordinary text."""

    def __init__(self, ranks: dict[bytes, int], pattern: str) -> None:
        """`ranks`: id of every ordinary token; the special ones follow the highest."""
        import tiktoken

        first = max(ranks.values()) + 1
        self._specials = {token: first + number for number, token in enumerate(SPECIALS)}
        self._bytes = {identity: piece for piece, identity in ranks.items()}
        self._encoding = tiktoken.Encoding(
            "crawl2chat", pat_str=pattern, mergeable_ranks=ranks, special_tokens=self._specials
        )
        self.vocab_size: int = first + len(SPECIALS)
        (self.bos, self.pad, self.system, self.user, self.assistant, self.end, self.tool_call, self.tool_result) = (
            range(first, self.vocab_size)
        )

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """The tokenizer of a folder; a UserError says when there is none."""
        folder = Path(folder)
        if not (folder / "tokenizer.json").is_file():
            raise UserError(f"There is no tokenizer.json in {folder.name}: train a tokenizer into it first.")
        data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        characters = byte_of_character()
        ranks = {
            bytes(characters[c] for c in token): identity
            for token, identity in data["model"]["vocab"].items()
            if token not in SPECIALS
        }
        tokenizer = cls(ranks, data["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"])
        if {token["content"]: token["id"] for token in data["added_tokens"]} != tokenizer._specials:
            raise UserError(
                f"{folder.name}/tokenizer.json is not of this project: its last ids must be {', '.join(SPECIALS)}."
            )
        return tokenizer

    def encode(self, text: str) -> list[int]:
        """Ids of the text; never a special one."""
        if has_long_blank(text):
            # Splits with another engine, ten times slower.
            return self._encoding._encode_only_native_bpe(text)
        return self._encoding.encode_ordinary(text)

    def encode_batch(self, texts: Iterable[str], threads: int = 2) -> list[list[int]]:
        texts = list(texts)
        if any(map(has_long_blank, texts)):
            return [self.encode(text) for text in texts]
        return self._encoding.encode_ordinary_batch(texts, num_threads=threads)

    def piece(self, identity: int) -> bytes:
        """The bytes an ordinary id stands for; none for special tokens."""
        return self._bytes.get(identity, b"")

    def decode(self, ids: Iterable[int], specials: bool = False) -> str:
        """Text of the ids. Special tokens are left out unless `specials`; incomplete characters become U+FFFD."""
        names = {identity: name.encode() for name, identity in self._specials.items()} if specials else {}
        return b"".join(self._bytes.get(i) or names.get(i, b"") for i in map(int, ids)).decode("utf-8", "replace")

    def token_bytes(self) -> np.ndarray:
        """(vocab_size,) how many bytes of text each id stands for; 0 for special tokens."""
        lengths = np.zeros(self.vocab_size, np.int64)
        for identity, piece in self._bytes.items():
            lengths[identity] = len(piece)
        return lengths
