"""What the shared loop costs on Lightning Fabric: the same model, optimizers and batches in it and in a bare loop.

`python -m benchmarks.lightning [--blocks 16] [--steps 6] [--compile]`: both train a copy of the default model on random
tokens in one process. After each block of steps in our loop, with all it does between steps, the bare loop takes as
many; what else the machine does then falls on both alike. On a CPU the clock counts the process's own CPU time. The
last line is JSON: `overhead` is the median over blocks of our loop's time over the bare loop's, less 1; aim: at most
.03.
"""

import argparse
import copy
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import command
from stages.settings import tuned


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--blocks", type=int, default=16)
    reader.add_argument("--steps", type=int, default=6, help="in a block")
    reader.add_argument("--rows", type=int, default=16)
    reader.add_argument("--compile", action="store_true", help="both, as the pipeline does; takes a minute to start")
    arguments = reader.parse_args()

    import torch

    from crawl2chat.machine import Machine
    from crawl2chat.model.network import ModelConfig, Transformer
    from crawl2chat.model.optimizers import build_optimizers
    from crawl2chat.tracking import Tracker
    from crawl2chat.training.batches import Batches, Part, Rows, Stream, weighted_loss
    from crawl2chat.training.compiled import reproducible
    from crawl2chat.training.fabric import is_mixed, start_fabric
    from crawl2chat.training.settings import TrainingParams
    from crawl2chat.training.supervised import Objective, Supervised

    vocabulary, context = 2048, 256
    rng = np.random.default_rng(0)
    stream = Stream(rng.integers(0, vocabulary, 200_000), np.arange(0, 200_000, 200), 0)
    batches = Batches([Part(Rows(stream, context, 0), arguments.rows)])
    model = Transformer(ModelConfig(vocabulary, max_position_embeddings=context))
    fabric = start_fabric(Machine(devices=1))
    bare = copy.deepcopy(model).to(fabric.device).train()
    bare_optimizers = build_optimizers(
        bare,
        tuned(TrainingParams).muon_lr,
        tuned(TrainingParams).adamw_lr,
        dtype=torch.bfloat16 if is_mixed(fabric) else torch.float32,
    )
    steps = (arguments.blocks + 1) * arguments.steps
    params = tuned(
        TrainingParams, batch_rows=arguments.rows, checkpoint_every=steps + 1, evaluate_every=steps + 1, decay=0.0
    )
    loss = torch.compile(weighted_loss, dynamic=False) if arguments.compile else weighted_loss
    clock = time.perf_counter if fabric.device.type == "cuda" else time.process_time
    ratios: list[float] = []

    class Alternating(Supervised):
        """After each block of our steps, the bare loop's. The first block of both warms up."""

        def look(self) -> None:
            if not self.progress.step:
                self.lap()
            elif self.progress.step % arguments.steps == 0:
                ours = self.lap()
                for step in range(self.progress.step - arguments.steps, self.progress.step):
                    self.bare_step(step)
                alone = self.lap()
                if self.progress.step > arguments.steps:
                    ratios.append(ours / alone)
                    print(
                        f"steps {self.progress.step:>4}: our loop {1000 * ours / arguments.steps:.1f} ms a step, "
                        f"bare loop {1000 * alone / arguments.steps:.1f} ms",
                        flush=True,
                    )
                self.lap()

        def bare_step(self, step: int) -> None:
            batch = {key: value.to(fabric.device) for key, value in batches(step).items()}
            with fabric.autocast():
                value = loss(bare, batch)
            value.backward()
            for optimizer in bare_optimizers:
                optimizer.step()
                optimizer.zero_grad()

        def lap(self) -> float:
            if fabric.device.type == "cuda":
                torch.cuda.synchronize()
            now = clock()
            taken, self.began = now - getattr(self, "began", now), now
            return taken

    with tempfile.TemporaryDirectory() as folder:
        objective = fabric.setup_module(Objective(model.train(), loss, is_mixed(fabric), False))
        loop = Alternating(
            fabric=fabric,
            tracker=Tracker(),
            work=Path(folder),
            objective=objective,
            whole=model,
            batches=batches,
            steps=steps + 1,
            params=params,
        )
        with reproducible(fabric.device):
            loop.run()
    print(json.dumps({"overhead": round(statistics.median(ratios) - 1, 4), "blocks": len(ratios)}))
    return 0


if __name__ == "__main__":
    command(main)
