"""The decoder of decode.cpp, with the weights of a model. Where there is no compiler, or a model's sizes are no whole vectors,
generation does without it."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from crawl2chat.model.compiled import ELEMENTS, library
from crawl2chat.model.decoders import Decoder
from crawl2chat.model.network import Transformer


class Layer(ctypes.Structure):
    POINTERS = ("qkv", "o", "gate_up", "down", "input_norm", "post_norm", "q_norm", "k_norm")
    _fields_ = [(name, ctypes.c_void_p) for name in POINTERS]


class Model(ctypes.Structure):
    SIZES = ("hidden", "heads", "kv_heads", "head_dim", "intermediate", "vocabulary", "layers")
    POINTERS = ("embedding", "norm", "cos", "sin", "head", "layer")
    _fields_ = [
        *((name, ctypes.c_int64) for name in SIZES),
        ("eps", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in POINTERS),
    ]


class NativeDecoder(Decoder):
    """A model in the layout that decode.cpp reads."""

    CHUNK = 1024  # tokens of prompts read at once

    def __init__(self, model: Transformer, slots: int, dtype: torch.dtype) -> None:
        super().__init__(model.config, slots, dtype, torch.device("cpu"))
        config, self.library, self.dtype = model.config, library("decode", dtype), dtype
        self.lanes: int = self.library.lanes()
        self.panel = 2 * self.lanes
        self.kept: list[Any] = []  # what the pointers point to
        layers = (Layer * config.num_hidden_layers)()
        for layer, block in zip(layers, model.model.layers, strict=True):
            attention, mlp = block.self_attn, block.mlp
            gate, up = mlp.gate_proj.weight.split(self.lanes), mlp.up_proj.weight.split(self.lanes)
            layer.qkv = self.panels(attention.stacked)
            layer.o = self.panels(attention.o_proj.weight)
            layer.gate_up = self.panels(torch.cat([part for pair in zip(gate, up, strict=True) for part in pair]))
            layer.down = self.panels(mlp.down_proj.weight)
            layer.input_norm = self.pointer(block.input_layernorm.weight)
            layer.post_norm = self.pointer(block.post_attention_layernorm.weight)
            if config.qk_norm:
                layer.q_norm = self.pointer(attention.q_norm.weight)
                layer.k_norm = self.pointer(attention.k_norm.weight)
        self.kept.append(layers)
        self.model = Model(
            config.hidden_size,
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
            config.intermediate_size,
            config.vocab_size,
            config.num_hidden_layers,
            config.rms_norm_eps,
            self.pointer(model.model.embed_tokens.weight),
            self.pointer(model.model.norm.weight),
            self.pointer(model.cos),
            self.pointer(model.sin),
            self.panels(model.head_weight[: config.vocab_size]),
            ctypes.addressof(layers),
        )

    @staticmethod
    def fits(model: Transformer, dtype: torch.dtype) -> bool:
        """Whether the step can be compiled here and has vectors for the model's sizes."""
        weight = model.model.norm.weight
        if weight.device.type != "cpu" or weight.dtype != torch.float32 or dtype not in ELEMENTS:
            return False
        sizes = model.config.hidden_size, model.config.head_dim, model.config.intermediate_size
        compiled = library("decode", dtype)
        return compiled is not None and all(size % compiled.lanes() == 0 for size in sizes)

    def pointer(self, tensor: Tensor) -> int:
        self.kept.append(tensor.detach().contiguous())
        return self.kept[-1].data_ptr()

    def panels(self, weight: Tensor) -> int:
        """A matrix (outputs, inputs) as (panels, inputs, two vectors of outputs), the last panel filled up with zeros."""
        whole = F.pad(weight.to(self.dtype), (0, 0, 0, -len(weight) % self.panel))
        return self.pointer(whole.view(-1, self.panel, weight.shape[1]).mT)

    def read(self, prompts: Sequence[Sequence[int]], slots: np.ndarray) -> Tensor:
        lengths = np.array([len(prompt) for prompt in prompts])
        self.make_room(int(lengths.max()))
        ids = np.concatenate([np.asarray(prompt, np.int64) for prompt in prompts])
        positions = np.concatenate([np.arange(length) for length in lengths])
        of, last = np.repeat(slots, lengths), lengths.cumsum() - 1
        scores = []
        for begin in range(0, len(ids), self.CHUNK):
            part = slice(begin, begin + self.CHUNK)
            ends = last[(last >= begin) & (last < begin + self.CHUNK)] - begin
            scores.append(self.run(ids[part], positions[part], of[part], ends))
        return torch.cat(scores)

    def step(self, ids: np.ndarray, positions: np.ndarray, slots: np.ndarray) -> Tensor:
        self.make_room(int(positions.max()) + 1)
        return self.run(ids, positions, slots, np.arange(len(ids)))

    def run(self, ids: np.ndarray, positions: np.ndarray, slots: np.ndarray, wanted: np.ndarray) -> Tensor:
        scores = torch.empty(len(wanted), -(-self.model.vocabulary // self.panel) * self.panel)
        sizes = len(ids), self.keys.shape[1], self.keys.shape[3], len(wanted)
        self.library.decode(
            ctypes.byref(self.model),
            *map(ctypes.c_int64, sizes),
            *(ctypes.c_void_p(array.ctypes.data) for array in (ids, positions, slots, wanted)),
            *(ctypes.c_void_p(tensor.data_ptr()) for tensor in (self.keys, self.values, scores)),
            torch.get_num_threads(),
        )
        return scores[:, : self.model.vocabulary]
