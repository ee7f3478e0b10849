"""The network against numbers worked out by hand, and against transformers' own Qwen3 and Llama."""

import json
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from crawl2chat.errors import UserError
from crawl2chat.model import network
from crawl2chat.model.folder import load_model, save_model
from crawl2chat.model.network import (
    IGNORED,
    ModelConfig,
    Transformer,
    flops_per_token,
    mean_loss,
    parameter_count,
)

SMALL = ModelConfig(
    vocab_size=97,
    hidden_size=24,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    intermediate_size=40,
    max_position_embeddings=64,
)


def noisy(config: ModelConfig, seed: int = 0) -> Transformer:
    """A model whose every weight matters: fresh ones have zero output projections."""
    model = Transformer(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.1)
    return model.eval()


def ids(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 97, shape, generator=torch.Generator().manual_seed(seed))


def test_parameter_count_of_published_sizes() -> None:
    llama = ModelConfig(128_256, 4096, 32, 32, 8, 128, 14_336, 8192, tie_word_embeddings=False, qk_norm=False)
    qwen = ModelConfig(151_936, 1024, 28, 16, 8, 128, 3072, 40_960, tie_word_embeddings=True)
    assert parameter_count(llama) == 8_030_261_248  # Llama 3.1 8B
    assert parameter_count(qwen) == 596_049_920  # Qwen3 0.6B


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("qk_norm", [True, False])
def test_parameter_count_is_what_the_model_holds(tied: bool, qk_norm: bool) -> None:
    config = replace(SMALL, tie_word_embeddings=tied, qk_norm=qk_norm)
    assert parameter_count(config) == sum(weight.numel() for weight in Transformer(config).parameters())


def test_flops_agree_with_pytorchs_counter() -> None:
    context = 32
    model = Transformer(SMALL)
    with FlopCounterMode(display=False) as counter:
        hidden = model(ids(1, context))
        model.logits(hidden).sum().backward()
    # The counter takes attention in full where ours takes the causal half; its backward recomputes the scores.
    width = SMALL.num_attention_heads * SMALL.head_dim
    attention = 2 * width * context // 2 * 2 * SMALL.num_hidden_layers
    expected = (flops_per_token(SMALL, context) - 3 * attention) * context
    counted = sum(
        count for op, count in counter.get_flop_counts()["Global"].items() if "attention" not in str(op)
    )
    assert counted == expected


@pytest.mark.parametrize("qk_norm", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_logits_equal_transformers(tmp_path, qk_norm: bool, tied: bool) -> None:
    from transformers import AutoModelForCausalLM

    model = noisy(replace(SMALL, qk_norm=qk_norm, tie_word_embeddings=tied))
    save_model(model, tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert type(theirs).__name__ == ("Qwen3ForCausalLM" if qk_norm else "LlamaForCausalLM")
    batch = ids(3, 50)
    with torch.no_grad():
        difference = (theirs(batch).logits - model.logits(model(batch))).abs().max()
    assert difference < 1e-4


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_a_foreign_folder_round_trips_bit_for_bit(tmp_path, kind: str) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    shape = {
        "vocab_size": 61,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
        "intermediate_size": 24,
        "max_position_embeddings": 32,
        "rope_theta": 500_000.0,
    }
    torch.manual_seed(0)
    if kind == "llama":
        theirs = LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=False))
    else:
        theirs = Qwen3ForCausalLM(Qwen3Config(**shape, tie_word_embeddings=True))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_model(tmp_path / "theirs")
    batch = ids(2, 20) % 61
    with torch.no_grad():
        assert (theirs.eval()(batch).logits - ours.logits(ours(batch))).abs().max() < 1e-4
    save_model(ours, tmp_path / "ours")
    again = load_model(tmp_path / "ours")
    original = theirs.state_dict()
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, original[name]), name


def test_documents_of_a_packed_row_do_not_see_each_other() -> None:
    model = noisy(SMALL)
    first, second = ids(1, 20, seed=1), ids(1, 12, seed=2)
    documents = torch.tensor([[1] * 20 + [2] * 12])
    with torch.no_grad():
        packed = model(torch.cat((first, second), dim=1), documents)
        assert torch.allclose(packed[:, :20], model(first), atol=1e-5)
        assert torch.allclose(packed[:, 20:], model(second), atol=1e-5)  # rotary positions are relative


def test_one_document_in_a_row_is_plain_causal_attention() -> None:
    model, batch = noisy(SMALL), ids(2, 30)
    with torch.no_grad():
        assert torch.allclose(model(batch, torch.ones_like(batch)), model(batch), atol=1e-5)


def test_a_token_never_sees_what_follows() -> None:
    model, batch = noisy(SMALL), ids(1, 30)
    changed = batch.clone()
    changed[0, 17] = (changed[0, 17] + 1) % 97
    with torch.no_grad():
        same = torch.isclose(model(batch), model(changed), atol=1e-6).all(-1)[0]
    assert same[:17].all() and not same[17:].any()


def test_chunked_loss_has_the_value_and_gradient_of_the_whole(monkeypatch) -> None:
    model, batch, targets = noisy(SMALL), ids(2, 30), ids(2, 30, seed=3)
    targets[0, :5] = IGNORED
    results = []
    for at_once in (2**24, 97 * 7):
        monkeypatch.setattr(network, "LOGITS_AT_ONCE", at_once)
        model.zero_grad()
        loss = mean_loss(model.token_losses(model(batch), targets), targets)
        loss.backward()
        results.append((loss.detach(), model.model.embed_tokens.weight.grad.clone()))
    assert torch.allclose(results[0][0], results[1][0], atol=1e-6)
    assert torch.allclose(results[0][1], results[1][1], atol=1e-6)


def test_nothing_to_learn_is_a_loss_of_zero() -> None:
    model, batch = noisy(SMALL), ids(1, 10)
    targets = torch.full_like(batch, IGNORED)
    loss = mean_loss(model.token_losses(model(batch), targets), targets)
    loss.backward()
    assert loss.item() == 0.0
    assert all(torch.isfinite(w.grad).all() for w in model.parameters() if w.grad is not None)


def test_recomputing_activations_changes_no_gradient() -> None:
    model, batch = noisy(SMALL), ids(2, 16)
    gradients = []
    for recompute in (False, True):
        model.recompute_activations = recompute
        model.zero_grad()
        model(batch).square().sum().backward()
        gradients.append(model.model.layers[0].mlp.up_proj.weight.grad.clone())
    assert torch.equal(*gradients)


def test_fresh_model_predicts_nearly_uniformly_and_the_same_from_the_same_seed() -> None:
    one, two = Transformer(SMALL), Transformer(SMALL)
    two.initialize(0)
    batch = ids(4, 32)
    with torch.no_grad():
        loss = one.token_losses(one(batch), ids(4, 32, seed=9)).mean().item()
    assert loss == pytest.approx(torch.log(torch.tensor(97.0)).item(), abs=0.05)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_a_sequence_longer_than_the_context_is_refused() -> None:
    with pytest.raises(UserError, match="65 tokens does not fit the model's context of 64"):
        Transformer(SMALL)(ids(1, 65))


def test_heads_that_do_not_divide_are_refused() -> None:
    with pytest.raises(UserError, match="num_attention_heads"):
        replace(SMALL, num_key_value_heads=3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, "model_type 'gpt2'"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope scaling"),
        ({"attention_bias": True}, "attention_bias"),
    ],
)
def test_foreign_architectures_are_refused_by_name(tmp_path, change: dict, message: str) -> None:
    save_model(Transformer(SMALL), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=message):
        load_model(tmp_path)


def test_damaged_weights_are_a_sentence(tmp_path) -> None:
    save_model(Transformer(SMALL), tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match="is damaged"):
        load_model(tmp_path)


def test_weights_of_another_shape_are_a_sentence(tmp_path) -> None:
    save_model(Transformer(SMALL), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 98}))
    with pytest.raises(UserError, match="do not fit config.json, first at 'model.embed_tokens.weight'"):
        load_model(tmp_path)


def test_a_folder_without_a_model_is_a_sentence(tmp_path) -> None:
    with pytest.raises(UserError, match="is not a model folder"):
        load_model(tmp_path)
