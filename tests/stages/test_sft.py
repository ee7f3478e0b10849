"""Fine-tuning trains on the assistant's words alone, keeps conversations apart, and forgets little."""

import csv
import hashlib
import json
from pathlib import Path

import pytest
import torch
from training_toys import CPU, SHAPE, TINY, conversation, make_conversations, make_tokenizer, make_tokens

from crawl2chat.errors import UserError
from crawl2chat.model.folder import load_model, save_model
from crawl2chat.model.network import ModelConfig, Transformer
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tracking import Tracker
from stages.settings import tuned
from stages.sft import SftParams, sft


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sft")
    tokenizer = make_tokenizer(folder / "tokenizer")
    shape = {key: value for key, value in SHAPE.items() if key != "context"}
    model = Transformer(ModelConfig(320, max_position_embeddings=SHAPE["context"], **shape))
    save_model(model, folder / "base", tokenizer)
    return {
        "base": folder / "base",
        "conversations": make_conversations(folder / "conversations"),
        "tokens": make_tokens(folder / "tokens", tokenizer),
    }


def run(inputs: dict[str, Path], folder: Path, **changes) -> dict:
    params = tuned(SftParams, **{**TINY, "steps": 6, "replay": 1.0, **changes})
    return sft(
        **inputs,
        out=folder / "out",
        out_curve=folder / "curve.csv",
        params=params,
        machine=CPU,
        seed=1,
        tracker=Tracker(),
        work=folder / "work",
    )


def digest(folder: Path) -> str:
    return hashlib.sha256((folder / "out/model.safetensors").read_bytes()).hexdigest()


def test_metrics_and_outs(inputs, tmp_path) -> None:
    metrics = run(inputs, tmp_path)
    assert metrics["conversations"] == 40 and metrics["too_long"] == 0
    # Each answer is a space with "Yes." or "No." and the end of the turn.
    tokenizer = Tokenizer.load(inputs["base"])
    lines = (inputs["conversations"] / "train.jsonl").read_text().splitlines()
    answers = [json.loads(line)["messages"][1]["content"] for line in lines]
    assert metrics["supervised_tokens"] == sum(len(tokenizer.encode(" " + text)) + 1 for text in answers)
    assert (metrics["conversation_rows_per_step"], metrics["replayed_rows_per_step"]) == (2, 2)
    assert metrics["val_loss"] > 0 and metrics["text_bpb"] > 0
    assert list(csv.DictReader((tmp_path / "curve.csv").open()))[-1]["val_loss"]


def test_it_learns_to_answer_and_to_end_its_turn(inputs, tmp_path) -> None:
    from crawl2chat.chat.conversation import render_prompt
    from crawl2chat.model.generate import Sampling, generate

    metrics = run(inputs, tmp_path, steps=150, evaluate_every=150, replay=0.0, adamw_lr=1e-2)
    assert metrics["val_loss"] < 0.5  # yes or no is a coin, the rest is sure
    tokenizer, model = Tokenizer.load(tmp_path / "out"), load_model(tmp_path / "out")
    prompt = render_prompt([{"role": "user", "content": "Is 7 odd?"}], tokenizer)
    (answer,) = generate(model, [prompt], Sampling(8, {tokenizer.end}, temperature=0))
    assert answer.finished and tokenizer.decode(answer.ids) in (" Yes.", " No.")


def test_the_same_run_resumed_gives_the_same_bytes(inputs, tmp_path, monkeypatch) -> None:
    from crawl2chat.training import batches

    run(inputs, tmp_path / "whole")
    given = batches.Batches.__call__

    def stop_at_four(self, step, rank=0, world=1):
        if step == 4:
            raise RuntimeError("stopped")
        return given(self, step, rank, world)

    monkeypatch.setattr(batches.Batches, "__call__", stop_at_four)
    with pytest.raises(RuntimeError, match="stopped"):
        run(inputs, tmp_path / "parts")
    monkeypatch.undo()
    run(inputs, tmp_path / "parts")
    assert digest(tmp_path / "whole") == digest(tmp_path / "parts")


def test_special_tokens_start_from_plain_ones_and_the_end_not_like_the_beginning(inputs) -> None:
    from crawl2chat.training.conversations import start_special_tokens

    tokenizer, model = Tokenizer.load(inputs["base"]), load_model(inputs["base"])
    before = model.model.embed_tokens.weight.detach().clone()
    start_special_tokens(model, tokenizer)
    after = model.model.embed_tokens.weight
    assert torch.equal(after[tokenizer.assistant], before[tokenizer.encode(":")[0]])
    assert torch.equal(after[tokenizer.end], before[tokenizer.encode("\n")[0]])
    assert torch.equal(after[tokenizer.bos], before[tokenizer.bos])
    plain = tokenizer.vocab_size - 8
    assert torch.equal(after[:plain], before[:plain])


def test_only_the_assistants_words_have_weight(inputs) -> None:
    from crawl2chat.training.batches import Batches, Part, Rows
    from crawl2chat.training.conversations import read_conversations

    tokenizer = Tokenizer.load(inputs["base"])
    train = read_conversations(inputs["conversations"] / "train.jsonl", tokenizer, 48)
    batch = Batches([Part(Rows(train.stream, 48, 0), 4)])(0)
    trained = batch["targets"][batch["weights"] > 0]
    text = tokenizer.decode(trained.tolist(), specials=True)
    assert set(text.replace("<|end|>", "|").split("|")) <= {" Yes.", " No.", ""}
    assert batch["weights"].sum().item() == pytest.approx(1.0)
    # A row holds several conversations; each begins anew and is numbered.
    assert batch["documents"].max() > 1
    begins = batch["ids"] == tokenizer.bos
    assert torch.equal(begins.sum(1), batch["documents"].max(1).values)


def test_conversations_longer_than_the_context_are_counted_and_left_out(inputs, tmp_path) -> None:
    folder = tmp_path / "conversations"
    make_conversations(folder)
    with (folder / "train.jsonl").open("a") as file:
        file.write(json.dumps(conversation("Why? " * 60, "Because.")) + "\n")
    metrics = run({**inputs, "conversations": folder}, tmp_path)
    assert metrics["too_long"] == 1 and metrics["conversations"] == 40


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", ":41 is not JSON"),
        ('{"id": "a"}', ":41 is not a conversation"),
        ('{"messages": [{"role": "robot", "content": "x"}]}', "role 'robot'"),
    ],
)
def test_a_broken_line_is_named(inputs, tmp_path, line: str, message: str) -> None:
    folder = tmp_path / "conversations"
    make_conversations(folder)
    with (folder / "train.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=message):
        run({**inputs, "conversations": folder}, tmp_path)


def test_no_conversations_are_refused(inputs, tmp_path) -> None:
    folder = tmp_path / "conversations"
    make_conversations(folder)
    (folder / "val.jsonl").write_text("")
    with pytest.raises(UserError, match="holds no conversation of at most 48 tokens"):
        run({**inputs, "conversations": folder}, tmp_path)


def test_a_tokenizer_that_is_not_the_models_is_refused(inputs, tmp_path) -> None:
    shape = {key: value for key, value in SHAPE.items() if key != "context"}
    model = Transformer(ModelConfig(300, max_position_embeddings=48, **shape))
    save_model(model, tmp_path / "base", inputs["base"])
    with pytest.raises(UserError, match="tokenizer has 320 ids and the model 300"):
        run({**inputs, "base": tmp_path / "base"}, tmp_path)
