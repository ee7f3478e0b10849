"""What the tests of the terminal share: lines that are typed, scripted models, and a folder of real ones."""

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crawl2chat.chat.terminal import models
from crawl2chat.model.config import ModelConfig
from crawl2chat.model.folder import save_model
from crawl2chat.model.network import Transformer
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tokens.training import train

CONTEXT = 96


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """typed(*lines): what the user types, line by line, before the end of the input."""

    def lines(*said: str) -> None:
        waiting = iter(said)

        def ask(prompt: str = "") -> str:
            line = next(waiting, None)
            if line is None:
                raise EOFError
            return line

        monkeypatch.setattr(builtins, "input", ask)

    return lines


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tokenizer: Any, tmp_path: Path) -> Callable[..., list[str]]:
    """loaded(model, *names): the arguments under which the program finds this model by each of the names."""

    def make(model: Any, *names: str) -> list[str]:
        for name in names or ("chat",):
            (tmp_path / "all" / name).mkdir(parents=True)
            (tmp_path / "all" / name / "config.json").write_text("{}")
        monkeypatch.setattr(models, "load_model", lambda folder, device: model)
        monkeypatch.setattr(models, "Tokenizer", type(tokenizer))
        return ["--models", str(tmp_path / "all")]

    return make


@pytest.fixture(scope="session")
def real_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three random models with a context of 96 tokens, and of one that scores texts and writes none."""
    out = tmp_path_factory.mktemp("models")
    train(["Who are you? I am a small model, and this is a text. " * 3], out / "tokenizer", 290, digits=1)
    size = Tokenizer.load(out / "tokenizer").vocab_size
    config = ModelConfig(size, 32, 1, 1, 1, 32, 64, max_position_embeddings=CONTEXT)
    for seed, name in enumerate(("base", "chat", "sft")):
        model = Transformer(config)
        model.initialize(seed)
        save_model(model, out / name, out / "tokenizer")
    (out / "reward").mkdir()
    (out / "reward" / "config.json").write_text(json.dumps({"architectures": ["Qwen3ForSequenceClassification"]}))
    return out
