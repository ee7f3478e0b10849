"""Byte-level BPE: text to ids and back, with eight special tokens that no text can ever produce.

In: a folder with `tokenizer.json` (made by `training.py`). Out: a `Tokenizer`. Training and file format are those of the
tokenizers library; encoding runs through tiktoken over the same merges, with the same ids and several times the speed.
"""

import json
import re
import shutil
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

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
FILES = ("tokenizer.json", "tokenizer_config.json")
BLANK = 100_000  # characters of white space in a row; from some 300,000 the fast split overflows its stack


def split_pattern(digits: int) -> str:
    """GPT-4's split (cl100k) in its classic form, with at most `digits` digits together (1 or 3).

    The newer, possessive spelling of the same pattern is read differently by the tokenizers library.
    """
    if digits not in (1, 3):
        raise UserError(f"tokenizer.digits must be 1 or 3, not {digits}.")
    numbers = r"\p{N}" if digits == 1 else r"\p{N}{1,3}"
    return (
        rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|{numbers}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


@lru_cache(1)
def byte_of_character() -> dict[str, int]:
    """GPT-2's printable stand-ins for the 256 bytes, as they stand in tokenizer.json."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def is_blank_somewhere(text: str) -> bool:
    """Does the text hold a run of white space longer than `BLANK`? Hidden or broken pages do."""
    return len(text) > BLANK and any(len(run[0]) > BLANK for run in re.finditer(r"\s{64,}", text))


class Tokenizer:
    """Encodes and decodes. Special tokens are ids only: `encode` treats their spelling as ordinary text."""

    def __init__(self, ranks: dict[bytes, int], pattern: str, folder: Path | None = None):
        """`ranks`: id of every ordinary token; the special ones follow the highest. `folder`: where its files lie."""
        import tiktoken

        self.folder = folder
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
            raise UserError(f"There is no tokenizer.json in {folder.name}; run the stage tokenizer first.")
        data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        characters = byte_of_character()
        ranks = {
            bytes(characters[c] for c in token): identity
            for token, identity in data["model"]["vocab"].items()
            if token not in SPECIALS
        }
        made = cls(ranks, data["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"], folder)
        if {token["content"]: token["id"] for token in data["added_tokens"]} != made._specials:
            raise UserError(
                f"{folder.name}/tokenizer.json is not of this project: its last ids must be {', '.join(SPECIALS)}."
            )
        return made

    def encode(self, text: str) -> list[int]:
        """Ids of the text; never a special one."""
        if is_blank_somewhere(text):
            return self._encoding._encode_only_native_bpe(text)  # splits with another engine, ten times slower
        return self._encoding.encode_ordinary(text)

    def encode_batch(self, texts: Iterable[str], threads: int = 2) -> list[list[int]]:
        texts = list(texts)
        if any(map(is_blank_somewhere, texts)):
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

    def save(self, folder: Path) -> None:
        """Copy the files of the tokenizer to a model folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(self.folder / name, folder / name)
