"""The compiled decoder gives what the network gives."""

import dataclasses

import numpy as np
import pytest
import torch
from model_toys import noisy

from crawl2chat.model import compiled
from crawl2chat.model.decoders import TorchDecoder
from crawl2chat.model.generate import generate
from crawl2chat.model.native import NativeDecoder
from crawl2chat.model.network import ModelConfig, RopeScaling

QWEN = ModelConfig(75, 48, 3, 4, 2, 16, 80, 320)
SHAPES = {
    "grouped queries": QWEN,
    "no QK-norm": dataclasses.replace(QWEN, qk_norm=False),
    "untied head": dataclasses.replace(QWEN, tie_word_embeddings=False),
    "stretched positions": dataclasses.replace(QWEN, rope_scaling=RopeScaling(8.0, 1.0, 4.0, 64)),
    "wide heads": dataclasses.replace(QWEN, head_dim=80, num_key_value_heads=4),
}


@pytest.fixture
def texts() -> list[list[int]]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 75, size=n).tolist() for n in (300, 1, 17, 64, 65, 130, 2, 290, 9, 31)]


@torch.inference_mode()
def scores(decoder: NativeDecoder | TorchDecoder, texts: list[list[int]], steps: int = 5) -> torch.Tensor:
    """After reading all but the last tokens of each text, and after each of these one by one: (texts, 1 + steps, V)."""
    taken = [text if len(text) > steps else [1] * steps + text for text in texts]
    slots = np.arange(len(taken))
    found = [decoder.read([text[:-steps] for text in taken], slots)]
    for step in range(-steps, 0):
        ids = np.array([text[step] for text in taken])
        found.append(decoder.step(ids, np.array([len(text) + step for text in taken]), slots))
    return torch.stack(found, 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_are_those_of_the_network(shape: str, texts) -> None:
    model = noisy(SHAPES[shape], vocab_multiple=64)
    assert NativeDecoder.fits(model, torch.float32)
    ours, theirs = (scores(kind(model, len(texts), torch.float32), texts) for kind in (NativeDecoder, TorchDecoder))
    assert (ours - theirs).abs().max() < 2e-5 * theirs.abs().max()


def test_bfloat16_rounds_where_the_network_does(texts) -> None:
    """The two differ by less than either does from float32."""
    model = noisy(QWEN)
    exact = scores(TorchDecoder(model, len(texts), torch.float32), texts)
    ours, theirs = (scores(kind(model, len(texts), torch.bfloat16), texts) for kind in (NativeDecoder, TorchDecoder))
    assert (ours - theirs).abs().mean() < 0.7 * (theirs - exact).abs().mean()
    assert (ours - exact).abs().mean() < 1.2 * (theirs - exact).abs().mean()


def test_a_text_gives_the_same_bits_in_any_company(texts) -> None:
    model = noisy(QWEN)
    together = scores(NativeDecoder(model, len(texts), torch.float32), texts)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        for text, expected in zip(texts, together, strict=True):
            assert torch.equal(scores(NativeDecoder(model, 1, torch.float32), [text])[0], expected)
    finally:
        torch.set_num_threads(threads)


def test_prompts_read_in_parts_give_the_same_bits(texts, monkeypatch) -> None:
    model = noisy(QWEN)
    whole = scores(NativeDecoder(model, len(texts), torch.float32), texts)
    monkeypatch.setattr(NativeDecoder, "CHUNK", 50)
    assert torch.equal(scores(NativeDecoder(model, len(texts), torch.float32), texts), whole)


def test_without_a_compiler_pytorch_answers_and_says_why(monkeypatch, capsys) -> None:
    model = noisy(QWEN)
    prompts = [[1, 2, 3], [4]]
    settings = {"max_new_tokens": 20, "temperature": 0, "dtype": torch.float32}
    expected = generate(model, prompts, **settings)
    compiled.library.cache_clear()
    monkeypatch.setenv("CXX", "no-such-compiler")
    try:
        plain = generate(model, prompts, **settings)
    finally:
        compiled.library.cache_clear()
    assert [completion.ids for completion in plain] == [completion.ids for completion in expected]
    assert "more slowly" in capsys.readouterr().err
