"""Adopts the tokenizer of a model trained elsewhere, so that pretraining can go on from that model.

In: a Hugging Face folder with a byte-level BPE `tokenizer.json` (Llama 3, Qwen, and what this project writes). Out: the
same vocabulary with this project's eight special tokens in place of the folder's own, which stand behind the ordinary
ones; and for each id, which row of the model's tables belongs to it.
"""

import json
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError
from crawl2chat.tokens.tokenizer import SPECIALS, Tokenizer, write_config

# Is split where patterns differ.
PROBE = "It's 12,345.67 km/h,\n\n\tnaïve 日本 🙂  don't  x = {'a': [1]}"


def is_model(folder: Path) -> bool:
    """Whether the folder holds a model: one with nothing but a README asks for fresh weights."""
    return any(file.name != "README.md" for file in folder.iterdir())


def read(folder: Path) -> dict[str, Any]:
    """The content of tokenizer.json; a UserError where it is none that `Tokenizer` can read."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise UserError(f"{folder} holds no tokenizer.json: put the model's own tokenizer beside its weights")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        pattern = data["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
        known = data["model"]["type"] == "BPE" and isinstance(pattern, str)
    except (ValueError, KeyError, TypeError, IndexError):
        known = False
    if not known:
        raise UserError(f"{path} is no byte-level BPE with a split pattern, as Llama 3's and Qwen's are")
    return data


def adopt(folder: Path, out: Path) -> None:
    """Writes the folder's tokenizer with this project's special tokens to `out`."""
    from tokenizers import Tokenizer as Library

    data = read(folder)
    words = {word: number for word, number in data["model"]["vocab"].items() if word not in SPECIALS}
    first = max(words.values()) + 1
    added = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    adopted = {
        **data,
        "added_tokens": [{"id": first + i, "content": name, **added} for i, name in enumerate(SPECIALS)],
        "normalizer": None,
        # The chat format writes <|bos|> itself.
        "post_processor": None,
        "model": {**data["model"], "vocab": words},
    }
    out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(adopted, ensure_ascii=False, indent=2)
    (out / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
    write_config(out)
    ids = Library.from_file(str(out / "tokenizer.json")).encode(PROBE, add_special_tokens=False).ids
    if Tokenizer.load(out).encode(PROBE) != ids:
        raise UserError(f"{folder / 'tokenizer.json'} merges in another order than its ids: it cannot be used here")


def rows_of_ids(folder: Path, tokenizer: Path, rows: int) -> list[int | None]:
    """For each id of `tokenizer`, the row of the tables of the model in `folder` that belongs to it; None for special
    tokens that the model has never seen. UserError where the two tokenizers disagree, or the model has too few rows."""
    theirs, ours = read(folder), read(tokenizer)
    words, adopted = (
        {word: number for word, number in data["model"]["vocab"].items() if word not in SPECIALS}
        for data in (theirs, ours)
    )
    differing = sorted(words.items() ^ adopted.items())
    if differing:
        raise UserError(
            f"the vocabularies of {folder} and {tokenizer} disagree, first at {differing[0][0]!r}: "
            "adopt the folder's tokenizer again"
        )
    first = max(words.values()) + 1
    if first > rows:
        raise UserError(
            f"{folder}: tokenizer.json has ids up to {first - 1:,} and the model a vocabulary of {rows:,}: "
            "they belong to different models"
        )
    places = {token["content"]: token["id"] for token in theirs["added_tokens"]}
    for name, key in (("<|bos|>", "bos_token"), ("<|end|>", "eos_token")):
        token = settings(folder).get(key)
        content = token.get("content") if isinstance(token, dict) else token
        places.setdefault(name, places.get(content))
    found = [places.get(name) for name in SPECIALS]
    return [*range(first), *(place if place is not None and place < rows else None for place in found)]


def settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json, where there is one."""
    path = folder / "tokenizer_config.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
