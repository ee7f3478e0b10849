"""Published vocabularies in place of a trained one: GPT-2's, GPT-4's cl100k, and any other that comes as a list of
ranks.

In: a file of ranks: tiktoken's (`cl100k_base.tiktoken`: a token in base64 and its rank a line), GPT-2's merges
(`vocab.bpe`, `merges.txt`) or its vocabulary (`encoder.json`, `vocab.json`), plain or .gz. Out: the same folder that
training writes. Ordinary tokens keep their published ids; this project's special tokens follow the highest.
Sources: Radford et al. 2019; the file formats of tiktoken and of GPT-2's release.
"""

import base64
import binascii
import gzip
import json
import re
from pathlib import Path

from crawl2chat.errors import UserError
from crawl2chat.tokens.splits import SPLITS
from crawl2chat.tokens.tokenizer import SPECIALS, byte_of_character

# The split of the known vocabularies, by their number of tokens: r50k (GPT-2), p50k, cl100k, o200k.
SPLIT_OF_SIZE = {50_256: "gpt2", 50_280: "gpt2", 100_256: "gpt4", 199_998: "gpt4o"}


def find_file(path: Path) -> Path | None:
    """`path` itself, or the one file of ranks in a folder; None where a folder holds none."""
    if path.is_file():
        return path
    known = (".tiktoken", ".bpe", ".txt", ".json")
    files = [
        file for file in sorted(path.iterdir()) if file.is_file() and file.name.removesuffix(".gz").endswith(known)
    ]
    if len(files) > 1:
        raise UserError(f"{path.name} holds {', '.join(file.name for file in files)}; name one of them as ranks.")
    return files[0] if files else None


def read(path: Path) -> dict[bytes, int]:
    """Rank, which is also the id, of every token in `path`. A UserError names the line that is none."""
    opened = gzip.open if path.name.endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="\n") as file:
            text = file.read()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name} cannot be read ({error}); fetch the file of ranks again.") from None
    try:
        if text.startswith("{"):
            ranks = from_vocabulary(text)
        elif text.startswith("#version"):
            ranks = from_merges(text)
        else:
            ranks = from_lines(text)
    except NoRanks as error:
        raise UserError(
            f"{path.name}: {error}; a file of ranks is tiktoken's (token in base64, rank), "
            "GPT-2's vocab.bpe or encoder.json."
        ) from None
    missing = [byte for byte in range(256) if bytes([byte]) not in ranks]
    if missing:
        raise UserError(
            f"{path.name} has no token for {len(missing)} of the 256 bytes; it is no byte-level vocabulary."
        )
    return ranks


def split_for(ranks: dict[bytes, int], name: str | None, file: str) -> str:
    """The pattern called `name`, or else that of the known vocabulary with so many tokens."""
    name = name or SPLIT_OF_SIZE.get(len(ranks))
    if name is None:
        raise UserError(
            f"{file} holds {len(ranks):,} tokens, which is no vocabulary known here; "
            f"say in split how it cuts text: {', '.join(SPLITS)}."
        )
    return SPLITS[name]


def merges_of(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """The merges behind the ranks, in their order: each token is what its two last parts were merged to."""
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        parts = [bytes([byte]) for byte in token]
        while len(parts) > 2:
            found, at = min(
                (ranks.get(a + b, rank), at) for at, (a, b) in enumerate(zip(parts, parts[1:], strict=False))
            )
            if found >= rank:
                break
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        # A token that merging never reaches is still found whole: see `ignore_merges`.
        if len(parts) == 2:
            merges.append((parts[0], parts[1]))
    return merges


def convert(ranks: dict[bytes, int], pattern: str, out: Path) -> int:
    """Write the tokenizer's folder to `out`; returns the number of merges."""
    from tokenizers import models

    from crawl2chat.tokens.training import assemble, write

    characters = {byte: character for character, byte in byte_of_character().items()}

    def spell(token: bytes) -> str:
        return "".join(characters[byte] for byte in token)

    merges = merges_of(ranks)
    vocabulary = {spell(token): rank for token, rank in ranks.items()}
    # With their ids: the library would count on from the number of tokens, and p50k leaves one id out.
    first = max(ranks.values()) + 1
    vocabulary |= {token: first + number for number, token in enumerate(SPECIALS)}
    model = models.BPE(vocabulary, [(spell(a), spell(b)) for a, b in merges], ignore_merges=True)
    write(assemble(model, pattern), out)
    return len(merges)


# ---- the three file formats


class NoRanks(ValueError):
    """A line that is no token with its rank."""


def from_lines(text: str) -> dict[bytes, int]:
    ranks = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line:
            continue
        try:
            token, rank = line.split(" ")
            ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            raise NoRanks(f"line {number} is {line[:40]!r}") from None
    return ranks


def from_merges(text: str) -> dict[bytes, int]:
    """GPT-2 numbers the bytes in the order of their stand-ins, then the merges."""
    characters = byte_of_character()
    ranks = {bytes([byte]): number for number, byte in enumerate(characters.values())}
    for number, line in enumerate(text.split("\n")[1:], 2):
        if not line:
            continue
        parts = line.split(" ")
        if len(parts) != 2 or not set("".join(parts)) <= set(characters):
            raise NoRanks(f"line {number} is {line[:40]!r}")
        ranks[bytes(characters[c] for c in "".join(parts))] = len(ranks)
    return ranks


def from_vocabulary(text: str) -> dict[bytes, int]:
    characters = byte_of_character()
    try:
        vocabulary = json.loads(text)
    except json.JSONDecodeError as error:
        raise NoRanks(f"line {error.lineno} is no JSON") from None
    ranks = {}
    for token, rank in vocabulary.items():
        if re.fullmatch(r"<\|\w+\|>", token):
            # GPT-2's <|endoftext|> is no token of text.
            continue
        if not isinstance(rank, int) or not set(token) <= set(characters):
            raise NoRanks(f"the entry {token[:40]!r}: {str(rank)[:40]} is no token with its id")
        ranks[bytes(characters[c] for c in token)] = rank
    return ranks
