"""Verifiable RL on a toy skill: what must move it, what must not, and that a killed run ends with the same bytes."""

from uuid import uuid4

import pytest
import torch
from alignment_toys import CPU, KillAt, Killed, contents, make_replay, make_world

from crawl2chat.alignment.grpo import GRPO, GRPOParams, Judged
from crawl2chat.alignment.prompts import PAGE, judge, prompt_ids
from crawl2chat.alignment.rollouts import Rollout
from crawl2chat.errors import UserError
from crawl2chat.model.folder import load_model
from crawl2chat.tasks import read_tasks
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tracking import Tracker
from crawl2chat.training.fabric import start_fabric
from stages.reason import ReasonParams, reason
from stages.settings import tuned

SMALL = {
    "skills": ["addition"],
    "neighbours": ["addition"],
    "prompts": 12,
    "samples": 6,
    "steps": 8,
    "max_new_tokens": 12,
    "learning_rate": 5e-3,
    "replay_conversations": 2,
    "replay_windows": 1,
    "replay_width": 60,
    "replay_weight": 0.02,
    "test": 64,
    "save_every": 3,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("reason"))


def run(world, folder, params=SMALL, tracker=None):
    folder.mkdir(exist_ok=True)
    inputs = {
        "sft": world["policy"],
        "base": world["policy"],
        **{name: world[name] for name in ("tasks", "conversations", "tokens", "index")},
    }
    outs = {"out": folder / "out", "out_curve": folder / "curve.csv"}
    own = {"machine": CPU, "seed": 1, "tracker": tracker or Tracker(), "work": folder / "work"}
    return reason(**inputs, **outs, params=tuned(ReasonParams, **params), **own)


def loop(world, reward, steps=8, **changes):
    """Trains on `reward`; returns the policy before, after, and the curve."""
    tokenizer = Tokenizer.load(world["policy"])
    before, policy = load_model(world["policy"]), load_model(world["policy"])
    tasks = read_tasks(world["tasks"], ["addition"], ["train"])
    kept = {key: value for key, value in SMALL.items() if key in GRPOParams.model_fields}
    params = tuned(GRPOParams, **kept | {"steps": steps, "replay_weight": 0.0, "save_every": 1000} | changes)
    prompts = [prompt_ids(task, tokenizer) for task in tasks]
    replay = make_replay(world, tokenizer, conversations=0, windows=0)

    def judged(i, rollout):
        return Judged(reward(rollout.text(tokenizer)), False, False)

    work = world["policy"].parent / uuid4().hex
    loop = GRPO(
        fabric=start_fabric(CPU),
        tracker=Tracker(),
        work=work,
        policy=policy,
        prompts=prompts,
        tokenizer=tokenizer,
        replay=replay,
        params=params,
        seed=1,
        reward=judged,
    )
    loop.run()
    return before, policy, loop.progress.curve


def is_seven(text):
    return float(text.startswith("7"))


def test_accuracy_rises_and_everything_is_reported(world, tmp_path):
    metrics = run(world, tmp_path / "run")
    assert metrics["sampled_accuracy_after"] > metrics["sampled_accuracy_before"] + 0.15
    assert metrics["accuracy_after_n"] == 64 and 0 <= metrics["accuracy_after_low"] <= metrics["accuracy_after"]
    assert {"format_before", "format_after", "pass_at_8_before", "addition_after"} <= metrics.keys()
    assert metrics["accuracy_gain_low"] > 0 and metrics["accuracy_gain_n"] == 64
    assert metrics["entropy_after"] < metrics["entropy_before"]
    assert {"self_correction_after", "backtracking_after", "recheck_after"} <= metrics.keys()
    passed = [metrics[f"held_out_pass_at_{k}_before"] for k in (1, 2, 4, 8)]
    assert passed == sorted(passed) and passed[0] == pytest.approx(metrics["accuracy_before"], abs=0.15)
    head = (tmp_path / "run" / "curve.csv").read_text().splitlines()[0].split(",")
    assert {"reward", "length", "entropy", "format", "zero_variance", "rollout_difference"} <= set(head)


def test_killed_and_run_again_gives_the_same_bytes(world, tmp_path):
    few = SMALL | {"steps": 5, "save_every": 2, "neighbours": [], "epochs": 2, "minibatches": 2}
    run(world, tmp_path / "whole", few)
    with pytest.raises(Killed):
        run(world, tmp_path / "killed", few, KillAt(3))
    run(world, tmp_path / "killed", few)
    for name in ("out", "curve.csv"):
        assert contents(tmp_path / "whole" / name) == contents(tmp_path / "killed" / name)


def test_a_constant_reward_changes_nothing(world):
    before, after, curve = loop(world, lambda text: 0.7, steps=2)
    assert all(torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))
    assert curve[-1]["zero_variance"] == 1 and curve[-1]["gradient_norm"] == 0


def test_the_opposite_reward_lowers_accuracy(world):
    _, _, curve = loop(world, lambda text: -is_seven(text))
    assert -curve[-1]["reward"] < -curve[0]["reward"] - 0.3


@pytest.mark.parametrize("kl", ["k1", "k2", "k3"])
def test_a_strong_kl_penalty_holds_the_policy_back(world, kl):
    _, _, free = loop(world, is_seven, kl="k3", kl_weight=0.0)
    _, _, held = loop(world, is_seven, kl=kl, kl_weight=2.0)
    assert abs(held[-1]["kl"]) < abs(free[-1]["kl"]) / 2


def test_rollout_and_training_agree_on_log_probabilities(world):
    _, _, curve = loop(world, is_seven, steps=3)
    assert max(row["rollout_difference"] for row in curve) < 1e-4
    assert curve[0]["approx_kl"] == 0 and curve[0]["clipped"] == 0


@pytest.mark.parametrize(
    ("gate", "message"), [({"gate_low": 1.0}, "gate_low is 100%"), ({"gate_high": 0.0}, "gate_high is 0%")]
)
def test_a_start_outside_the_gate_is_refused(world, tmp_path, gate, message):
    if "gate_low" in gate:  # a policy that never says 7 to something that asks for 12345
        world = world | {"tasks": tmp_path / "tasks"}
        world["tasks"].mkdir()
        text = (world["policy"].parent / "tasks" / "tasks.jsonl").read_text()
        (world["tasks"] / "tasks.jsonl").write_text(text.replace('"answer": "7"', '"answer": "12345"'))
    else:
        gate |= {"gate_prompts": 256}
    with pytest.raises(UserError, match=message):
        run(world, tmp_path / "run", SMALL | gate)


def test_a_failing_verifier_is_named(world, tmp_path, monkeypatch):
    def broken(task, text):
        raise KeyError("steps")

    monkeypatch.setattr("crawl2chat.alignment.prompts.verify", broken)
    with pytest.raises(UserError, match=r"the verifier of task 't\d+' failed .*KeyError"):
        run(world, tmp_path / "run")


def test_a_reward_that_is_no_number_stops_the_run(world):
    with pytest.raises(UserError, match="step 0: a reward is not a finite number"):
        loop(world, lambda text: float("nan"))


def test_a_base_model_is_asked_as_a_page_asks_and_answers_end_with_the_turn(world):
    """R1-Zero's template: no conversation, an answer ends where somebody else speaks or the page ends."""
    tokenizer = Tokenizer.load(world["policy"])
    task = read_tasks(world["tasks"], ["addition"], ["train"])[0]
    ids = PAGE.prompt(task, tokenizer)
    assert ids[0] == tokenizer.bos and tokenizer.decode(ids[1:]) == f"Question: {task.prompt} Answer:"

    def finish(text, *more):
        answer = tokenizer.encode(text) + list(more)
        rollout = Rollout(ids, answer, [True] * len(answer), [-1.0] * len(answer), False)
        return PAGE.finish(rollout, tokenizer)

    next_question = finish(" 7. Question: say ab Answer: 8.")
    assert next_question.text(tokenizer) == "7. Question:" and next_question.finished
    assert len(next_question.sampled) == len(next_question.logprobs) == len(next_question.answer)
    assert judge(task, next_question, tokenizer).correct
    assert finish(" 7.", tokenizer.bos).finished
    assert not finish(" 7. And so on").finished


def test_a_base_model_learns_without_a_conversation(world, tmp_path):
    few = SMALL | {"init": "base", "steps": 2, "neighbours": [], "gate_low": 0.0, "gate_high": 1.0}
    without = world | {"conversations": tmp_path / "none"}  # nothing of it is read
    metrics = run(without, tmp_path / "run", few)
    assert metrics["steps"] == 2 and (tmp_path / "run" / "out" / "model.safetensors").is_file()


def test_an_unknown_skill_names_those_there_are(world, tmp_path):
    with pytest.raises(UserError, match="no train task of chess; skills there: addition"):
        run(world, tmp_path / "run", SMALL | {"skills": ["chess"]})
