"""A step of generation as compiled code (decode.cpp): the whole network over the newest tokens in one parallel region,
since calling a kernel costs more than running it at such sizes."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crawl2chat.model.cpu.build import library

# The numbers of a model's shape, in the order that decode.cpp reads them.
SIZES = (
    *("hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim"),
    *("intermediate_size", "vocab_size", "num_hidden_layers"),
)


def fits(model: nn.Module, dtype: torch.dtype) -> bool:
    """Whether the code can be compiled here and has vectors for the sizes of a `Transformer`."""
    weight, config = model.model.norm.weight, model.config
    compiled = library("decode.cpp", dtype) if weight.device.type == "cpu" and weight.dtype == torch.float32 else None
    sizes = config.hidden_size, config.head_dim, config.intermediate_size
    return compiled is not None and all(size % compiled.lanes == 0 for size in sizes)


class Weights:
    """The weights of a `Transformer` in the layout and order that decode.cpp reads."""

    def __init__(self, model: nn.Module, dtype: torch.dtype) -> None:
        self.config, self.dtype, self.library = model.config, dtype, library("decode.cpp", dtype)
        if not fits(model, dtype):
            raise ValueError("the compiled decoder does not fit this model or this machine")
        self.tensors: list[Tensor | None] = [
            model.model.embed_tokens.weight,
            model.model.norm.weight,
            model.cos,
            model.sin,
            torch.tensor([self.config.rms_norm_eps]),
            self.panels(model.head_weight[: self.config.vocab_size]),
        ]
        for block in model.model.layers:
            attention, mlp = block.self_attn, block.mlp
            gate, up = (part.weight.split(self.library.lanes) for part in (mlp.gate_proj, mlp.up_proj))
            self.tensors += [
                self.panels(attention.stacked),
                self.panels(attention.o_proj.weight),
                self.panels(torch.cat([part for pair in zip(gate, up, strict=True) for part in pair])),
                self.panels(mlp.down_proj.weight),
                block.input_layernorm.weight,
                block.post_attention_layernorm.weight,
                *((norm.weight if self.config.qk_norm else None) for norm in (attention.q_norm, attention.k_norm)),
            ]
        self.tensors = [None if tensor is None else tensor.detach().contiguous() for tensor in self.tensors]
        self.addresses = [0 if tensor is None else tensor.data_ptr() for tensor in self.tensors]

    def panels(self, weight: Tensor) -> Tensor:
        """A matrix (outputs, inputs) as (panels, inputs, panel of outputs), the last panel filled up with zeros."""
        panel = self.library.panel
        padded = F.pad(weight.to(self.dtype), (0, 0, 0, -len(weight) % panel))
        return padded.view(-1, panel, weight.shape[1]).mT


def decode(
    weights: Weights,
    ids: np.ndarray,
    positions: np.ndarray,
    slots: np.ndarray,
    wanted: np.ndarray,
    keys: Tensor,
    values: Tensor,
) -> Tensor:
    """Reads tokens and writes their keys and values; the scores (len(wanted), V), float32, after the rows `wanted`.

    ids, positions, slots: (rows,), each token's place in its slot of the cache; tokens of one slot may come together,
    in order. keys, values: (layers, slots, kv heads, room, head_dim). ValueError for arguments that do not fit
    together.
    """
    config = weights.config
    for array in (ids, positions, slots, wanted):
        if array.dtype != np.int64 or array.ndim != 1 or not array.flags.c_contiguous:
            raise ValueError(f"ids, positions, slots and wanted rows must be rows of int64, not {array.dtype}")
    if not len(ids) == len(positions) == len(slots):
        raise ValueError(f"{len(ids)} ids, {len(positions)} positions and {len(slots)} slots do not belong together")
    shape = config.num_hidden_layers, keys.shape[1], config.num_key_value_heads, keys.shape[3], config.head_dim
    for cache in (keys, values):
        if cache.shape != shape or cache.dtype != weights.dtype or not cache.is_contiguous():
            raise ValueError(
                f"keys and values must be contiguous, {weights.dtype} and {shape}, "
                f"not {cache.dtype} and {tuple(cache.shape)}"
            )
    panel = weights.library.panel
    scores = torch.empty(len(wanted), -(-config.vocab_size // panel) * panel)
    sizes = [getattr(config, name) for name in SIZES]
    numbers = [*sizes, len(weights.tensors[2]), len(ids), keys.shape[1], keys.shape[3], len(wanted)]
    arrays = [array.ctypes.data for array in (ids, positions, slots, wanted)]
    tensors = [tensor.data_ptr() for tensor in (keys, values, scores)]
    weights.library.call("decode", numbers, [*weights.addresses, *arrays, *tensors])
    return scores[:, : config.vocab_size]
