"""One file for llama.cpp and what is built on it (LM Studio, Ollama): weights, tokenizer and chat template as GGUF.

In: a model, its tokenizer's folder, a chat template. Out: model.gguf in float32, architecture `qwen3`, or `llama`
without QK-norm. The same model gives the same bytes. Source: the GGUF specification and llama.cpp's own converter.
llama.cpp's `llama` rotates neighbouring coordinates instead of halves, so queries and keys are reordered for it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from crawl2chat.errors import UserError
from crawl2chat.model.config import ModelConfig
from crawl2chat.model.network import Transformer
from crawl2chat.tokens import splits

if TYPE_CHECKING:
    from gguf import GGUFWriter

# llama.cpp's names of our splits. Llama 3's also lets a word that is a token skip the merges, as our own encoder does.
SPLITS = {
    splits.split_pattern(1): "qwen2",
    splits.split_pattern(3): "llama-bpe",
    splits.SPLITS["gpt2"]: "gpt-2",
    splits.SPLITS["gpt4o"]: "gpt-4o",
}
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def save_gguf(
    model: Transformer, path: Path, tokenizer_folder: Path, name: str, chat_template: str | None = None
) -> None:
    """Writes the file. UserError for a tokenizer whose way to split text llama.cpp does not know."""
    from gguf import GGUFWriter, LlamaFileType, TokenType

    config = model.config
    file = json.loads((tokenizer_folder / "tokenizer.json").read_text(encoding="utf-8"))
    writer = GGUFWriter(path, "qwen3" if config.qk_norm else "llama")
    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(LlamaFileType.ALL_F32)
    add_shape(writer, config)
    tokens, merges, special = vocabulary(file, config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(split_name(file))
    writer.add_token_list(tokens)
    writer.add_token_types([TokenType.CONTROL if i in special else TokenType.NORMAL for i in range(len(tokens))])
    writer.add_token_merges(merges)
    ids = {token["content"]: token["id"] for token in file["added_tokens"]}
    writer.add_bos_token_id(ids["<|bos|>"])
    writer.add_eos_token_id(ids["<|end|>"])
    writer.add_pad_token_id(ids["<|pad|>"])
    # The chat template writes it.
    writer.add_add_bos_token(False)
    if chat_template:
        writer.add_chat_template(chat_template)
    for tensor_name, tensor in tensors(model):
        writer.add_tensor(tensor_name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_shape(writer: "GGUFWriter", config: ModelConfig) -> None:
    """The keys that config.json has, in GGUF's names."""
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_rope_dimension_count(config.head_dim)


def tensors(model: Transformer) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor under GGUF's name, as llama.cpp wants to multiply with it."""
    config = model.config
    for name, weight in model.state_dict().items():
        weight = weight.detach().float().cpu()
        if not config.qk_norm and name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            weight = interleave(weight, heads)
        yield gguf_name(name), weight.contiguous().numpy()
    if config.rope_scaling:
        plain = torch.tensor(config.rope_theta).double() ** (
            -torch.arange(0, config.head_dim, 2).double() / config.head_dim
        )
        yield "rope_freqs.weight", (plain / config.rope_scaling.apply(plain)).float().numpy()


def gguf_name(name: str) -> str:
    """model.layers.3.mlp.up_proj.weight → blk.3.ffn_up.weight"""
    fixed = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    stem, kind = name.rsplit(".", 1)
    if stem in fixed:
        return f"{fixed[stem]}.{kind}"
    layer, inner = stem.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{NAMES[inner]}.{kind}"


def interleave(weight: Tensor, heads: int) -> Tensor:
    """Rows of each head from halves (0 … n, n … 2n) to neighbours (0, n, 1, n + 1, …)."""
    halves = weight.view(heads, 2, -1, weight.shape[1])  # (H, 2, head_dim / 2, d)
    return halves.transpose(1, 2).reshape(weight.shape)


def vocabulary(file: dict[str, Any], size: int) -> tuple[list[str], list[str], set[int]]:
    """Tokens by id, merges in order as `left right`, and which ids are special. Ids that stand for no token get a
    name."""
    special = {token["id"]: token["content"] for token in file["added_tokens"]}
    by_id = {number: token for token, number in file["model"]["vocab"].items()} | special
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in file["model"]["merges"]]
    return [by_id.get(i, f"<|unused {i}|>") for i in range(size)], merges, set(special)


def split_name(file: dict[str, Any]) -> str:
    pattern = file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"]
    if pattern not in SPLITS:
        raise UserError(
            "llama.cpp knows no split like this tokenizer's: leave the file out (gguf: false), "
            "or use a tokenizer trained here"
        )
    return SPLITS[pattern]
