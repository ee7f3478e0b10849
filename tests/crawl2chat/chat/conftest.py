"""What the tests of the talking parts share: a tokenizer of bytes, and models that follow a script."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SPECIALS = ("bos", "pad", "system", "user", "assistant", "end", "tool_call", "tool_result")


class ByteTokenizer:
    """Each byte its own token, then the special tokens in the order of the real tokenizer."""

    vocab_size = 256 + len(SPECIALS)
    bos, pad, system, user, assistant, end, tool_call, tool_result = range(256, 256 + len(SPECIALS))

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def piece(self, identity: int) -> bytes:
        return bytes([identity]) if identity < 256 else b""

    def decode(self, ids: list[int], specials: bool = False) -> str:
        def shown(i: int) -> bytes:
            return bytes([i]) if i < 256 else f"<|{SPECIALS[i - 256]}|>".encode() if specials else b""

        return b"".join(map(shown, ids)).decode(errors="replace")

    @classmethod
    def load(cls, folder: Path) -> "ByteTokenizer":
        return cls()


@pytest.fixture
def tokenizer() -> ByteTokenizer:
    return ByteTokenizer()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, tokenizer: ByteTokenizer) -> Callable[..., Any]:
    """scripted(reply, context=1000): a model whose every turn is reply(prompt as text with special tokens) -> such
    text."""

    def encode(text: str) -> list[int]:
        ids = []
        while text:
            name = next((name for name in SPECIALS if text.startswith(f"<|{name}|>")), None)
            ids += [256 + SPECIALS.index(name)] if name else list(text[0].encode())
            text = text[len(name) + 4 :] if name else text[1:]
        return ids

    def make(reply: Callable[[str], str], context: int = 1000) -> Any:
        def write(prompt: list[int], max_new_tokens: int) -> list[int]:
            assert len(prompt) < context
            return encode(reply(tokenizer.decode(prompt, specials=True)))[
                : min(max_new_tokens, context - len(prompt) + 1)
            ]

        def generate(model: Any, prompts: list[list[int]], sampling: Any, **rest: Any) -> list[Any]:
            model.batches.append(len(prompts))
            written = [write(prompt, sampling.max_new_tokens) for prompt in prompts]
            return [SimpleNamespace(ids=ids, logprobs=[-0.5] * len(ids)) for ids in written]

        def stream(model: Any, prompt: list[int], sampling: Any, **rest: Any) -> Any:
            return (SimpleNamespace(id=i) for i in write(prompt, sampling.max_new_tokens))

        monkeypatch.setattr("crawl2chat.chat.loop.generate", generate)
        monkeypatch.setattr("crawl2chat.chat.loop.stream", stream)
        return SimpleNamespace(config=SimpleNamespace(max_position_embeddings=context), batches=[], parameters=list)

    return make
