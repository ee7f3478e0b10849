"""What the processes of test_distributed.py run: `torchrun … distributed_toy.py <folder>`, tokens and tokenizer in it.

One start of two processes trains with every strategy and leaves a checkpoint to go on from: starting is what costs
time.
"""

import json
import logging
import os
import sys
from pathlib import Path

from alignment_toys import make_world
from training_toys import CPU, NOTHING, SHAPE, TINY

from crawl2chat.tracking import Tracker
from crawl2chat.training import batches
from stages.pretrain import PretrainParams, pretrain
from stages.reason import ReasonParams, reason
from stages.rlhf import RLHFParams, rlhf
from stages.settings import tuned

STEPS = 8
# Answers of uneven numbers for two processes, several updates a step, and one window of text, which only one process
# replays.
RL = {
    "skills": ["addition"],
    "steps": 3,
    "max_new_tokens": 12,
    "learning_rate": 1e-3,
    "minibatches": 3,
    "replay_conversations": 5,
    "replay_windows": 1,
    "replay_width": 60,
    "test": 15,
    "save_every": 2,
}


class Stop(Exception):
    """Ends a run in the middle."""


class Rows(Tracker):
    """Keeps what is measured at each step, unrounded."""

    def __init__(self) -> None:
        self.rows: list[dict] = []

    def metrics(self, values, step=None) -> None:
        self.rows.append(values)


def run(folder: Path, name: str, rank: int, stop: int | None = None, checkpoint_every: int = 3, **machine) -> None:
    """A short pretraining in folder/name; every process writes its outs to a place of its own."""
    common = {**TINY, **SHAPE, "steps": STEPS, "log_every": 1, "vocab_multiple": 128}
    params = tuned(PretrainParams, **common | {"checkpoint_every": checkpoint_every})
    original = batches.Batches.__call__

    def until(self, step: int, rank: int = 0, world: int = 1):
        if step == stop:
            raise Stop
        return original(self, step, rank, world)

    batches.Batches.__call__ = until
    place = folder / name
    out = place / f"rank{rank}"
    try:
        inputs = (folder / "tokens", folder / "tokenizer", NOTHING, out, place / f"curve{rank}.csv")
        where = CPU.model_copy(update={"devices": "auto", **machine})
        pretrain(*inputs, params, where, 1, Tracker(), place / "work")
    except Stop:
        pass
    finally:
        batches.Batches.__call__ = original


def world_of(folder: Path) -> dict[str, Path]:
    """The toy world for reinforcement learning with a fresh reward model, made in `folder`."""
    from crawl2chat.alignment.reward_model import RewardModel, save_reward_model
    from crawl2chat.model.folder import load_model
    from crawl2chat.tokens.tokenizer import Tokenizer

    paths = make_world(folder / "world")
    paths["reward"] = folder / "world/reward"
    pad = Tokenizer.load(paths["policy"]).pad
    paths["reward_validation"] = folder / "world/reward_validation"
    for seed, name in ((1, "reward"), (2, "reward_validation")):
        save_reward_model(RewardModel(load_model(paths["policy"]), seed), paths[name], paths["policy"], pad)
    return paths


def reinforce(folder: Path, name: str, rank: int, **machine) -> None:
    """Both kinds of reinforcement learning on folder/world; outs, metrics and what was measured in
    folder/<name>-<stage>."""
    world = {path.name: path for path in (folder / "world").iterdir()}
    common = {key: world[key] for key in ("tasks", "conversations", "tokens")} | {"index": world["search.sqlite"]}
    where = CPU.model_copy(update={"devices": "auto", **machine})

    def start(stage, params, **inputs) -> None:
        place, rows = folder / f"{name}-{stage.__name__}", Rows()
        outs = {"out": place / f"rank{rank}", "out_curve": place / f"curve{rank}.csv"}
        own = {"params": params, "machine": where, "seed": 1, "tracker": rows, "work": place / "work"}
        metrics = stage(**inputs, **common, **outs, **own)
        (place / f"measured{rank}.json").write_text(json.dumps({"rows": rows.rows, "metrics": metrics}))

    of_reason = {"prompts": 5, "samples": 5, "kl": "k3", "neighbours": []}
    of_reason |= {"gate_prompts": 6, "gate_low": 0.0, "gate_high": 1.0}
    start(reason, tuned(ReasonParams, **RL, **of_reason), sft=world["policy"], base=world["policy"])
    of_rlhf = {
        "episodes": 13,
        "kl_horizon": 100.0,
        "watched": 7,
        "evaluate_every": 2,
        "control": True,
        "control_steps": 1,
    }
    inputs = {"policy": world["policy"], "reward": world["reward"], "validation": world["reward_validation"]}
    inputs |= {"preferences": world["pairs"]}
    start(rlhf, tuned(RLHFParams, **RL, **of_rlhf), **inputs)


def main(folder: Path) -> None:
    logging.basicConfig(level=logging.INFO)
    rank = int(os.environ["RANK"])
    run(folder, "ddp", rank, strategy="ddp")
    run(folder, "fsdp2", rank, strategy="fsdp2")
    run(folder, "begun", rank, stop=4, strategy="ddp", checkpoint_every=4)
    run(folder, "grown", rank, strategy="fsdp2")  # from a checkpoint of one process, if the test has left one
    reinforce(folder, "two", rank)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
