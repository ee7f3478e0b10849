"""Trains a byte-level BPE vocabulary with the tokenizers library and writes it as a Hugging Face folder.

In: an iterator of texts. Out: `tokenizer.json`, `tokenizer_config.json`. The eight special tokens take the last ids, so
that a vocabulary of 1,024 learns 760 merges over the 256 bytes. Sources: Sennrich et al. 2016, Radford et al. 2019.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from crawl2chat.errors import UserError
from crawl2chat.tokens.splits import split_pattern
from crawl2chat.tokens.tokenizer import SPECIALS, write_config

if TYPE_CHECKING:
    from tokenizers import Tokenizer, models

SMALLEST = 256 + len(SPECIALS)
# Ids of GPT-4's cl100k.
LARGEST = 100_277


def train(texts: Iterable[str], out: Path, vocab_size: int, digits: int) -> int:
    """Write a tokenizer of exactly `vocab_size` ids to `out`; returns the number of merges.

    A UserError says when the corpus has too few different pairs for so many ids.
    """
    from tokenizers import models, pre_tokenizers, trainers

    if vocab_size < SMALLEST:
        raise UserError(
            f"vocab_size is {vocab_size}, but 256 bytes and {len(SPECIALS)} special tokens need {SMALLEST}."
        )
    tokenizer = assemble(models.BPE(), split_pattern(digits))
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIALS), show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(texts, trainer)
    learned = tokenizer.get_vocab_size()
    if learned < vocab_size - len(SPECIALS):
        raise UserError(
            f"vocab_size is {vocab_size}, but the corpus only allows {learned + len(SPECIALS)}; "
            "lower vocab_size or add text."
        )
    write(tokenizer, out)
    return learned - 256


def assemble(model: "models.BPE", pattern: str) -> "Tokenizer":
    """The library's tokenizer over `model`: the split, then bytes, nothing normalized."""
    from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers

    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def write(tokenizer: "Tokenizer", out: Path) -> None:
    """Add the special tokens and write the folder."""
    from tokenizers import AddedToken

    # The library would match these in any text it encodes; `Tokenizer.encode` here never does.
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIALS])
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out / "tokenizer.json"))
    write_config(out)
