"""The exported folder opens in transformers, answers the same, and renders conversations as training did."""

import json
from pathlib import Path

import pytest
import torch
from training_toys import SHAPE, make_tokenizer

from crawl2chat.chat.conversation import render, render_prompt
from crawl2chat.chat.search import INDEX_FILE, index_of
from crawl2chat.model.folder import load_model, save_model
from crawl2chat.model.generate import Sampling, generate
from crawl2chat.model.network import ModelConfig, Transformer
from crawl2chat.tokens.tokenizer import Tokenizer
from stages.export import ExportParams, export
from stages.settings import tuned

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 12 * 34?"},
    {"role": "assistant", "content": "", "tool_calls": [{"name": "calculator", "arguments": "12*34"}]},
    {"role": "tool", "content": "408"},
    {"role": "assistant", "content": "It is 408."},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("export")
    tokenizer = make_tokenizer(root / "tokenizer")
    shape = {key: value for key, value in SHAPE.items() if key != "context"}
    model = Transformer(ModelConfig(320, max_position_embeddings=256, **shape))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.15)
    save_model(model, root / "chat", tokenizer)
    numbers = {
        "base": {"recall": 0.5, "recall_n": 200, "recall_low": 0.43, "recall_high": 0.57},
        "chat": {"recall": 0.81, "recall_n": 200, "recall_low": 0.75, "recall_high": 0.86, "tools": 0.9},
    }
    (root / "evaluate.json").write_text(json.dumps(numbers))
    (root / INDEX_FILE).write_bytes(b"an index")
    metrics = export(root / "chat", root / INDEX_FILE, root / "evaluate.json", root / "out", tuned(ExportParams))
    assert metrics["files"] == 8 and metrics["parameters"] > 0
    return root / "out"


@pytest.fixture(scope="module")
def theirs(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def their_tokenizer(folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_logits_equal(folder, theirs) -> None:
    model, ids = (load_model(folder), torch.randint(0, 320, (2, 200), generator=torch.Generator().manual_seed(1)))
    with torch.no_grad():
        assert (theirs(ids).logits - model.logits(model(ids))).abs().max() < 1e-4


def test_greedy_generation_is_identical_for_200_tokens(folder, theirs) -> None:
    prompt = [312, 40, 41, 42]
    (ours,) = generate(load_model(folder), [prompt], Sampling(200, temperature=0), dtype=torch.float32)
    written = theirs.generate(
        torch.tensor([prompt]), max_new_tokens=200, min_new_tokens=200, do_sample=False, eos_token_id=None
    )
    assert written[0, len(prompt) :].tolist() == ours.ids


def test_plain_text_has_the_same_ids(folder, their_tokenizer) -> None:
    ours = Tokenizer.load(folder)
    for text in ("The road from Paris to Rome takes 12 hours.", " 12*34 = 408\n\n", "naïve 日本 🙂"):
        assert their_tokenizer(text, add_special_tokens=False)["input_ids"] == ours.encode(text)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_chat_template_renders_what_training_rendered(folder, their_tokenizer, count: int) -> None:
    ours, asks = Tokenizer.load(folder), TALK[count - 1]["role"] != "assistant"
    expected = render_prompt(TALK[:count], ours) if asks else render(TALK[:count], ours)[0]
    given = their_tokenizer.apply_chat_template(
        TALK[:count], add_generation_prompt=asks, tokenize=True, return_dict=False
    )
    assert given == expected


def test_a_users_spelling_of_a_special_token_can_be_kept_plain(folder, their_tokenizer) -> None:
    ids = their_tokenizer("<|end|>", add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert ids == Tokenizer.load(folder).encode("<|end|>")
    assert "split_special_tokens" in (folder / "README.md").read_text()


def test_generation_stops_at_the_end_of_the_turn(folder, theirs) -> None:
    tokenizer = Tokenizer.load(folder)
    settings = theirs.generation_config
    assert (settings.bos_token_id, settings.eos_token_id, settings.pad_token_id) == (
        tokenizer.bos,
        tokenizer.end,
        tokenizer.pad,
    )
    assert settings.do_sample and settings.temperature == 0.7


def test_the_model_card_shows_the_numbers_with_their_intervals(folder) -> None:
    card = (folder / "README.md").read_text()
    assert "| recall (n = 200) | 0.500 (0.430–0.570) | 0.810 (0.750–0.860) |" in card
    assert card.startswith("---\nlicense: other\n")


def test_the_search_index_goes_with_the_model(folder) -> None:
    assert index_of(folder) == folder / INDEX_FILE and (folder / INDEX_FILE).read_bytes() == b"an index"
    assert f"`{INDEX_FILE}` answers" in (folder / "README.md").read_text()
