"""The network against numbers worked out by hand, and against transformers' own Qwen3 and Llama."""

import json
from dataclasses import replace

import pytest
import torch
from model_toys import noisy
from torch.utils.flop_counter import FlopCounterMode

from crawl2chat.errors import UserError
from crawl2chat.model import network
from crawl2chat.model.config import ModelConfig, RopeScaling, flops_per_token, parameter_count
from crawl2chat.model.folder import INDEX, WEIGHTS, load_model, save_model, with_vocabulary
from crawl2chat.model.network import IGNORED, Transformer
from crawl2chat.model.optimizers import build_optimizers

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
    counted = sum(count for op, count in counter.get_flop_counts()["Global"].items() if "attention" not in str(op))
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


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize("kind", ["llama", "llama-3.1", "qwen3"])
def test_a_foreign_folder_round_trips_bit_for_bit(tmp_path, kind: str, shards: bool) -> None:
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

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
    elif kind == "llama-3.1":
        shape |= {"max_position_embeddings": 256, "rope_theta": None}
        rope = {"rope_theta": 500_000.0, **LLAMA_31, "original_max_position_embeddings": 32}
        theirs = LlamaForCausalLM(LlamaConfig(**shape, rope_parameters=rope, tie_word_embeddings=False))
    else:
        theirs = Qwen3ForCausalLM(Qwen3Config(**shape, tie_word_embeddings=True))
    theirs.save_pretrained(tmp_path / "theirs", max_shard_size="4KB" if shards else "1GB")
    assert len(list((tmp_path / "theirs").glob("model*.safetensors"))) > 1 or not shards
    ours = load_model(tmp_path / "theirs")
    batch = ids(2, min(200, ours.config.max_position_embeddings)) % 61
    with torch.no_grad():
        assert (theirs.eval()(batch).logits - ours.logits(ours(batch))).abs().max() < 1e-4
    save_model(ours, tmp_path / "ours")
    again = load_model(tmp_path / "ours")
    original = theirs.state_dict()
    for name, weight in again.state_dict().items():
        assert torch.equal(weight, original[name]), name
    returned = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", dtype=torch.float32)
    assert type(returned) is type(theirs)
    assert all(torch.equal(weight, original[name]) for name, weight in returned.state_dict().items())


@pytest.mark.parametrize("flex", [False, True])
def test_a_packed_row_has_the_logits_of_its_documents_alone(flex: bool) -> None:
    model = noisy(SMALL)
    model.kernel = "flex" if flex else "sdpa"
    first, second, rest = ids(1, 20, seed=1), ids(1, 12, seed=2), ids(1, 4, seed=3)
    documents = torch.tensor([[1] * 20 + [2] * 12 + [0] * 4])
    with torch.no_grad():
        packed = model.logits(model(torch.cat((first, second, rest), dim=1), documents))
        # Rotary positions are relative: where in the row a document stands makes no difference.
        for at, part in ((0, first), (20, second), (32, rest)):
            alone = model.logits(model(part))
            assert torch.allclose(packed[:, at : at + part.shape[1]], alone, atol=2e-5)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_flex_attention_has_the_gradients_of_sdpa(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    model, batch = noisy(SMALL).to(device), ids(2, 24).to(device)
    documents = torch.tensor([[1] * 9 + [2] * 15, [1] * 20 + [0] * 4], device=device)
    gradients = []
    for flex in (False, True):
        model.kernel = "flex" if flex else "sdpa"
        model.zero_grad()
        model(batch, documents).square().sum().backward()
        gradients.append(model.model.layers[0].self_attn.k_proj.weight.grad.clone())
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-4)


def test_padding_of_the_vocabulary_changes_nothing_and_is_never_saved(tmp_path) -> None:
    batch, documents = ids(2, 16), torch.ones(2, 16, dtype=torch.long)
    losses, saved = [], []
    for multiple in (1, 64):
        model = Transformer(replace(SMALL, tie_word_embeddings=False), multiple)
        assert model.head_weight.shape[0] == (128 if multiple == 64 else 97)
        adamw, muon = build_optimizers(model, 0.05, 8e-3)
        for _ in range(3):
            loss = model.token_losses(model(batch, documents), batch.roll(-1, 1)).mean()
            loss.backward()
            for optimizer in (adamw, muon):
                optimizer.step()
                optimizer.zero_grad()
        losses.append(loss.item())
        save_model(model, tmp_path / str(multiple))
        saved.append(load_model(tmp_path / str(multiple)).state_dict())
        again = Transformer(model.config, multiple)
        again.load_state_dict(model.state_dict())
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert saved[0].keys() == saved[1].keys() and saved[1]["lm_head.weight"].shape == (97, 24)
    assert all(torch.allclose(saved[0][name], saved[1][name], atol=1e-4) for name in saved[0])


LLAMA_31 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}


def test_llama_3_rope_scaling_is_transformers_own() -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    shape = {"hidden_size": 512, "num_attention_heads": 4, "head_dim": 128, "max_position_embeddings": 131_072}
    theirs = LlamaConfig(**shape, rope_parameters={"rope_theta": 500_000.0, **LLAMA_31})
    expected, factor = ROPE_INIT_FUNCTIONS["llama3"](theirs, "cpu")
    plain = 500_000.0 ** (-torch.arange(0, 128, 2).double() / 128)
    scaling = {key: value for key, value in LLAMA_31.items() if key != "rope_type"}
    ours = RopeScaling(**scaling).apply(plain)
    assert factor == 1.0 and torch.allclose(ours.float(), expected, rtol=1e-6, atol=0)
    assert (ours[:28] == plain[:28]).all() and torch.allclose(ours[-20:], plain[-20:] / 8)  # short waves, long waves


def test_nine_thousand_tokens_with_stretched_positions_equal_transformers(tmp_path) -> None:
    from transformers import AutoModelForCausalLM

    scaling = RopeScaling(8.0, 1.0, 4.0, 2_048)
    shape = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = noisy(replace(SMALL, **shape, max_position_embeddings=16_384, qk_norm=False, rope_scaling=scaling))
    save_model(model, tmp_path)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    batch = ids(1, 9_000)
    with torch.no_grad():
        assert (theirs(batch).logits - model.logits(model(batch))).abs().max() < 2e-4


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
        loss = model.token_losses(model(batch), targets).sum() / (targets != IGNORED).sum().clamp(min=1)
        loss.backward()
        results.append((loss.detach(), model.model.embed_tokens.weight.grad.clone()))
    assert torch.allclose(results[0][0], results[1][0], atol=1e-6)
    assert torch.allclose(results[0][1], results[1][1], atol=1e-6)


def test_nothing_to_learn_is_a_loss_of_zero() -> None:
    model, batch = noisy(SMALL), ids(1, 10)
    targets = torch.full_like(batch, IGNORED)
    loss = model.token_losses(model(batch), targets).sum() / (targets != IGNORED).sum().clamp(min=1)
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
        ({"rope_scaling": {"rope_type": "yarn", "factor": 8.0}}, "rope scaling 'yarn'"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "without its low_freq_factor"),
        ({"hidden_size": None}, "no whole number for 'hidden_size'"),
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


def test_a_damaged_config_is_a_sentence(tmp_path) -> None:
    save_model(Transformer(SMALL), tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match="config.json is no JSON"):
        load_model(tmp_path)


def test_a_missing_shard_is_named(tmp_path) -> None:
    save_model(Transformer(SMALL), tmp_path)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": WEIGHTS, "b": "model-00002.safetensors"}}))
    with pytest.raises(UserError, match="holds no model-00002.safetensors"):
        load_model(tmp_path)


def test_weights_that_would_have_to_be_unpickled_are_refused(tmp_path) -> None:
    save_model(Transformer(SMALL), tmp_path)
    (tmp_path / WEIGHTS).rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="pytorch_model.bin is not read: convert it to safetensors"):
        load_model(tmp_path)


def test_another_vocabulary_keeps_the_rows_it_shares_and_starts_new_ones_at_the_mean() -> None:
    model = noisy(replace(SMALL, tie_word_embeddings=False))
    changed = with_vocabulary(model, [0, 1, None, 5])
    assert changed.config.vocab_size == 4
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        old, new = model.state_dict()[name], changed.state_dict()[name]
        assert torch.equal(new[[0, 1, 3]], old[[0, 1, 5]]) and torch.allclose(new[2], old.mean(0))
    assert torch.equal(changed(ids(1, 4) % 2), model(ids(1, 4) % 2))


def test_weights_of_another_shape_are_a_sentence(tmp_path) -> None:
    save_model(Transformer(SMALL), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"vocab_size": 98}))
    with pytest.raises(UserError, match="do not fit config.json, first at 'model.embed_tokens.weight'"):
        load_model(tmp_path)


def test_a_folder_without_a_model_is_a_sentence(tmp_path) -> None:
    with pytest.raises(UserError, match="is not a model folder"):
        load_model(tmp_path)
