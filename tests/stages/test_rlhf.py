"""PPO on a toy: the proxy rises, controls hold, and a killed run ends with the same bytes."""

import json

import pytest
import torch
from alignment_toys import CPU, KillAt, Killed, contents, make_replay, make_world

from crawl2chat.alignment import ppo
from crawl2chat.alignment.prompts import prompt_ids
from crawl2chat.alignment.reward_model import RewardModel, save_reward_model
from crawl2chat.errors import UserError
from crawl2chat.model.folder import load_model
from crawl2chat.tasks import read_tasks
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tracking import Tracker
from crawl2chat.training.fabric import start_fabric
from stages.rlhf import RLHFParams, rlhf
from stages.settings import tuned

SMALL = {
    "skills": ["addition"],
    "episodes": 48,
    "steps": 8,
    "epochs": 2,
    "max_new_tokens": 12,
    "learning_rate": 2e-3,
    "kl_coefficient": 0.02,
    "kl_horizon": 400.0,
    "replay_conversations": 2,
    "replay_windows": 1,
    "replay_width": 60,
    "replay_weight": 0.02,
    "watched": 32,
    "test": 64,
    "evaluate_every": 4,
    "save_every": 3,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """With a reward model that likes the digit 7, fitted to the ten one-digit answers."""
    paths = make_world(tmp_path_factory.mktemp("rlhf"))
    tokenizer = Tokenizer.load(paths["policy"])
    model = RewardModel(load_model(paths["policy"]), seed=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    prompt = prompt_ids(read_tasks(paths["tasks"], ["addition"], ["train"])[0], tokenizer)
    answers = [[*tokenizer.encode(f" {digit}."), tokenizer.end] for digit in range(10)]
    wanted = torch.tensor([float(digit == 7) for digit in range(10)])
    ids = torch.tensor([prompt + answer for answer in answers])
    for _ in range(250):
        optimizer.zero_grad()
        (model(ids, torch.full((10,), ids.shape[1] - 1)) - wanted).square().mean().backward()
        optimizer.step()
    paths["reward"] = paths["policy"].parent / "reward"
    save_reward_model(model, paths["reward"], paths["policy"], tokenizer.pad)
    paths["validation"] = paths["reward"]
    paths["preferences"] = paths["policy"].parent / "preferences"
    return paths


def run(world, folder, tracker=None, **changes):
    folder.mkdir(exist_ok=True)
    names = ("policy", "reward", "validation", "preferences", "tasks", "conversations", "tokens", "index")
    return rlhf(
        **{name: world[name] for name in names},
        out=folder / "out",
        out_curve=folder / "curve.csv",
        params=tuned(RLHFParams, **SMALL | changes),
        machine=CPU,
        seed=1,
        tracker=tracker or Tracker(),
        work=folder / "work",
    )


def loop_of(world, folder, scores, evaluate=None, **changes):
    """PPO before its first step, with a KL coefficient of 0.1 unless it is changed, and without replay."""
    tokenizer = Tokenizer.load(world["policy"])
    settings = SMALL | {"kl_coefficient": 0.1} | changes
    return ppo.PPO(
        fabric=start_fabric(CPU),
        tracker=Tracker(),
        work=folder,
        policy=load_model(world["policy"]),
        prompts=[prompt_ids(task, tokenizer) for task in read_tasks(world["tasks"], ["addition"], ["train"])],
        tokenizer=tokenizer,
        replay=make_replay(world, tokenizer, conversations=0, windows=0),
        params=tuned(ppo.PPOParams, **{k: v for k, v in settings.items() if k in ppo.PPOParams.model_fields}),
        seed=1,
        scores=scores,
        evaluate=evaluate,
    )


def likes_seven(world, sign=1.0):
    tokenizer = Tokenizer.load(world["policy"])
    return lambda rollouts: torch.tensor([sign * float(r.text(tokenizer).startswith("7")) for r in rollouts])


def test_proxy_and_gold_rise_and_everything_is_reported(world, tmp_path):
    metrics = run(world, tmp_path / "run", control=True, control_steps=2)
    assert metrics["proxy_after"] > metrics["proxy_before"] + 0.15
    assert metrics["gold_after"] > metrics["gold_before"]
    assert {
        "kl",
        "gold_std_before",
        "gold_gain_in_std",
        "correct_after",
        "length_after",
        "gold_control",
    } <= metrics.keys()
    assert metrics["gold_after_n"] == 64 and metrics["gold_control"] < metrics["gold_after"]
    rows = [line.split(",") for line in (tmp_path / "run" / "curve.csv").read_text().splitlines()]
    assert {"held_out_gold", "held_out_proxy", "held_out_validation", "root_kl", "kl_coefficient", "length"} <= set(
        rows[0]
    )
    assert len(rows) == SMALL["steps"] + 2


def test_killed_and_run_again_gives_the_same_bytes(world, tmp_path):
    few = {"steps": 6, "save_every": 2, "evaluate_every": 3, "watched": 8, "test": 8}
    whole = run(world, tmp_path / "whole", **few)
    with pytest.raises(Killed):
        run(world, tmp_path / "killed", KillAt(4), **few)
    assert whole == run(world, tmp_path / "killed", **few)
    for name in ("out", "curve.csv"):
        assert contents(tmp_path / "whole" / name) == contents(tmp_path / "killed" / name)


def test_the_kl_limit_decides_what_is_kept(world, tmp_path):
    metrics = run(world, tmp_path / "run", kl_limit=1e-9, steps=4, watched=8, test=8)
    assert metrics["kept_step"] == 0 and metrics["kl"] == 0
    assert contents(tmp_path / "run" / "out")["model.safetensors"] == contents(world["policy"])["model.safetensors"]


def test_the_first_minibatch_has_ratio_one(world, tmp_path):
    loop = loop_of(world, tmp_path, likes_seven(world), minibatches=1, epochs=1)
    experience, found = loop.collect(0)
    assert found["kl"] == pytest.approx(0, abs=1e-4) and found["rollout_difference"] < 1e-4
    assert loop.progress.coefficient == pytest.approx(0.1 * (1 - 0.2 * 48 / 400))
    statistics = loop.gradient(experience, list(range(48)))
    assert statistics["approx_kl"] < 1e-9 and statistics["clipped"] == 0


def test_the_value_head_starts_at_zero_and_padding_carries_nothing(world, tmp_path):
    experience, _ = loop_of(world, tmp_path, likes_seven(world)).collect(0)
    assert experience.values.abs().max() == 0
    for table in (experience.logprobs, experience.advantages, experience.returns):
        assert table[~experience.mask].abs().max() == 0


def test_an_answer_without_end_earns_the_penalty(world, tmp_path):
    ones = lambda rollouts: torch.ones(len(rollouts))  # noqa: E731
    loop = loop_of(world, tmp_path, ones, max_new_tokens=1, missing_end_reward=-5.0, kl_coefficient=0.0)
    experience, found = loop.collect(0)
    assert found["finished"] == 0 and found["proxy"] == 1
    assert experience.returns[experience.mask].unique().tolist() == pytest.approx([-5.0])


def test_a_zero_reward_without_kl_gives_no_gradient(world, tmp_path):
    zeros = lambda rollouts: torch.zeros(len(rollouts))  # noqa: E731
    loop = loop_of(world, tmp_path, zeros, missing_end_reward=0.0, kl_coefficient=0.0)
    experience, _ = loop.collect(0)
    loop.gradient(experience, list(range(48)))
    assert max(float(p.grad.abs().max()) for p in loop.actor.parameters() if p.grad is not None) == 0


def test_the_opposite_reward_lowers_the_score(world, tmp_path):
    nothing = lambda policy: {"validation": 0.0, "kl": 0.0}  # noqa: E731
    loop = loop_of(world, tmp_path, likes_seven(world, -1.0), nothing, replay_weight=0.0, kl_coefficient=0.02)
    loop.run()
    curve = loop.progress.curve
    assert -curve[-2]["proxy"] < -curve[0]["proxy"] - 0.2


def test_minibatches_cut_in_parts_give_the_same_gradient(world, tmp_path, monkeypatch):
    loop = loop_of(world, tmp_path, likes_seven(world))
    experience, _ = loop.collect(0)

    def gradient():
        loop.actor.zero_grad()
        loop.gradient(experience, list(range(48)))
        return torch.cat([p.grad.flatten() for p in loop.actor.parameters()])

    whole = gradient()
    monkeypatch.setattr("crawl2chat.alignment.rollouts.TOKENS_AT_ONCE", 100)
    assert torch.allclose(whole, gradient(), atol=1e-6)


def test_a_reward_that_is_no_number_stops_the_run(world, tmp_path):
    loop = loop_of(world, tmp_path, lambda rollouts: torch.full((len(rollouts),), float("nan")))
    with pytest.raises(UserError, match="step 3: the reward is nan"):
        loop.collect(3)


def test_different_tokenizers_are_refused(world, tmp_path):
    text = (world["reward"] / "tokenizer.json").read_text()
    (world["reward"] / "tokenizer.json").write_text(text + " ")
    try:
        with pytest.raises(UserError, match="have different tokenizers"):
            run(world, tmp_path / "run")
    finally:
        (world["reward"] / "tokenizer.json").write_text(text)


def test_prompts_without_tasks_have_no_gold(world, tmp_path):
    world["preferences"].mkdir(exist_ok=True)
    rows = [
        {
            "id": str(i),
            "messages": [{"role": "user", "content": f"hi {i}"}],
            "task": None,
            "candidates": [{"text": "a"}, {"text": "b"}],
            "split": ("train", "test")[i % 2],
        }
        for i in range(40)
    ]
    (world["preferences"] / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    metrics = run(world, tmp_path / "run", prompts="preferences", steps=2)
    assert metrics["gold_before"] is None and metrics["proxy_after"] is not None


def test_a_horizon_that_would_turn_the_coefficient_negative_is_refused():
    with pytest.raises(ValueError, match="kl_horizon"):
        tuned(RLHFParams, episodes=100, kl_horizon=20.0)
