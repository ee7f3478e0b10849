"""A step of GRPO against trl's GRPOTrainer: the same exported model, prompts, numbers of answers and tokens.

    python -m benchmarks.rl [--steps 6] [--rounds 2]

In: a finished run (`dvc repro`); trl, accelerate and datasets beside the project's packages. Both train the exported
model on the problems of `reason` in float32, 24 prompts × 8 answers of at most 80 tokens, one update a step, no KL,
advantages centred, the loss of Dr. GRPO, in turns, on one thread and on two. Out: seconds a step and rewards, and JSON.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import command
from benchmarks.measure import show
from crawl2chat.alignment.grpo import GRPO, GRPOParams
from crawl2chat.alignment.prompts import judge, prompt_ids, spread_evenly
from crawl2chat.alignment.replay import Replay
from crawl2chat.machine import Machine
from crawl2chat.model.folder import load_model
from crawl2chat.tasks import Task, read_tasks, verify
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tracking import Tracker
from crawl2chat.training.fabric import start_fabric
from stages.reason import ReasonParams
from stages.settings import tuned

MODEL = Path("models/export")
Outcome = tuple[float, float]  # seconds a step, the mean reward of the last step


class Timed(GRPO):
    """Notes when each step ends."""

    def step(self, step: int) -> None:
        super().step(step)
        self.ends.append(time.perf_counter())


def ours(tasks: list[Task], params: GRPOParams, seed: int) -> Outcome:
    tokenizer, policy = Tokenizer.load(MODEL), load_model(MODEL)
    replay = Replay(Path(), Path(), tokenizer, params, policy.config.max_position_embeddings, seed)
    with tempfile.TemporaryDirectory() as folder:
        loop = Timed(
            fabric=start_fabric(Machine(accelerator="cpu", devices=1, precision="32-true")),
            tracker=Tracker(),
            work=Path(folder),
            policy=policy,
            prompts=[prompt_ids(task, tokenizer) for task in tasks],
            tokenizer=tokenizer,
            replay=replay,
            params=params,
            seed=seed,
            reward=lambda i, rollout: judge(tasks[i], rollout, tokenizer),
        )
        loop.ends = []
        loop.run()
    return between(loop.ends), float(loop.progress.curve[-1]["reward"])


def theirs(tasks: list[Task], params: GRPOParams, seed: int) -> Outcome:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    by_id = {task.id: task for task in tasks}
    rewards: list[float] = []

    def right(completions: list, task_id: list[str], **rest: Any) -> list[float]:
        texts = [completion[0]["content"].strip() for completion in completions]
        found = [float(verify(by_id[name], text)) for name, text in zip(task_id, texts, strict=True)]
        rewards.append(statistics.fmean(found))
        return found

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.ends: list[float] = []

        def on_step_end(self, *arguments: Any, **rest: Any) -> None:
            self.ends.append(time.perf_counter())

    clock = Clock()
    rows = [{"prompt": [{"role": "user", "content": task.prompt}], "task_id": task.id} for task in tasks]
    with tempfile.TemporaryDirectory() as folder:
        settings = GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=params.prompts * params.samples,
            num_generations=params.samples,
            max_completion_length=params.max_new_tokens,
            temperature=params.temperature,
            learning_rate=params.learning_rate,
            max_steps=params.steps,
            beta=0.0,
            loss_type="dr_grpo",
            scale_rewards="none",
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            save_strategy="no",
            report_to=[],
            logging_strategy="no",
            disable_tqdm=True,
            seed=seed,
        )
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32),
            reward_funcs=right,
            args=settings,
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(MODEL),
            callbacks=[clock],
        )
        trainer.train()
    return between(clock.ends), rewards[-1]


def between(ends: list[float]) -> float:
    """Seconds a step, without the first, in which things are set up."""
    return statistics.median(b - a for a, b in zip(ends, ends[1:], strict=False))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rl", description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    none = {"replay_conversations": 0, "replay_windows": 0, "replay_weight": 0.0}
    params = tuned(ReasonParams, steps=options.steps, save_every=1000, **none)
    tasks = spread_evenly(read_tasks(Path("data/crawl/tasks"), params.skills, ["train"]), 500, options.seed)
    contestants: dict[str, Callable[..., Outcome]] = {"ours": ours, "trl": theirs}
    result: dict[str, Any] = {}
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found: dict[str, list[Outcome]] = {name: [] for name in contestants}
        for turn in range(options.rounds):
            for name in list(contestants)[:: 1 if turn % 2 == 0 else -1]:
                found[name].append(contestants[name](tasks, params, options.seed + turn))
        seconds = {name: statistics.median(each[0] for each in outcomes) for name, outcomes in found.items()}
        print(f"{threads} thread(s): ours {seconds['ours']:.2f} s a step, trl {seconds['trl']:.2f} s", flush=True)
        result[f"ratio_grpo_{threads}_thread{'s' * (threads > 1)}"] = seconds["trl"] / seconds["ours"]
        result |= {f"reward_{name}": statistics.fmean(each[1] for each in outcomes) for name, outcomes in found.items()}
    show(result)


if __name__ == "__main__":
    command(main)
