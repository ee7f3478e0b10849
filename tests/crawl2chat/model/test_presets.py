"""Presets have the sizes they are named after, and one number gives a whole run."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from crawl2chat.errors import UserError
from crawl2chat.model.config import flops_per_token, parameter_count
from crawl2chat.model.network import Transformer
from crawl2chat.model.presets import (
    PRESETS,
    TUNED,
    adamw_rate,
    batch_tokens,
    context_of,
    preset,
    recipe,
    shape,
    shape_of_depth,
    weights_that_multiply,
)


@pytest.mark.parametrize(
    ("name", "published", "tolerance"),
    [("gpt2-124m", 124_439_808, 0.008), ("gpt2-1558m", 1_557_611_200, 0.008), ("llama-3.1-8b", 8_030_261_248, 0)],
)
def test_presets_have_the_published_number_of_weights(name: str, published: int, tolerance: float) -> None:
    with torch.device("meta"):
        held = sum(weight.numel() for weight in Transformer(preset(name)).parameters())
    assert parameter_count(preset(name)) == held
    assert abs(held / published - 1) <= tolerance


def test_tiny_is_the_default_run() -> None:
    assert parameter_count(preset("tiny")) == 1_968_320


def test_an_unknown_preset_is_a_sentence() -> None:
    with pytest.raises(UserError, match="no preset 'gpt5'; the presets are tiny, gpt2-124m"):
        preset("gpt5")


@pytest.mark.parametrize("name", PRESETS)
def test_flops_of_presets_agree_with_pytorchs_counter(name: str) -> None:
    context, config = 64, replace(preset(name), max_position_embeddings=64, rope_scaling=None)
    with torch.device("meta"):
        model = Transformer(config).to("meta")  # the table of positions too
        batch = torch.zeros(1, context, dtype=torch.long)
    with FlopCounterMode(display=False) as counter:
        model.logits(model(batch)).sum().backward()
    # The counter takes attention in full, forward and backward, where ours takes the causal half.
    width = config.num_attention_heads * config.head_dim
    causal_half = 6 * width * context * config.num_hidden_layers * context
    counted = counter.get_total_flops()
    assert counted == flops_per_token(config, context) * context + causal_half


def test_every_depth_is_a_model_whose_size_grows() -> None:
    shapes = [shape_of_depth(depth, 4_096) for depth in range(1, 33)]
    sizes = [parameter_count(config) for config in shapes]
    assert sizes == sorted(sizes)
    for depth, config in enumerate(shapes, start=1):
        assert config.hidden_size == 64 * depth == config.num_attention_heads * config.head_dim
        assert config.intermediate_size % 64 == 0 and 256 <= config.max_position_embeddings <= 2_048
    assert shape_of_depth(4, 4_096).head_dim == 64 and shape_of_depth(12, 4_096).head_dim == 128


def test_a_dozen_layers_are_gpt_2_sized_and_trained_as_the_rule_says() -> None:
    config = shape_of_depth(12, 50_257)
    blocks, multiplied = weights_that_multiply(config)
    assert blocks == 12 * (4 * 768**2 + 3 * 768 * 2_048) and multiplied == blocks + 50_257 * 768
    given = {"tokens_per_parameter": 12.0}
    settled = recipe(config, given, context_of(config, given), tokens_per_epoch=10**9)
    tokens = 12 * multiplied
    assert settled["batch_rows"] * 1_024 == pytest.approx(batch_tokens(tokens), rel=0.42)  # a power of two
    assert settled["steps"] * settled["batch_rows"] * 1_024 == pytest.approx(tokens, rel=1e-3)
    assert settled["adamw_lr"] == adamw_rate(blocks, tokens)
    assert settled["muon_lr"] == pytest.approx(0.016, abs=0.005)  # nanochat tuned .02 at this size


def test_the_rule_meets_the_tuned_default_run() -> None:
    blocks, tokens = weights_that_multiply(preset("tiny"))[0], 4.68e6
    tuned = TUNED["tiny"]
    assert batch_tokens(tokens) == pytest.approx(tuned["batch_rows"] * 256, rel=0.1)
    assert adamw_rate(blocks, tokens) == pytest.approx(tuned["adamw_lr"], rel=0.15)


def test_what_is_given_wins_and_the_rest_follows_it() -> None:
    given = {"hidden_size": 512, "context": 128, "batch_rows": 4, "tokens_per_parameter": 2.0, "muon_lr": 0.0}
    config = shape(given, 1_000, depth=2)
    assert (config.hidden_size, config.num_hidden_layers, config.max_position_embeddings) == (512, 2, 128)
    settled = recipe(config, given, context_of(config, given), tokens_per_epoch=10**6)
    _, multiplied = weights_that_multiply(config)
    assert settled["batch_rows"] == 4 and settled["muon_lr"] == 0.0
    assert settled["steps"] == round(2 * multiplied / (4 * 128))


def test_passes_over_the_corpus_replace_the_budget() -> None:
    config = shape_of_depth(2, 1_000)
    settled = recipe(config, {"epochs": 2.0, "tokens_per_parameter": 12.0}, 256, tokens_per_epoch=10**6)
    assert settled["steps"] is None  # counted in batches by whoever has them
    assert settled["adamw_lr"] == adamw_rate(weights_that_multiply(config)[0], 2e6)


def test_a_scaled_model_keeps_its_positions_and_trains_on_shorter_rows() -> None:
    config = shape({"context": 4_096}, 1_000, name="llama-3.1-8b")
    assert config.max_position_embeddings == 131_072 and context_of(config, {"context": 4_096}) == 4_096
    assert context_of(config, {}) == 8_192


def test_a_context_beyond_the_models_positions_is_a_sentence() -> None:
    with pytest.raises(UserError, match="context is 500 and the model's positions reach 256"):
        context_of(preset("tiny"), {"context": 500})
