"""The reward model: learns an order, learns nothing from shuffled orders, opens in transformers."""

import json
from pathlib import Path

import pytest
import torch
from alignment_toys import CPU, contents, make_world, write

from crawl2chat.alignment.preferences import purpose
from crawl2chat.alignment.reward_model import load_reward_model
from crawl2chat.alignment.reward_training import make_batch, ranking_loss, tokenise
from crawl2chat.errors import UserError
from crawl2chat.model.folder import load_model
from crawl2chat.tinyweb.gold import style
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tracking import Tracker
from stages.reward import RewardParams, reward
from stages.settings import tuned

OUTS = ("out", "validation")
SMALL = {"epochs": 5, "adamw_lr": 3e-3, "checkpoint_every": 4}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("reward"))


def make_preferences(folder: Path, order) -> Path:
    """240 prompts with candidates "<digit>. <filler>": gold is 1 for the digit 7; `order` ranks gold scores."""
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    prompts, rankings = [], []
    for i in range(240):
        digits = [7 if torch.rand(1, generator=generator) < 0.4 else d for d in (1, 2, 3)]
        texts = [f"{d}{'. Yes' * int(torch.randint(3, (1,), generator=generator))}." for d in digits]
        gold = [float(d == 7) for d in digits]
        candidates = [{"text": t, "finished": True, "gold": g} for t, g in zip(texts, gold, strict=True)]
        messages = [{"role": "user", "content": f"say {i}"}]
        split = "test" if i % 3 == 0 else "train"
        prompts.append({"id": f"p{i}", "messages": messages, "candidates": candidates, "split": split})
        rankings.append({"prompt_id": f"p{i}", "order": order(gold, generator), "labeler": "toy"})
    write(folder / "prompts.jsonl", prompts)
    write(folder / "rankings.jsonl", rankings)
    return folder


def by_gold(gold, generator):
    return sorted(range(len(gold)), key=lambda i: -gold[i])


def shuffled(gold, generator):
    return torch.randperm(len(gold), generator=generator).tolist()


def run(world, folder, preferences, **changes):
    folder.mkdir(exist_ok=True)
    return reward(
        world["policy"],
        preferences,
        folder / "out",
        folder / "validation",
        folder / "curve.csv",
        tuned(RewardParams, **SMALL | changes),
        CPU,
        1,
        Tracker(),
        folder / "work",
    )


@pytest.mark.parametrize("loss", ["bradley_terry", "plackett_luce"])
def test_an_order_is_learnt_and_reported(world, tmp_path, loss):
    metrics = run(world, tmp_path / "run", make_preferences(tmp_path / "p", by_gold), loss=loss)
    assert metrics["pair_accuracy_low"] > 0.9 > metrics["length_baseline_accuracy"]
    assert metrics["pair_accuracy_n"] > 30 and metrics["kendall_tau"] > 0.6
    assert {"ece", "length_correlation", "noisy_pair_accuracy"} <= metrics.keys()
    assert metrics["models_agree"] > 0.8 and metrics["models_agree_n"] > 30
    known_from = [json.loads((tmp_path / "run" / name / "config.json").read_text())["rankings"] for name in OUTS]
    assert known_from[0] != known_from[1]
    model, tokenizer = load_reward_model(tmp_path / "run" / "out"), Tokenizer.load(world["policy"])
    prompts = [json.loads(line) for line in (tmp_path / "p" / "prompts.jsonl").read_text().splitlines()]
    records = {p["id"]: p for p in prompts if purpose(p) == "proxy"}
    examples = tokenise(records, [{"prompt_id": key, "order": []} for key in records], tokenizer, 64, style)
    scores = model.rewards([s for example in examples for s in example.sequences], tokenizer.pad)
    assert float(scores.mean()) == pytest.approx(0, abs=1e-4) and float(scores.std()) == pytest.approx(1, abs=1e-4)


def test_shuffled_rankings_teach_nothing(world, tmp_path):
    metrics = run(world, tmp_path / "run", make_preferences(tmp_path / "p", shuffled), epochs=1)
    assert metrics["noisy_pair_accuracy_low"] < 0.5 < metrics["noisy_pair_accuracy_high"]


def test_same_bytes_twice(world, tmp_path):
    preferences = make_preferences(tmp_path / "p", by_gold)
    for name in "ab":
        run(world, tmp_path / name, preferences, epochs=1)
    assert contents(tmp_path / "a" / "out") == contents(tmp_path / "b" / "out")


def test_splitting_the_batch_leaves_the_gradient_unchanged(world, tmp_path):
    """Devices see every world-th ranking and average their gradients."""
    from crawl2chat.alignment.preferences import read_prompts, read_rankings
    from crawl2chat.alignment.reward_model import RewardModel
    from crawl2chat.alignment.reward_training import Epochs

    folder = make_preferences(tmp_path / "p", by_gold)
    prompts = read_prompts(folder / "prompts.jsonl")
    tokenizer = Tokenizer.load(world["policy"])
    examples = tokenise(prompts, read_rankings(folder / "rankings.jsonl", prompts), tokenizer, 64, style)
    model = RewardModel(load_model(world["policy"])).double()
    epochs = Epochs(examples, 7, tokenizer.pad, 0)

    def gradient(*batches):
        model.zero_grad()
        for batch in batches:
            batch["weights"] = batch["weights"].double()
            (ranking_loss(model, batch, "bradley_terry", 0.01) / len(batches)).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    whole, parts = gradient(epochs(0)), gradient(*(epochs(0, rank, 3) for rank in range(3)))
    assert torch.allclose(whole, parts, rtol=1e-4, atol=1e-8)


def test_padding_never_changes_a_score(world):
    tokenizer = Tokenizer.load(world["policy"])
    from crawl2chat.alignment.reward_model import RewardModel

    model = RewardModel(load_model(world["policy"]))
    prompt = {"messages": [{"role": "user", "content": "say"}], "candidates": [{"text": t} for t in ("7.", "7" * 30)]}
    (example,) = tokenise({"p": prompt}, [{"prompt_id": "p", "order": [0, 1]}], tokenizer, 64, style)
    batch = make_batch([example], tokenizer.pad)
    alone = [len(p + a) for p, a in example.sequences]
    together = model(batch["ids"], batch["last"])
    for i, length in enumerate(alone):
        single = model(batch["ids"][i : i + 1, :length], torch.tensor([length - 1]))
        assert single.item() == pytest.approx(together[i].item(), abs=1e-5)


def test_long_answers_keep_within_the_context(world):
    tokenizer = Tokenizer.load(world["policy"])
    messages = [{"role": "user", "content": "why " * 50}]
    prompt = {"messages": messages, "candidates": [{"text": "a"}, {"text": "b" * 200}]}
    (example,) = tokenise({"p": prompt}, [{"prompt_id": "p", "order": [0, 1]}], tokenizer, 64, style)
    assert [len(p) + len(a) for p, a in example.sequences] == [64, 64]
    assert example.sequences[0][1] == [*tokenizer.encode(" a"), tokenizer.end]


@pytest.mark.slow
def test_opens_in_transformers_with_the_same_scores(world, tmp_path):
    transformers = pytest.importorskip("transformers")
    run(world, tmp_path / "run", make_preferences(tmp_path / "p", by_gold), epochs=1)
    model = load_reward_model(tmp_path / "run" / "out")
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "out")
    ids = torch.randint(0, 250, (2, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model(ids, torch.tensor([19, 19]))
        assert torch.allclose(theirs(ids).logits.squeeze(-1), expected, atol=1e-4)


def test_rankings_on_one_side_only_are_an_error(world, tmp_path):
    folder = make_preferences(tmp_path / "p", by_gold)
    text = (folder / "prompts.jsonl").read_text().replace('"split": "test"', '"split": "train"')
    (folder / "prompts.jsonl").write_text(text)
    with pytest.raises(UserError, match="to stop by and 0 to test on"):
        run(world, tmp_path / "run", folder)
