"""The GGUF file holds the model bit for bit, and llama.cpp, where it is installed, answers with the same words."""

import json
from pathlib import Path

import pytest
import torch
from model_toys import noisy
from training_toys import texts

from crawl2chat.chat.conversation import CHAT_TEMPLATE
from crawl2chat.errors import UserError
from crawl2chat.export.gguf import SPLITS, interleave, save_gguf
from crawl2chat.model.config import ModelConfig, RopeScaling
from crawl2chat.model.generate import Sampling, generate
from crawl2chat.model.network import Transformer
from crawl2chat.tokens.tokenizer import SPECIALS, Tokenizer

TEXTS = ["The road from Paris to Rome takes 12 hours.", " 12*34 = 408\n\n\tx", "naïve 日本 🙂 don't CAN'T  stop"]
SCALED = RopeScaling(4.0, 1.0, 4.0, 64)


def make(folder: Path, *, qk_norm: bool, tied: bool, scaling: RopeScaling | None, digits: int = 1) -> Transformer:
    """A model whose every weight matters, its tokenizer, and model.gguf."""
    from crawl2chat.tokens.training import train

    train(texts(), folder, vocab_size=320, digits=digits)
    shape = {"hidden_size": 48, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 16}
    shape |= {"num_hidden_layers": 2, "intermediate_size": 64, "max_position_embeddings": 256}
    config = ModelConfig(320, **shape, qk_norm=qk_norm, tie_word_embeddings=tied, rope_scaling=scaling)
    model = noisy(config, 0.15)
    save_gguf(model, folder / "model.gguf", folder, "toy", CHAT_TEMPLATE)
    return model


@pytest.fixture(scope="module")
def qwen(tmp_path_factory) -> tuple[Path, Transformer]:
    folder = tmp_path_factory.mktemp("qwen")
    return folder, make(folder, qk_norm=True, tied=True, scaling=None)


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> tuple[Path, Transformer]:
    folder = tmp_path_factory.mktemp("llama")
    return folder, make(folder, qk_norm=False, tied=False, scaling=SCALED, digits=3)


def read(folder: Path):
    from gguf import GGUFReader

    return GGUFReader(folder / "model.gguf")


def test_every_tensor_is_there_bit_for_bit(qwen) -> None:
    folder, model = qwen
    held = {tensor.name: torch.from_numpy(tensor.data.copy()) for tensor in read(folder).tensors}
    state = model.state_dict()
    assert len(held) == len(state)
    for ours, theirs in (
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.norm.weight", "output_norm.weight"),
        ("model.layers.1.self_attn.q_proj.weight", "blk.1.attn_q.weight"),
        ("model.layers.1.self_attn.k_norm.weight", "blk.1.attn_k_norm.weight"),
        ("model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
        ("model.layers.0.post_attention_layernorm.weight", "blk.0.ffn_norm.weight"),
    ):
        assert torch.equal(held[theirs], state[ours]), theirs


def test_llamas_queries_and_keys_stand_in_its_own_order(llama) -> None:
    folder, model = llama
    held = {tensor.name: torch.from_numpy(tensor.data.copy()) for tensor in read(folder).tensors}
    state = model.state_dict()
    for name, heads in (("q", 3), ("k", 1)):
        weight = state[f"model.layers.0.self_attn.{name}_proj.weight"]
        assert torch.equal(held[f"blk.0.attn_{name}.weight"], interleave(weight, heads))
    assert interleave(torch.arange(8.0)[:, None], 2).flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert torch.equal(held["output.weight"], state["lm_head.weight"])
    assert torch.equal(held["blk.0.attn_v.weight"], state["model.layers.0.self_attn.v_proj.weight"])
    factors = held["rope_freqs.weight"]
    assert factors.shape == (8,) and factors[0] == 1.0 and factors[-1] == 4.0


def test_the_file_tells_shape_tokens_merges_and_template(qwen, llama) -> None:
    for (folder, _), kind, split in ((qwen, "qwen3", "qwen2"), (llama, "llama", "llama-bpe")):
        fields = {name: field.contents() for name, field in read(folder).fields.items()}
        words = json.loads((folder / "tokenizer.json").read_text())
        assert fields["general.architecture"] == kind and fields["tokenizer.ggml.pre"] == split
        assert fields[f"{kind}.rope.freq_base"] == 10_000.0 and fields[f"{kind}.context_length"] == 256
        assert fields[f"{kind}.attention.head_count_kv"] == 1 and fields[f"{kind}.attention.key_length"] == 16
        by_id = {number: word for word, number in words["model"]["vocab"].items()}
        assert fields["tokenizer.ggml.tokens"] == [*(by_id[i] for i in range(312)), *SPECIALS]
        assert fields["tokenizer.ggml.token_type"] == [1] * 312 + [3] * 8
        assert [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]] == [
            tuple(merge) for merge in words["model"]["merges"]
        ]
        assert fields["tokenizer.ggml.eos_token_id"] == Tokenizer.load(folder).end
        assert fields["tokenizer.chat_template"] == CHAT_TEMPLATE


def test_the_same_model_gives_the_same_bytes(qwen, tmp_path) -> None:
    folder, model = qwen
    save_gguf(model, tmp_path / "again.gguf", folder, "toy", CHAT_TEMPLATE)
    assert (tmp_path / "again.gguf").read_bytes() == (folder / "model.gguf").read_bytes()


def test_a_split_that_llama_cpp_does_not_know_is_a_sentence(qwen, tmp_path) -> None:
    folder, model = qwen
    words = json.loads((folder / "tokenizer.json").read_text())
    words["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\w+|\W+"
    (tmp_path / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(UserError, match="leave the file out .gguf: false."):
        save_gguf(model, tmp_path / "model.gguf", tmp_path, "toy")


@pytest.mark.parametrize("split", SPLITS.values())
def test_llama_cpp_splits_text_as_we_do(qwen, tmp_path, split: str) -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    folder, model = qwen
    words = json.loads((folder / "tokenizer.json").read_text())
    pattern = next(pattern for pattern, name in SPLITS.items() if name == split)
    words["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern
    (tmp_path / "tokenizer.json").write_text(json.dumps(words))
    save_gguf(model, tmp_path / "model.gguf", tmp_path, "toy")
    engine = llama_cpp.Llama(str(tmp_path / "model.gguf"), n_ctx=64, verbose=False, vocab_only=True)
    for text in TEXTS:
        assert engine.tokenize(text.encode(), add_bos=False, special=False) == Tokenizer.load(tmp_path).encode(text)


@pytest.mark.parametrize("which", ["qwen", "llama"])
def test_llama_cpp_reads_and_writes_the_same_words(which: str, request) -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    folder, model = request.getfixturevalue(which)
    engine = llama_cpp.Llama(
        str(folder / "model.gguf"),
        n_ctx=256,
        n_threads=1,
        verbose=False,
        logits_all=False,
        flash_attn=False,
        type_k=llama_cpp.GGML_TYPE_F32,
        type_v=llama_cpp.GGML_TYPE_F32,
    )
    tokenizer = Tokenizer.load(folder)
    for text in TEXTS:
        assert engine.tokenize(text.encode(), add_bos=False, special=False) == tokenizer.encode(text)
    prompt = [tokenizer.bos, *tokenizer.encode("The road from")]
    (ours,) = generate(model, [prompt], Sampling(200, temperature=0), dtype=torch.float32)
    theirs = []
    for token in engine.generate(prompt, temp=0.0, repeat_penalty=1.0):
        theirs.append(token)
        if len(theirs) == 200:
            break
    assert theirs == ours.ids
