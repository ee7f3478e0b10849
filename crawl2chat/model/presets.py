"""Shapes by name, and the one dial `depth`: all that a pretraining run needs beyond its data, from one number.

In: a preset or a depth, the vocabulary's size, and explicit settings, which always win. Out: the shape, the batch, the
learning rates and the token budget. The rule, in this order, each step from the values before it:

    shape     width 64 · depth; heads of 128 dimensions from depth 8 on where they divide the width, else of 64;
              SwiGLU of 8/3 the width, as many weights as 4 times the width without a gate; own head from depth 12 on
    context   the power of two from the width up, between 256 and 2,048 tokens
    budget    12 tokens for each weight that multiplies (matrices and head, not the embedding): D = 12 N
    batch     .58 D^.571 tokens, in whole rows
    rates     AdamW 1.79 N^-.713 D^.307, with N of the blocks alone, at most .01; Muon 6.25 times that

Batch and AdamW's rate are the Step Law (Li et al. 2025, arXiv 2503.04715), fitted there on models of 60 M parameters
and more. The default run has ten thousand times less compute and was tuned by hand: 4.1 thousand tokens and .008, where
the rule gives 3.8 thousand and .007. Muon's factor is the ratio of that tuning; at depth 12 it gives about the .02 of
nanochat. Width and 12 tokens per parameter are nanochat's. Weight decay stays what it is set to.
"""

from dataclasses import replace
from math import log2
from typing import Any

from crawl2chat.errors import UserError
from crawl2chat.model.config import ModelConfig, RopeScaling

MUON_OVER_ADAMW = 6.25
# The parts of a ModelConfig that a person may set.
SHAPE = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "rope_theta",
    "qk_norm",
    "tie_word_embeddings",
)

# Each with its own vocabulary. GPT-2's sizes in this layout have SwiGLU instead of GELU and rotary instead of learnt
# positions, and so within .8 % of the published number of weights; Llama's is exact.
PRESETS = {
    "tiny": ModelConfig(1_024),
    "gpt2-124m": ModelConfig(50_257, 768, 12, 12, 12, 64, 2_048, 1_024),
    "gpt2-1558m": ModelConfig(50_257, 1_600, 48, 25, 25, 64, 4_288, 1_024),
    "llama-3.1-8b": ModelConfig(
        128_256,
        4_096,
        32,
        32,
        8,
        128,
        14_336,
        131_072,
        rope_theta=500_000.0,
        rope_scaling=RopeScaling(8.0, 1.0, 4.0, 8_192),
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        qk_norm=False,
    ),
}
# Tokens of a training row at most, unless `context` says otherwise.
LONGEST = 8_192
# How the default run is trained; the other presets follow the rule.
TUNED = {"tiny": {"batch_rows": 16, "epochs": 1.5, "muon_lr": 0.05, "adamw_lr": 8e-3}}


def preset(name: str) -> ModelConfig:
    """The shape of that name."""
    if name not in PRESETS:
        raise UserError(f"there is no preset {name!r}; the presets are {', '.join(PRESETS)}")
    return PRESETS[name]


def shape_of_depth(depth: int, vocab_size: int) -> ModelConfig:
    """The dial's shape, with its context."""
    width = 64 * depth
    head_dim = 128 if depth >= 8 and width % 128 == 0 else 64
    heads = width // head_dim
    return ModelConfig(
        vocab_size,
        width,
        depth,
        heads,
        heads,
        head_dim,
        intermediate_size=-(-8 * width // (3 * 64)) * 64,
        max_position_embeddings=min(2_048, max(256, 1 << (width - 1).bit_length())),
        tie_word_embeddings=depth < 12,
    )


def weights_that_multiply(config: ModelConfig) -> tuple[int, int]:
    """(in the blocks, with the head): a token is multiplied once with each. Norms and embedding are no products."""
    heads, kv = config.num_attention_heads, config.num_key_value_heads
    block = config.hidden_size * (2 * config.head_dim * (heads + kv) + 3 * config.intermediate_size)
    blocks = config.num_hidden_layers * block
    return blocks, blocks + config.vocab_size * config.hidden_size


def batch_tokens(tokens: float) -> float:
    """The best batch, in tokens, for a run of so many (Step Law)."""
    return 0.58 * tokens**0.571


def adamw_rate(blocks: int, tokens: float) -> float:
    """The best peak rate for so many weights in blocks and so many tokens (Step Law); no higher than was ever tried."""
    return min(0.01, 1.79 * blocks**-0.713 * tokens**0.307)


def shape(settings: dict[str, Any], vocab_size: int, *, depth: int | None = None, name: str = "tiny") -> ModelConfig:
    """The model that a depth or else a preset describes; `settings` that are not None win."""
    base = shape_of_depth(depth, vocab_size) if depth else preset(name)
    own = {key: settings[key] for key in SHAPE if settings.get(key) is not None}
    if "num_attention_heads" in own:
        own.setdefault("num_key_value_heads", own["num_attention_heads"])
    context = settings.get("context")
    # Scaled positions belong to the context they were scaled for.
    if context and not base.rope_scaling:
        own["max_position_embeddings"] = context
    return replace(base, vocab_size=vocab_size, **own)


def context_of(config: ModelConfig, settings: dict[str, Any]) -> int:
    """How many tokens a row of training holds: as set, or all that the positions reach up to LONGEST."""
    context = settings.get("context") or min(LONGEST, config.max_position_embeddings)
    if context > config.max_position_embeddings:
        raise UserError(
            f"context is {context:,} and the model's positions reach {config.max_position_embeddings:,}: "
            "shorten the context"
        )
    return context


def recipe(config: ModelConfig, settings: dict[str, Any], context: int, tokens_per_epoch: int) -> dict[str, Any]:
    """batch_rows, steps (None: as many as `epochs` are), muon_lr and adamw_lr; `settings` that are not None win."""
    blocks, multiplied = weights_that_multiply(config)
    epochs, steps = settings.get("epochs"), settings.get("steps")
    budget = epochs * tokens_per_epoch if epochs else settings["tokens_per_parameter"] * multiplied
    rows = settings.get("batch_rows") or 2 ** max(0, round(log2(batch_tokens(budget) / context)))
    if steps is None and not epochs:
        steps = max(1, round(budget / (rows * context)))
    elif steps:
        budget = steps * rows * context
    adamw = settings.get("adamw_lr") or adamw_rate(blocks, budget)
    muon = settings.get("muon_lr")
    return {
        "batch_rows": rows,
        "steps": steps,
        "adamw_lr": adamw,
        "muon_lr": MUON_OVER_ADAMW * adamw if muon is None else muon,
    }
