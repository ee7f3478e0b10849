"""PPO on a toy: the proxy rises, controls hold, and a killed run ends with the same bytes."""

import csv
import json
import math
from dataclasses import replace

import pytest
import torch
from alignment_toys import CPU, KillAt, Killed, contents, make_replay, make_world, write

from crawl2chat.alignment import policy_loop, ppo
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
    """With two reward models that like the digit 7, fitted to the ten one-digit answers."""
    paths = make_world(tmp_path_factory.mktemp("rlhf"))
    for seed, name in ((1, "reward"), (2, "validation")):
        paths[name] = paths["policy"].parent / name
        fit_reward_model(paths, paths[name], seed)
    paths["preferences"] = paths["policy"].parent / "preferences"
    return paths


def fit_reward_model(paths, folder, seed):
    tokenizer = Tokenizer.load(paths["policy"])
    model = RewardModel(load_model(paths["policy"]), seed=seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    prompt = prompt_ids(read_tasks(paths["tasks"], ["addition"], ["train"])[0], tokenizer)
    answers = [[*tokenizer.encode(f" {digit}."), tokenizer.end] for digit in range(10)]
    wanted = torch.tensor([float(digit == 7) for digit in range(10)])
    ids = torch.tensor([prompt + answer for answer in answers])
    for _ in range(250):
        optimizer.zero_grad()
        (model(ids, torch.full((10,), ids.shape[1] - 1)) - wanted).square().mean().backward()
        optimizer.step()
    save_reward_model(model, folder, paths["policy"], tokenizer.pad)


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
        "gold_over_control_low",
        "greedy_correct_before",
        "greedy_correct_after_n",
        "entropy_after",
        "disagreement_after",
        "stock_phrase_share_after",
    } <= metrics.keys()
    assert metrics["gold_after_n"] == 64 and metrics["gold_control"] < metrics["gold_after"]
    rows = [line.split(",") for line in (tmp_path / "run" / "curve.csv").read_text().splitlines()]
    assert {"held_out_gold", "held_out_proxy", "held_out_validation", "root_kl", "kl_coefficient", "length"} <= set(
        rows[0]
    )
    assert len(rows) == SMALL["steps"] + 2


def test_what_the_reward_model_liked_is_shown_along_the_way(world, tmp_path):
    class Tables(Tracker):
        def __init__(self):
            self.rows = []

        def table(self, name, rows):
            self.rows += [(name, row) for row in rows]

    tracker = Tables()
    run(world, tmp_path / "run", tracker, steps=2, evaluate_every=1, watched=8, test=8)
    liked = [row for name, row in tracker.rows if name == "liked"]
    assert len(liked) == 3 * 5 and {row["root_kl"] for row in liked} > {0.0}
    first = liked[:5]
    assert [row["proxy"] for row in first] == sorted((row["proxy"] for row in first), reverse=True)


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


def rank_digits(world, count=60):
    """Rankings that put 7 first, of prompts of the toy."""
    world["preferences"].mkdir(exist_ok=True)
    tasks = read_tasks(world["tasks"], ["addition"], ["train"])[:count]
    texts = [{"text": text, "finished": True} for text in ("7.", "1.", "2.")]
    prompts = [
        {"id": task.id, "messages": [{"role": "user", "content": task.prompt}], "candidates": texts, "split": "train"}
        for task in tasks
    ]
    rankings = [{"prompt_id": task.id, "order": [0, [1, 2]]} for task in tasks]
    write(world["preferences"] / "prompts.jsonl", prompts)
    write(world["preferences"] / "rankings.jsonl", rankings)


@pytest.mark.parametrize("method", ["grpo", "best_of_n", "dpo"])
def test_every_method_teaches_what_the_rankings_like(world, tmp_path, method):
    rank_digits(world)
    rate = {"learning_rate": 5e-3} if method == "dpo" else {}
    metrics = run(world, tmp_path / "run", method=method, samples=6, steps=10, kl_limit=100.0, **rate)
    assert metrics["correct_gain_low"] > 0.05 and metrics["kept_step"] > 0
    assert math.isfinite(metrics["fit_alpha"])


def test_best_of_n_without_training_is_better_by_gold_the_more_it_chooses_from(world):
    from stages.rlhf import prompt_sets, watcher_of

    params, tokenizer = tuned(RLHFParams, **SMALL), Tokenizer.load(world["policy"])
    _, watched, _ = prompt_sets(world["preferences"], world["tasks"], tokenizer, 64, params, 1)
    start = load_model(world["policy"])
    watcher = watcher_of(start, world["reward"], world["validation"], tokenizer, {}, params, 1)
    path = watcher.best_of_n(watched, 8)
    assert [row["n"] for row in path] == [1, 2, 4, 8] and path[0]["root_kl"] == 0
    assert path[-1]["held_out_gold"] > path[0]["held_out_gold"] + 0.2
    proxies = [row["held_out_proxy"] for row in path]
    assert proxies == sorted(proxies)


def test_dpo_starts_where_the_reference_is(world, tmp_path):
    rank_digits(world)
    run(world, tmp_path / "run", method="dpo", steps=2, watched=8, test=8)
    with (tmp_path / "run" / "curve.csv").open() as file:
        first = next(csv.DictReader(file))
    assert float(first["dpo_loss"]) == pytest.approx(math.log(2), abs=1e-4)
    assert float(first["margin"]) == pytest.approx(0, abs=1e-4)


def test_with_nothing_to_choose_by_grpo_leaves_the_policy_alone(world, tmp_path):
    """A reward model that scores every answer alike."""
    flat = tmp_path / "flat"
    model = RewardModel(load_model(world["policy"]))
    torch.nn.init.zeros_(model.score.weight)
    save_reward_model(model, flat, world["policy"], Tokenizer.load(world["policy"]).pad)
    few = {"steps": 2, "watched": 8, "test": 8, "missing_end_reward": 0.0, "replay_weight": 0.0, "kl_coefficient": 0.0}
    metrics = run(world | {"reward": flat}, tmp_path / "run", method="grpo", **few)
    assert metrics["kl"] == 0 and metrics["proxy_after"] == 0


def test_a_value_head_may_learn_before_the_policy_does(world, tmp_path):
    nothing = lambda policy: {"validation": 0.0, "kl": 0.0}  # noqa: E731
    loop = loop_of(world, tmp_path, likes_seven(world), nothing, steps=3, value_warmup=2, kl_coefficient=0.0)
    for step in range(2):
        loop.step(step)
    assert all(torch.equal(a, b) for a, b in zip(loop.policy.parameters(), loop.reference.parameters(), strict=True))
    assert loop.actor.value.bias.abs().max() > 0
    loop.step(2)
    assert not all(
        torch.equal(a, b) for a, b in zip(loop.policy.parameters(), loop.reference.parameters(), strict=True)
    )


def test_rewards_may_be_measured_by_the_policys_own_answers(world, tmp_path):
    scores = likes_seven(world)
    loop = loop_of(world, tmp_path, lambda rollouts: 100 + 10 * scores(rollouts), normalise_reward=True)
    loop.collect(0)
    assert 100 < loop.progress.reward_mean < 110 and 1 < loop.progress.reward_deviation < 6
    before = loop.progress.reward_mean
    loop.collect(1)
    assert loop.progress.reward_mean == before


def test_a_second_reward_model_from_the_same_rankings_is_refused(world, tmp_path):
    with pytest.raises(UserError, match="learnt from the same rankings"):
        run(world | {"validation": world["reward"]}, tmp_path / "run")


def test_a_tool_that_always_fails_stops_the_run(world, tmp_path, monkeypatch):
    """A policy that calls in every answer would learn from results that say nothing."""
    loop = loop_of(world, tmp_path, likes_seven(world))
    real = policy_loop.sample

    def calling(*args, **kwargs):
        return [replace(one, results=("error: no network",)) for one in real(*args, **kwargs)]

    monkeypatch.setattr(policy_loop, "sample", calling)
    with pytest.raises(UserError, match="step 4: all 48 calls of tools failed, the first with 'error: no network'"):
        loop.collect(4)


def test_a_horizon_that_would_turn_the_coefficient_negative_is_refused():
    with pytest.raises(ValueError, match="kl_horizon"):
        tuned(RLHFParams, episodes=100, kl_horizon=20.0)
