"""The shape of a transformer, in the key names of Hugging Face's config.json, and what follows from it: its number of
parameters and the operations of a token."""

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from crawl2chat.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

# Keys without which a config.json describes no model.
REQUIRED = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)


@dataclass(frozen=True)
class RopeScaling:
    """How Llama 3.1 stretches rotary positions over a longer context than it was pretrained with: waves longer than
    original / low_freq_factor turn `factor` times slower, waves shorter than original / high_freq_factor as before, and
    those between in between. Source: Llama 3 (Dubey et al. 2024) and its config.json."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_max_position_embeddings: int

    def apply(self, frequencies: "Tensor") -> "Tensor":
        """The stretched frequencies, radians per token, of the plain ones."""
        # Full turns of each wave in the original context decide how much of its frequency is kept.
        turns = self.original_max_position_embeddings * frequencies / (2 * math.pi)
        share = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        share = share.clamp(0, 1)
        return frequencies * (share + (1 - share) / self.factor)


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a transformer, in the key names of Hugging Face's config.json."""

    vocab_size: int
    hidden_size: int = 192
    num_hidden_layers: int = 4
    num_attention_heads: int = 3
    num_key_value_heads: int = 3
    head_dim: int = 64
    intermediate_size: int = 512
    max_position_embeddings: int = 256
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = True
    qk_norm: bool = True

    def __post_init__(self) -> None:
        if self.num_attention_heads % self.num_key_value_heads:
            raise UserError(
                f"num_attention_heads ({self.num_attention_heads}) must be a multiple of "
                f"num_key_value_heads ({self.num_key_value_heads})"
            )
        if self.head_dim % 2:
            raise UserError(f"head_dim ({self.head_dim}) must be even: rotary positions turn pairs of coordinates")

    def to_hf(self) -> dict[str, Any]:
        """The content of config.json."""
        values = {key: value for key, value in asdict(self).items() if key != "qk_norm"}
        if self.rope_scaling:
            values["rope_scaling"]["rope_type"] = "llama3"
        kind = "qwen3" if self.qk_norm else "llama"
        return (
            values
            | {
                "architectures": ["Qwen3ForCausalLM" if self.qk_norm else "LlamaForCausalLM"],
                "model_type": kind,
                "attention_bias": False,
                "attention_dropout": 0.0,
                "hidden_act": "silu",
                "initializer_range": 0.02,
                "torch_dtype": "float32",
                "use_cache": True,
            }
            | ({"mlp_bias": False} if kind == "llama" else {"use_sliding_window": False})
        )

    @classmethod
    def from_hf(cls, values: dict[str, Any]) -> "ModelConfig":
        """From the content of a config.json of model type qwen3 or llama; other architectures are a UserError."""
        kind = values.get("model_type")
        if kind not in ("qwen3", "llama"):
            raise UserError(f"config.json says model_type {kind!r}; this network reads 'qwen3' and 'llama'")
        missing = [key for key in REQUIRED if not isinstance(values.get(key), int)]
        if missing:
            raise UserError(f"config.json has no whole number for {missing[0]!r}: it describes no whole model")
        # Older folders keep rope_theta beside rope_scaling, newer ones both in rope_parameters.
        rope = dict(values.get("rope_parameters") or values.get("rope_scaling") or {})
        theta = rope.pop("rope_theta", None) or values.get("rope_theta") or cls.rope_theta
        scheme = rope.pop("rope_type", None) or rope.pop("type", None) or "default"
        if scheme not in ("default", "llama3"):
            raise UserError(
                f"config.json asks for rope scaling {scheme!r}; this network has 'llama3' and none: "
                "use a folder with either"
            )
        for key in ("attention_bias", "mlp_bias", "use_sliding_window"):
            if values.get(key):
                raise UserError(f"config.json sets {key}, which this network does not have")
        known = {field.name for field in fields(cls)} - {"qk_norm", "rope_theta", "rope_scaling"}
        shape = {key: values[key] for key in known if values.get(key) is not None}
        shape.setdefault("head_dim", values["hidden_size"] // values["num_attention_heads"])
        shape.setdefault("num_key_value_heads", values["num_attention_heads"])
        shape.setdefault("tie_word_embeddings", False)
        scaling = None
        if scheme == "llama3":
            rope.setdefault("original_max_position_embeddings", values["max_position_embeddings"])
            absent = [field.name for field in fields(RopeScaling) if field.name not in rope]
            if absent:
                raise UserError(f"config.json asks for rope scaling 'llama3' without its {absent[0]}")
            scaling = RopeScaling(**{field.name: rope[field.name] for field in fields(RopeScaling)})
        return cls(**shape, rope_theta=theta, rope_scaling=scaling, qk_norm=kind == "qwen3")


def parameter_count(config: ModelConfig) -> int:
    """Number of parameters, the tied head counted once."""
    d, heads, kv = config.hidden_size, config.num_attention_heads, config.num_key_value_heads
    attention = d * config.head_dim * (2 * heads + 2 * kv) + (2 * config.head_dim if config.qk_norm else 0)
    block = attention + 3 * d * config.intermediate_size + 2 * d
    tables = config.vocab_size * d * (1 if config.tie_word_embeddings else 2)
    return tables + config.num_hidden_layers * block + d


def flops_per_token(config: ModelConfig, context: int) -> int:
    """Floating-point operations to train on one token: forward and twice that for backward (Kaplan et al. 2020).

    Matrices cost 2 per weight; causal attention reads half the context on average, twice (scores and values).
    """
    d, width = config.hidden_size, config.num_attention_heads * config.head_dim
    matrices = d * config.head_dim * 2 * (config.num_attention_heads + config.num_key_value_heads)
    matrices += 3 * d * config.intermediate_size
    attention = 2 * width * context // 2
    return 3 * (2 * config.num_hidden_layers * (matrices + attention) + 2 * d * config.vocab_size)
