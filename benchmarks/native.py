"""What each compiled kernel saves: the same work with it and without it, taking turns.

    python -m benchmarks.native [--rounds 5] [--steps 20]

On untrained models of the default run's shape, on all threads: a training step (compiled by torch.compile, with and
without the attention kernel, and as it is without any C++ compiler: no kernel and no torch.compile); the rollouts of a
step of `reason` (24 prompts, 8 answers of 80 tokens each, float32); the answers of `evaluate` (250 prompts, 64 tokens,
greedy); chat (one prompt, 64 tokens), each with and without the decoder. A ratio is the time without the kernel over
the time with it. The last line is JSON.
"""

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import command
from benchmarks.generation import noisy
from benchmarks.measure import Pair, show
from crawl2chat.model.cpu.build import SWITCH
from crawl2chat.model.generate import Sampling, generate
from crawl2chat.model.network import Kernel, Transformer
from crawl2chat.model.optimizers import build_optimizers
from crawl2chat.model.precision import fast_bfloat16
from crawl2chat.model.presets import TUNED, preset

# Tokens of a prompt, documents of a row of training.
PROMPT, DOCUMENTS = 40, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of generation with and without the decoder")
    parser.add_argument("--steps", type=int, default=20, help="of training with and without the attention kernel")
    options = parser.parse_args()
    model = noisy()
    measured = {
        "training_step": measure_training(options.steps, compiled=True),
        "training_step_no_compiler": measure_training(options.steps, compiled=False),
        "reason": measure_decoder(options.rounds, model, 24 * 8, Sampling(80), dtype=torch.float32),
        "evaluate": measure_decoder(options.rounds, model, 250, Sampling(64, temperature=0)),
        "chat": measure_decoder(4 * options.rounds, model, 1, Sampling(64)),
    }
    result: dict[str, Any] = {"benchmark": "native", "threads": torch.get_num_threads()}
    for name, pair in measured.items():
        seconds = [total / pair.rounds for total in pair.seconds]
        result |= {f"{name}_ratio": pair.ratio, f"{name}_seconds": seconds[0], f"{name}_seconds_without": seconds[1]}
        print(f"{name}: {seconds[0]:.4f} s with the kernel, {seconds[1]:.4f} s without, {pair.ratio:.2f} times")
    show(result)


def measure_training(steps: int, compiled: bool) -> Pair:
    """Steps with kernel and torch.compile against steps without the kernel and, if not `compiled`, without both."""
    with_kernel, without = training_step("compiled", True), training_step("sdpa", compiled)
    for _ in range(3):
        with_kernel()
        without()
    pair = Pair(time.perf_counter)
    for _ in range(steps):
        pair.run(with_kernel, without)
    return pair


def training_step(kernel: Kernel, compiled: bool) -> Callable[[], None]:
    """A function that takes one step of pretraining: forward, backward, Muon and AdamW."""
    config, tuned = preset("tiny"), TUNED["tiny"]
    model = Transformer(config, 64)
    model.kernel = kernel
    half = fast_bfloat16(torch.device("cpu"))
    optimizers = build_optimizers(
        model, tuned["muon_lr"], tuned["adamw_lr"], dtype=torch.bfloat16 if half else torch.float32
    )
    generator = torch.Generator().manual_seed(0)
    shape = tuned["batch_rows"], config.max_position_embeddings
    ids = torch.randint(config.vocab_size, shape, generator=generator)
    documents = torch.randint(DOCUMENTS, shape, generator=generator).sort(1).values

    @torch.compile(dynamic=False, disable=not compiled)
    def loss(model: Transformer) -> torch.Tensor:
        return model.token_losses(model(ids, documents), ids.roll(-1, 1)).mean()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            value = loss(model)
        value.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return step


def measure_decoder(rounds: int, model: Transformer, prompts: int, sampling: Sampling, **settings: Any) -> Pair:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(model.config.vocab_size, (prompts, PROMPT), generator=generator).tolist()

    def run(without: str) -> None:
        os.environ[SWITCH] = without
        generate(model, ids, sampling, **settings)
        del os.environ[SWITCH]

    pair = Pair(time.perf_counter)
    run("")
    for _ in range(rounds):
        pair.run(lambda: run(""), lambda: run("decode"))
    return pair


if __name__ == "__main__":
    command(main)
