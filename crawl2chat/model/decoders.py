"""How generation reads tokens: a table of slots that holds the keys and values of every text under way, and the network
run over the newest tokens, in PyTorch for any device and as compiled code for CPUs."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from crawl2chat.model.config import ModelConfig
from crawl2chat.model.cpu import decoding
from crawl2chat.model.network import Transformer, attention


class Decoder(ABC):
    """Keys and values: (layers, slots, kv heads, room, head_dim), a text's token t at place t. The room grows by blocks
    with the longest text."""

    # Places that are added together when the longest text needs more.
    BLOCK = 256
    # Whether a step costs as much for a free slot as for one in use.
    computes_free_slots = False

    def __init__(self, config: ModelConfig, slots: int, dtype: torch.dtype, device: torch.device) -> None:
        shape = config.num_hidden_layers, slots, config.num_key_value_heads, 0, config.head_dim
        self.keys = torch.empty(shape, dtype=dtype, device=device)
        self.values = torch.empty(shape, dtype=dtype, device=device)

    @abstractmethod
    def read(self, prompts: Sequence[Sequence[int]], slots: np.ndarray) -> Tensor:
        """Reads whole prompts into slots from their first place on; the scores (B, V) after each, float32."""

    @abstractmethod
    def step(self, ids: np.ndarray, positions: np.ndarray, slots: np.ndarray) -> Tensor:
        """Reads one token (B,) in each of the slots that are in use, at its place; the scores (B, V) after each."""

    def make_room(self, length: int) -> None:
        """Room for texts of `length` tokens."""
        have, room = self.keys.shape[3], -(-length // self.BLOCK) * self.BLOCK
        if room > have:
            self.keys, self.values = (self.grown(old, have, room) for old in (self.keys, self.values))

    def grown(self, old: Tensor, have: int, room: int) -> Tensor:
        new = old.new_empty(*old.shape[:3], room, old.shape[4])
        new[:, :, :, :have] = old
        return new

    def share(self, source: np.ndarray, target: np.ndarray, length: int) -> None:
        """Copies the first `length` places of each source slot into its target."""
        for table in (self.keys, self.values):
            table[:, target, :, :length] = table[:, source, :, :length]

    def keep(self, slots: np.ndarray) -> None:
        """Only these slots stay, in this order."""
        self.keys, self.values = self.keys[:, slots], self.values[:, slots]


class PromptCache:
    """Collects the keys and values of whole prompts, which are right-padded and attend causally."""

    def __init__(self) -> None:
        self.k: list[Tensor] = []
        self.v: list[Tensor] = []

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.k.append(k)
        self.v.append(v)
        return attention(q, k, v)


class TorchDecoder(Decoder):
    """The network itself with a cache. In a step all of the room is attended to, the unused part masked: products over
    whole tensors need no copies, which costs less than products over exact slices."""

    BLOCK = 64
    computes_free_slots = True

    def __init__(self, model: Transformer, slots: int, dtype: torch.dtype) -> None:
        self.device = next(model.parameters()).device
        super().__init__(model.config, slots, dtype, self.device)
        self.model = for_inference(model, dtype)

    def grown(self, old: Tensor, have: int, room: int) -> Tensor:
        new = super().grown(old, have, room)
        new[:, :, :, have:] = 0  # what is masked counts zero times, which must be zero
        return new

    def read(self, prompts: Sequence[Sequence[int]], slots: np.ndarray) -> Tensor:
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=self.device)
        longest = int(lengths.max())
        self.make_room(longest)
        padded = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, prompt in enumerate(prompts):
            padded[row, : len(prompt)] = torch.tensor(prompt)
        read, target = PromptCache(), torch.from_numpy(slots).to(self.device)
        hidden = self.model(padded.to(self.device), cache=read)
        for layer, (k, v) in enumerate(zip(read.k, read.v, strict=True)):
            self.keys[layer][target, :, :longest] = k
            self.values[layer][target, :, :longest] = v
        return self.model.logits(hidden[torch.arange(len(prompts), device=self.device), lengths - 1])

    def step(self, ids: np.ndarray, positions: np.ndarray, slots: np.ndarray) -> Tensor:
        self.make_room(int(positions.max()) + 1)
        count, room = self.keys.shape[1], self.keys.shape[3]
        # All slots go along, as whole tensors; those not in use write to a place nobody reads.
        every_id, every_place = np.zeros(count, np.int64), np.full(count, positions.max())
        every_id[slots], every_place[slots] = ids, positions
        self.rows, self.places = (
            torch.arange(count, device=self.device),
            torch.from_numpy(every_place).to(self.device),
        )
        hidden = torch.arange(room, device=self.device) > self.places[:, None]
        self.hidden = hidden[:, None, :, None]  # (slots, 1, room, 1)
        newest = torch.from_numpy(every_id).to(self.device)[:, None]
        states = self.model(newest, positions=self.places[:, None], cache=self)[:, 0]
        return self.model.logits(states[torch.from_numpy(slots).to(self.device)])

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention of one query per head, as two products over the cache as it lies: two to three times faster than
        the general kernel, which is made for many queries."""
        keys, values = self.keys[layer], self.values[layer]  # (B, Hkv, S, D)
        keys[self.rows, :, self.places] = k[:, :, 0]
        values[self.rows, :, self.places] = v[:, :, 0]
        grouped = q.view(q.shape[0], k.shape[1], -1, q.shape[-1])  # (B, Hkv, queries per key, D)
        scores = (keys @ grouped.mT).float() * q.shape[-1] ** -0.5  # (B, Hkv, S, queries per key)
        weights = scores.masked_fill(self.hidden, float("-inf")).softmax(2).to(values.dtype)
        return (weights.mT @ values).view(q.shape)


class CompiledDecoder(Decoder):
    """The network as compiled code for CPUs (cpu/decode.cpp): several times as fast, the same scores but for
    rounding."""

    # Tokens of prompts read together.
    CHUNK = 1024

    def __init__(self, model: Transformer, slots: int, dtype: torch.dtype) -> None:
        super().__init__(model.config, slots, dtype, torch.device("cpu"))
        self.weights = decoding.Weights(model, dtype)

    def read(self, prompts: Sequence[Sequence[int]], slots: np.ndarray) -> Tensor:
        lengths = np.array([len(prompt) for prompt in prompts])
        self.make_room(int(lengths.max()))
        ids = np.concatenate([np.asarray(prompt, np.int64) for prompt in prompts])
        positions = np.concatenate([np.arange(length) for length in lengths])
        slot_of, last = np.repeat(slots, lengths), lengths.cumsum() - 1
        scores = []
        for begin in range(0, len(ids), self.CHUNK):
            part = slice(begin, begin + self.CHUNK)
            ends = last[(last >= begin) & (last < begin + self.CHUNK)] - begin
            scores.append(self.decode(ids[part], positions[part], slot_of[part], ends))
        return torch.cat(scores)

    def step(self, ids: np.ndarray, positions: np.ndarray, slots: np.ndarray) -> Tensor:
        self.make_room(int(positions.max()) + 1)
        return self.decode(ids, positions, slots, np.arange(len(ids)))

    def decode(self, ids: np.ndarray, positions: np.ndarray, slots: np.ndarray, wanted: np.ndarray) -> Tensor:
        return decoding.decode(self.weights, ids, positions, slots, wanted, self.keys, self.values)


def choose_decoder(model: Transformer, slots: int, dtype: torch.dtype) -> Decoder:
    """The fastest decoder that fits the model, its device and this machine."""
    kind = CompiledDecoder if decoding.fits(model, dtype) else TorchDecoder
    return kind(model, slots, dtype)


def for_inference(model: Transformer, dtype: torch.dtype) -> Transformer:
    """A frozen copy whose block matrices are of `dtype`; norms and residual stream stay float32, exactly as under
    autocast."""
    frozen = copy.deepcopy(model).eval().requires_grad_(False)
    for name, weight in frozen.named_parameters():
        if weight.ndim == 2 and ".layers." in name:
            weight.data = weight.data.to(dtype)
    for block in frozen.model.layers:
        block.self_attn.freeze()
        block.mlp.freeze()
    return frozen
