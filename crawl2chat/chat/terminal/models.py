"""The models to talk with: those of a folder of models, or the one of a model folder."""

from pathlib import Path
from typing import NamedTuple

import torch

from crawl2chat.chat.search import index_of, with_search
from crawl2chat.chat.tools import Tool
from crawl2chat.errors import UserError
from crawl2chat.model.folder import load_model
from crawl2chat.model.network import Transformer
from crawl2chat.tokens.tokenizer import Tokenizer

KNOWN = {
    "base": "continues your text as the web would",
    "sft": "answers, as shown by examples",
    "reasoner": "answers, trained where answers can be checked",
    "chat": "answers, trained on what people prefer",
}


class Voice(NamedTuple):
    """A model that is loaded, under the name of its folder."""

    name: str
    model: Transformer
    tokenizer: Tokenizer
    tools: dict[str, Tool]

    @property
    def continues(self) -> bool:
        """Whether it is no assistant: an internet simulator that continues whatever is typed."""
        return self.name == "base"

    @property
    def context(self) -> int:
        """Tokens that it reads at once."""
        return self.model.config.max_position_embeddings

    @property
    def room(self) -> int:
        """Tokens of its context for what it is told; a quarter is left for what it says."""
        return self.context * 3 // 4

    @property
    def heading(self) -> str:
        size = sum(weight.numel() for weight in self.model.parameters())
        tools = "" if self.continues else f" · tools: {', '.join(sorted(self.tools))}"
        return f"{self.name}: {described(self.name)} · {size:,} parameters{tools}"


def described(name: str) -> str:
    """What the model of this name does."""
    return KNOWN.get(name, "answers")


def find_models(folder: Path) -> dict[str, Path]:
    """Name and folder of every model that writes: of `folder` itself, else of those in it, in the order of training."""
    folders = [folder.resolve()] if writes(folder) else [path for path in folder.glob("*") if writes(path)]
    if not folders:
        raise UserError(f"{folder} holds no model: train one, or name the folder of the models with --models.")
    order = list(KNOWN)
    return {
        path.name: path
        for path in sorted(folders, key=lambda p: (order.index(p.name) if p.name in order else len(order), p.name))
    }


def writes(folder: Path) -> bool:
    """Whether this is the folder of a model that writes text, and not of one that scores it."""
    config = folder / "config.json"
    return config.is_file() and "ForSequenceClassification" not in config.read_text(encoding="utf-8", errors="replace")


def load(models: dict[str, Path], name: str, index: Path | None = None) -> Voice:
    """The model of this name with its tools; it searches `index`, by default the one that lies beside it.

    Raises UserError where there is no such model, or its folder is damaged.
    """
    if name not in models:
        there = f"there {'are' if len(models) > 1 else 'is'} {', '.join(models)}"
        raise UserError(f"{name}: no such model; {there}.")
    try:
        tokenizer = Tokenizer.load(models[name])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{models[name] / 'tokenizer.json'} is damaged or not of this project.") from None
    tools = with_search(index or index_of(models[name]))
    return Voice(name, load_model(models[name], "cuda" if torch.cuda.is_available() else "cpu"), tokenizer, tools)
