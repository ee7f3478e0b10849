"""The compiled decoder gives what the network gives."""

import dataclasses

import numpy as np
import pytest
import torch
from model_toys import noisy

from crawl2chat.model.config import ModelConfig, RopeScaling
from crawl2chat.model.cpu import decoding
from crawl2chat.model.decoders import CompiledDecoder, Decoder, TorchDecoder

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
def scores(decoder: Decoder, texts: list[list[int]], steps: int = 5) -> torch.Tensor:
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
    assert decoding.fits(model, torch.float32)
    ours, theirs = (scores(kind(model, len(texts), torch.float32), texts) for kind in (CompiledDecoder, TorchDecoder))
    assert (ours - theirs).abs().max() < 2e-5 * theirs.abs().max()


def test_bfloat16_rounds_where_the_network_does(texts) -> None:
    """The two differ by less than either does from float32."""
    model = noisy(QWEN)
    exact = scores(TorchDecoder(model, len(texts), torch.float32), texts)
    ours, theirs = (scores(kind(model, len(texts), torch.bfloat16), texts) for kind in (CompiledDecoder, TorchDecoder))
    assert (ours - theirs).abs().mean() < 0.7 * (theirs - exact).abs().mean()
    assert (ours - exact).abs().mean() < 1.2 * (theirs - exact).abs().mean()


def test_a_text_gives_the_same_bits_in_any_company(texts) -> None:
    model = noisy(QWEN)
    together = scores(CompiledDecoder(model, len(texts), torch.float32), texts)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        for text, expected in zip(texts, together, strict=True):
            assert torch.equal(scores(CompiledDecoder(model, 1, torch.float32), [text])[0], expected)
    finally:
        torch.set_num_threads(threads)


def test_prompts_read_in_parts_give_the_same_bits(texts, monkeypatch) -> None:
    model = noisy(QWEN)
    whole = scores(CompiledDecoder(model, len(texts), torch.float32), texts)
    monkeypatch.setattr(CompiledDecoder, "CHUNK", 50)
    assert torch.equal(scores(CompiledDecoder(model, len(texts), torch.float32), texts), whole)


def arguments(**changed) -> dict:
    """Of a step of one token in each of two slots."""
    tokens = {name: np.array([0, 1]) for name in ("ids", "positions", "slots", "wanted")}
    cache = {name: torch.zeros(QWEN.num_hidden_layers, 2, 2, 8, 16) for name in ("keys", "values")}
    return tokens | cache | changed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ids": np.array([0, 75])}, "an id is outside the vocabulary"),
        ({"ids": np.array([-1, 0])}, "an id is outside the vocabulary"),
        ({"slots": np.array([0, 2])}, "a slot is outside the cache"),
        ({"positions": np.array([8, 0])}, "a position is outside the cache or the model's context"),
        ({"positions": np.array([-1, 0])}, "a position is outside the cache"),
        ({"wanted": np.array([2])}, "a wanted row is none of the rows read"),
        ({"ids": np.array([0, 1], np.int32)}, "must be rows of int64, not int32"),
        ({"ids": np.array([0, 1, 2, 3])[::2]}, "must be rows of int64"),
        ({"slots": np.array([0])}, "2 ids, 2 positions and 1 slots"),
        (
            {"keys": torch.zeros(3, 2, 2, 8, 16, dtype=torch.bfloat16)},
            "keys and values must be contiguous, torch.float32",
        ),
        ({"values": torch.zeros(3, 2, 8, 2, 16).transpose(2, 3)}, "keys and values must be contiguous"),
        ({"values": torch.zeros(3, 1, 2, 8, 16)}, r"not torch.float32 and \(3, 1, 2, 8, 16\)"),
        ({"keys": torch.zeros(2, 2, 2, 8, 16)}, r"not torch.float32 and \(2, 2, 2, 8, 16\)"),
    ],
)
def test_arguments_that_do_not_fit_together_are_refused(changed: dict, message: str) -> None:
    weights = decoding.Weights(noisy(QWEN), torch.float32)
    assert decoding.decode(weights, **arguments()).shape == (2, 75)
    with pytest.raises(ValueError, match=message):
        decoding.decode(weights, **arguments(**changed))


def test_positions_end_where_the_context_does() -> None:
    weights = decoding.Weights(noisy(dataclasses.replace(QWEN, max_position_embeddings=4)), torch.float32)
    with pytest.raises(ValueError, match="outside the cache or the model's context"):
        decoding.decode(weights, **arguments(positions=np.array([3, 4])))


def test_no_rows_are_no_scores() -> None:
    nothing = {name: np.zeros(0, np.int64) for name in ("ids", "positions", "slots", "wanted")}
    assert decoding.decode(decoding.Weights(noisy(QWEN), torch.float32), **arguments(**nothing)).shape == (0, 75)


def test_a_model_without_vectors_is_refused() -> None:
    model = noisy(dataclasses.replace(QWEN, head_dim=18))
    assert not decoding.fits(model, torch.float32) and not decoding.fits(noisy(QWEN), torch.float64)
    with pytest.raises(ValueError, match="does not fit this model"):
        decoding.Weights(model, torch.float32)
