"""The transformer, in the Qwen3 layout: RMSNorm, rotary positions, QK-norm, SwiGLU, grouped-query attention, tied or
untied head. Token ids go in, hidden states come out; logits are a separate step, so that a loss can be taken in chunks
and never holds a (tokens, vocabulary) matrix. Parameter names and shapes are those of Hugging Face's `Qwen3ForCausalLM`
(`LlamaForCausalLM` without QK-norm): the folder written from here opens in transformers, vLLM and llama.cpp as it is.
Source: Qwen3 technical report (2025); zero-initialised output projections and QK-norm as in modded-nanogpt.
"""

from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.utils.checkpoint import checkpoint

from crawl2chat.errors import UserError
from crawl2chat.model.config import ModelConfig
from crawl2chat.model.cpu.attention import attend, first_places

# Target of a position that is not trained on.
IGNORED = -100
# Weights with a row for each id of the vocabulary.
TABLES = ("model.embed_tokens.weight", "lm_head.weight")
# At most 64 MiB of float32 logits exist at a time on a CPU, a GiB on other devices.
LOGITS_AT_ONCE = 2**24


class Cache(Protocol):
    """What generation offers the network: attention that remembers the keys and values of earlier positions."""

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Keeps the new k and v (B, kv heads, T, head_dim); attention's output for q, both (B, heads, T, head_dim)."""
        ...


class RMSNorm(nn.Module):
    """x / rms(x) · weight over the last dimension, in float32 whatever the surrounding precision."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2021), halves paired as in Hugging Face's. x: (B, H, T, head_dim)."""
    left, right = x.chunk(2, dim=-1)
    return torch.cat((left * cos - right * sin, right * cos + left * sin), dim=-1)


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """x times a matrix, in the precision of the matrix."""
    return F.linear(x.to(weight.dtype), weight)


class Stack(nn.Module):
    """A module whose first matrices read the same input: as one matrix they make one product, faster than three. A
    frozen module keeps that matrix, others build it for every call."""

    # Names of the matrices that read the same input.
    inputs: tuple[str, ...]
    # Their one matrix in a frozen module.
    frozen: Tensor | None = None

    def freeze(self) -> None:
        self.frozen = self.stacked
        matrices = [getattr(self, name) for name in self.inputs]
        parts = self.frozen.split([len(matrix.weight) for matrix in matrices])
        for matrix, part in zip(matrices, parts, strict=True):
            # A view: the weights exist once.
            matrix.weight.data = part

    @property
    def stacked(self) -> Tensor:
        if self.frozen is not None:
            return self.frozen
        return torch.cat([getattr(self, name).weight for name in self.inputs])


Mask = Tensor | BlockMask | None
Kernel = Literal["sdpa", "flex", "compiled"]


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Mask = None) -> Tensor:
    """softmax(q kᵀ / √head_dim) v, causal unless a mask says where to look: (B, 1, T, T) of booleans for SDPA, blocks
    for FlexAttention or each place's first visible one (B, T) for the compiled kernel, which both never compute what
    nobody may see. Queries share keys in groups."""
    if isinstance(mask, BlockMask):
        return flex_attention(q, k, v, block_mask=mask, enable_gqa=k.shape[1] != q.shape[1])
    if mask is not None and mask.dtype == torch.long:
        return attend(q, k, v, mask)[0]
    if k.shape[1] != q.shape[1]:
        k, v = (t.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for t in (k, v))
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)


def document_mask(document_ids: Tensor, blocks: bool) -> Mask:
    """Causal attention inside each document of packed rows. document_ids: (B, T). `blocks`: for FlexAttention."""
    if not blocks:
        same = document_ids.unsqueeze(2) == document_ids.unsqueeze(1)  # (B, T, T)
        return same.tril().unsqueeze(1)

    def visible(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (document_ids[row, query] == document_ids[row, key])

    B, T = document_ids.shape
    return create_block_mask(visible, B, None, T, T, device=document_ids.device)


class Attention(Stack):
    """Grouped-query attention with rotary positions and, with QK-norm, normalised queries and keys."""

    inputs = ("q_proj", "k_proj", "v_proj")

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.heads, self.kv_heads, self.head_dim = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        q_size, kv_size = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.q_proj = nn.Linear(config.hidden_size, q_size, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, kv_size, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, kv_size, bias=False)
        self.o_proj = nn.Linear(q_size, config.hidden_size, bias=False)
        if config.qk_norm:
            self.q_norm = RMSNorm(self.head_dim, config.rms_norm_eps)
            self.k_norm = RMSNorm(self.head_dim, config.rms_norm_eps)
        else:
            self.q_norm = self.k_norm = nn.Identity()

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Mask, cache: Cache | None) -> Tensor:
        B, T, _ = x.shape
        qkv = linear(x, self.stacked)
        qkv = qkv.view(B, T, self.heads + 2 * self.kv_heads, self.head_dim).transpose(1, 2)  # (B, H + 2 Hkv, T, D)
        q, k, v = qkv.split((self.heads, self.kv_heads, self.kv_heads), dim=1)
        q = rotate(self.q_norm(q), cos, sin).to(v.dtype)
        k = rotate(self.k_norm(k), cos, sin).to(v.dtype)
        out = attention(q, k, v, mask) if cache is None else cache.attend(self.layer, q, k, v)
        return linear(out.transpose(1, 2).reshape(B, T, -1), self.o_proj.weight)


class MLP(Stack):
    """SwiGLU: down(silu(gate(x)) · up(x)) (Shazeer 2020)."""

    inputs = ("gate_proj", "up_proj")

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = linear(x, self.stacked).chunk(2, dim=-1)
        return linear(F.silu(gate) * up, self.down_proj.weight)


class Block(nn.Module):
    """Attention, then MLP, each on a normalised copy of the residual stream."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, layer)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Mask, cache: Cache | None) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask, cache)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Embedding, blocks and final norm: what Hugging Face's names call `model`."""

    def __init__(self, config: ModelConfig, rows: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(rows, config.hidden_size)
        self.layers = nn.ModuleList(Block(config, layer) for layer in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)


class Transformer(nn.Module):
    """The language model. `forward` gives hidden states, `logits` turns (some of) them into scores.

    The vocabulary's tables may have more rows than the vocabulary, up to a multiple of `vocab_multiple`, where products
    are faster: rows of zeros that no logits show, no gradient reaches and no file holds. Under `torch.device("meta")`
    a model of any size costs nothing; load_state_dict(…, assign=True) gives it weights.
    """

    def __init__(self, config: ModelConfig, vocab_multiple: int = 1) -> None:
        super().__init__()
        self.config = config
        # Of the vocabulary's tables.
        self.rows = -(-config.vocab_size // vocab_multiple) * vocab_multiple
        self.model = Decoder(config, self.rows)
        if not config.tie_word_embeddings:
            self.lm_head = nn.Linear(config.hidden_size, self.rows, bias=False)
        cos, sin = rotations(config)
        self.register_buffer("cos", cos, persistent=False)  # (positions, head_dim / 2)
        self.register_buffer("sin", sin, persistent=False)
        # Saves the memory of activations but for one layer; a third more compute.
        self.recompute_activations = False
        # Of attention without a cache.
        self.kernel: Kernel = "sdpa"
        self.register_state_dict_post_hook(cut_padding)
        self.register_load_state_dict_pre_hook(add_padding)
        if not self.head_weight.is_meta:
            self.initialize()

    def initialize(self, seed: int = 0) -> None:
        """Fresh weights: embeddings N(0, .02²), matrices N(0, 1/fan_in), and zero where a block writes to the residual
        stream, so that every block starts as the identity."""
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.ndim == 1:
                    weight.fill_(1.0)
                elif name.endswith(("o_proj.weight", "down_proj.weight")):
                    weight.zero_()
                elif name in TABLES:
                    weight[: self.config.vocab_size].normal_(0.0, 0.02, generator=generator)
                    weight[self.config.vocab_size :].zero_()
                else:
                    weight.normal_(0.0, weight.shape[1] ** -0.5, generator=generator)

    @property
    def head_weight(self) -> Tensor:
        """(rows, d): the output matrix, shared with the embedding when tied."""
        return self.model.embed_tokens.weight if self.config.tie_word_embeddings else self.lm_head.weight

    def forward(
        self,
        ids: Tensor,
        document_ids: Tensor | None = None,
        positions: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """Hidden states (B, T, d) after the final norm, float32.

        ids: (B, T). document_ids (B, T): positions of different documents do not see each other (packed rows).
        positions (B, T): where each token stands, by default 0 … T - 1. cache: keys and values of earlier tokens.
        """
        T = ids.shape[1]
        if positions is None:
            if self.config.max_position_embeddings < T:
                raise UserError(
                    f"a sequence of {T} tokens does not fit the model's context of "
                    f"{self.config.max_position_embeddings}: shorten it or raise the context length"
                )
            cos, sin = self.cos[:T], self.sin[:T]  # (T, head_dim / 2)
        else:
            cos, sin = (self.cos[positions].unsqueeze(1), self.sin[positions].unsqueeze(1))  # (B, 1, T, head_dim / 2)
        mask = None if cache is not None else self.mask(ids, document_ids)
        x = self.model.embed_tokens(ids)
        for block in self.model.layers:
            if self.recompute_activations and torch.is_grad_enabled():
                x = checkpoint(block, x, cos, sin, mask, cache, use_reentrant=False)
            else:
                x = block(x, cos, sin, mask, cache)
        return self.model.norm(x)

    def mask(self, ids: Tensor, document_ids: Tensor | None) -> Mask:
        """Who sees whom, as the kernel wants it; FlexAttention has no backward pass on a CPU."""
        on_cpu = ids.device.type == "cpu"
        if self.kernel == "compiled" and on_cpu:
            return torch.zeros_like(ids) if document_ids is None else first_places(document_ids)
        blocks = self.kernel == "flex" and not (on_cpu and torch.is_grad_enabled())
        return None if document_ids is None else document_mask(document_ids, blocks)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores (…, V), float32, of hidden states (…, d)."""
        dtype = self.model.layers[0].mlp.down_proj.weight.dtype
        scores = F.linear(hidden.to(dtype), self.head_weight.to(dtype))
        return scores[..., : self.config.vocab_size].float()

    @property
    def rows_at_once(self) -> int:
        """Hidden states whose logits may exist together."""
        scale = 1 if self.head_weight.device.type == "cpu" else 16
        return max(1, scale * LOGITS_AT_ONCE // self.config.vocab_size)

    def token_losses(self, hidden: Tensor, targets: Tensor, temperature: float = 1.0) -> Tensor:
        """Cross-entropy (B, T) of each target under softmax(logits / temperature), in nats; 0 where the target is
        IGNORED. Long inputs are taken in chunks whose logits are recomputed for the gradient."""
        flat, flat_targets = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)

        def losses(part: Tensor, ids: Tensor) -> Tensor:
            return F.cross_entropy(self.logits(part) / temperature, ids, ignore_index=IGNORED, reduction="none")

        size = self.rows_at_once
        if len(flat) <= size:
            return losses(flat, flat_targets).view(targets.shape)
        parts = zip(flat.split(size), flat_targets.split(size), strict=True)
        found = [checkpoint(losses, part, ids, use_reentrant=False) for part, ids in parts]
        return torch.cat(found).view(targets.shape)


def rotations(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """cos and sin of every position's angles, (positions, head_dim / 2) each: computed in float64, kept in float32."""
    steps = torch.arange(0, config.head_dim, 2, device="cpu").double()
    frequencies = config.rope_theta ** (-steps / config.head_dim)
    if config.rope_scaling:
        frequencies = config.rope_scaling.apply(frequencies)
    positions = torch.arange(config.max_position_embeddings, device="cpu").double()
    angles = torch.outer(positions, frequencies)
    return angles.cos().float(), angles.sin().float()


def cut_padding(model: Transformer, state: dict[str, Tensor], prefix: str, metadata: Any) -> None:
    """Removes the padding of the vocabulary's tables from a state dict, and so from every file."""
    for name in TABLES:
        if prefix + name in state:
            state[prefix + name] = state[prefix + name][: model.config.vocab_size]


def add_padding(model: Transformer, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Gives tables of exactly the vocabulary's size the padding that the model has."""
    for name in TABLES:
        table = state.get(prefix + name)
        if table is not None and len(table) == model.config.vocab_size:
            state[prefix + name] = F.pad(table, (0, 0, 0, model.rows - len(table)))
