"""Kills every stage that trains, again and again, at random moments, and compares what it ends with.

`python -m benchmarks.training_kills [--kills 20] [--seed 0]`: toy inputs; pretrain is killed `--kills` times, sft,
reward, reason and rlhf a quarter as often each. A run gets one SIGKILL at a random moment (some time after a checkpoint
drawn from all of them or the start: in the midst of a step, of the next checkpoint's writing, of an evaluation), is
started again, and must leave the same bytes as a run left alone: weights, config, tokenizer, curve. The last line is
JSON: {"pretrain": {"kills": 20, "identical": true}, …}; exit status 1 if any differs.

Each run is a process of its own, forked from this one once everything is imported: importing takes longer than
training.
"""

import argparse
import hashlib
import importlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import command
from stages.settings import tuned

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/toys"))

# What the stages import only as they run, here before any fork.
HEAVY = """crawl2chat.training.supervised crawl2chat.training.samples crawl2chat.training.validation
crawl2chat.alignment.grpo crawl2chat.alignment.ppo crawl2chat.alignment.prompts crawl2chat.alignment.replay
crawl2chat.alignment.reward_training crawl2chat.alignment.watching crawl2chat.evaluation.statistics
torch._dynamo""".split()
Stage = Callable[[Path], None]  # runs a stage with its outs and work in a folder
RL = {
    "skills": ["addition"],
    "steps": 6,
    "max_new_tokens": 8,
    "replay_conversations": 2,
    "replay_windows": 1,
    "replay_width": 60,
    "test": 8,
    "save_every": 2,
}


def stages(inputs: Path) -> dict[str, Stage]:
    """The five stages on toy inputs, which are made in `inputs`."""
    import torch
    import training_toys
    from alignment_toys import make_world, write

    from crawl2chat.alignment.reward_model import RewardModel, save_reward_model
    from crawl2chat.model.folder import load_model, save_model
    from crawl2chat.model.network import ModelConfig, Transformer
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.tracking import Tracker
    from stages.pretrain import PretrainParams, pretrain
    from stages.reason import ReasonParams, reason
    from stages.reward import RewardParams, reward
    from stages.rlhf import RLHFParams, rlhf
    from stages.sft import SftParams, sft

    for module in HEAVY:
        importlib.import_module(module)
    torch.set_num_threads(1)
    tiny, shape = training_toys.TINY, training_toys.SHAPE
    tokenizer = training_toys.make_tokenizer(inputs / "tokenizer")
    tokens = training_toys.make_tokens(inputs / "tokens", tokenizer)
    conversations = training_toys.make_conversations(inputs / "conversations")
    sizes = {key: value for key, value in shape.items() if key != "context"}
    base = ModelConfig(320, max_position_embeddings=shape["context"], **sizes)
    save_model(Transformer(base), inputs / "base", tokenizer)
    world = make_world(inputs / "world")
    pad = Tokenizer.load(world["policy"]).pad
    for seed, name in ((1, "reward"), (2, "reward_validation")):
        save_reward_model(RewardModel(load_model(world["policy"]), seed), inputs / name, world["policy"], pad)
    preferences = inputs / "preferences"
    preferences.mkdir()
    prompts = [
        {
            "id": f"p{i}",
            "messages": [{"role": "user", "content": f"say {i}"}],
            "candidates": [{"text": f"{d}.", "finished": True} for d in (7, i % 7)],
            "split": ("train", "train", "test")[i % 3],
        }
        for i in range(60)
    ]
    write(preferences / "prompts.jsonl", prompts)
    write(preferences / "rankings.jsonl", [{"prompt_id": p["id"], "order": [0, 1]} for p in prompts])

    def common(folder: Path) -> dict:
        outs = {"out": folder / "out", "out_curve": folder / "curve.csv"}
        return outs | {"machine": training_toys.CPU, "seed": 1, "tracker": Tracker(), "work": folder / "work"}

    rl = {name: world[name] for name in ("tasks", "conversations", "tokens", "index")}
    return {
        "pretrain": lambda folder: pretrain(
            tokens,
            tokenizer,
            training_toys.NOTHING,
            params=tuned(PretrainParams, **tiny, **shape, steps=30),
            **common(folder),
        ),
        "sft": lambda folder: sft(
            inputs / "base", conversations, tokens, params=tuned(SftParams, **tiny, steps=20), **common(folder)
        ),
        "reward": lambda folder: reward(
            world["policy"], preferences, params=tuned(RewardParams, checkpoint_every=3, epochs=3.0), **common(folder)
        ),
        "reason": lambda folder: reason(
            world["policy"],
            world["policy"],
            **rl,
            params=tuned(
                ReasonParams, **RL, prompts=4, samples=4, neighbours=[], gate_prompts=4, gate_low=0.0, gate_high=1.0
            ),
            **common(folder),
        ),
        "rlhf": lambda folder: rlhf(
            world["policy"],
            inputs / "reward",
            inputs / "reward_validation",
            preferences,
            **rl,
            params=tuned(RLHFParams, **RL, episodes=8, kl_horizon=400.0, watched=8, evaluate_every=3),
            **common(folder),
        ),
    }


def newest(folder: Path) -> int:
    """Number of the newest checkpoint's step, 0 without one."""
    while True:
        try:
            return max((int(path.name[5:]) for path in folder.glob("work/**/step-*")), default=0)
        except FileNotFoundError:  # an old one went while we looked
            continue


def attempt(stage: Stage, folder: Path, step: int | None = None, seconds: float = 0.0) -> bool:
    """Runs a stage in a process of its own; killed `seconds` after its checkpoint of `step`? Outs half-written before
    are swept as the runner does."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)

    def child() -> None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        with (folder / "log").open("a") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            try:
                stage(folder)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    while step is not None and process.is_alive() and newest(folder) < step:
        time.sleep(0.01)
    if step is not None:
        process.join(seconds)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise SystemExit(f"a run failed on its own:\n{(folder / 'log').read_text()}")
    return process.exitcode == -signal.SIGKILL


def contents(folder: Path) -> dict[str, str]:
    files = [*sorted((folder / "out").iterdir()), folder / "curve.csv"]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--kills", type=int, default=20, help="of pretrain; a quarter of it of each other stage")
    reader.add_argument("--seed", type=int, default=0)
    arguments = reader.parse_args()
    rng = np.random.default_rng(arguments.seed)
    found = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, stage in stages(folder / "inputs").items():
            wanted = arguments.kills if name == "pretrain" else max(1, arguments.kills // 4)
            began = time.perf_counter()
            attempt(stage, folder / name / "whole")
            length = time.perf_counter() - began
            expected, last = contents(folder / name / "whole"), newest(folder / name / "whole")
            same: list[bool] = []
            while len(same) < wanted:
                run = folder / name / f"killed-{len(same)}"
                step, moment = int(rng.integers(0, last + 1)), float(rng.uniform(0, length / 4))
                if attempt(stage, run, step, moment):
                    kept = newest(run)
                    attempt(stage, run)
                    same.append(contents(run) == expected)
                    outcome = "the same bytes" if same[-1] else "DIFFERENT"
                    print(
                        f"{name}: killed {moment:.2f} s after step {step}, went on from {kept} of {last}: {outcome}",
                        flush=True,
                    )
                shutil.rmtree(run)  # one that was done before its time came does not count
            found[name] = {"kills": len(same), "identical": all(same)}
    print(json.dumps(found))
    return 0 if all(each["identical"] for each in found.values()) else 1


if __name__ == "__main__":
    command(main)
