"""What Lightning costs: the same module, optimizers and batches under its Trainer and in a bare loop.

`python -m benchmarks.lightning [--blocks 16] [--steps 6] [--compile]`: both train a copy of the default model on random tokens
in one process. After each block of steps under the Trainer, with all our callbacks in place, the bare loop takes as many;
what else the machine does then falls on both alike. On a CPU the clock counts the process's own CPU time. The last line is
JSON: `overhead` is the median over blocks of the Trainer's time over the bare loop's, less 1; aim: at most .03.
"""

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--blocks", type=int, default=16)
    reader.add_argument("--steps", type=int, default=6, help="in a block")
    reader.add_argument("--rows", type=int, default=16)
    reader.add_argument("--compile", action="store_true", help="both, as the pipeline does; takes a minute to start")
    arguments = reader.parse_args()

    import torch
    from lightning.pytorch import Callback

    from crawl2chat.model.network import ModelConfig, Transformer
    from crawl2chat.model.optimizers import build_optimizers
    from crawl2chat.tracking import Tracker
    from crawl2chat.training import fit
    from crawl2chat.training.batches import Batches, Part, Rows, Stream, weighted_loss
    from crawl2chat.training.settings import TrainingParams

    vocabulary, context = 2048, 256
    rng = np.random.default_rng(0)
    stream = Stream(rng.integers(0, vocabulary, 200_000), np.arange(0, 200_000, 200), 0)
    batches = Batches([Part(Rows(stream, context, 0), arguments.rows)])
    model = Transformer(ModelConfig(vocabulary, max_position_embeddings=context))
    bare = copy.deepcopy(model)
    steps = (arguments.blocks + 1) * arguments.steps
    params = TrainingParams(
        batch_rows=arguments.rows, devices=1, checkpoint_every=steps + 1, evaluate_every=steps + 1, decay=0.0
    )
    loss = torch.compile(weighted_loss, dynamic=False) if arguments.compile else weighted_loss
    ratios: list[float] = []

    class Alternate(Callback):
        """After each block of the Trainer's steps, the bare loop's. The first block of both warms up."""

        def on_train_start(self, trainer: Any, module: Any) -> None:
            self.device, self.mixed = module.device, module.mixed
            dtype = torch.bfloat16 if self.mixed else torch.float32
            self.model = bare.to(self.device).train()
            self.optimizers = build_optimizers(self.model, params.muon_lr, params.adamw_lr, dtype=dtype)
            self.clock = time.perf_counter if self.device.type == "cuda" else time.process_time
            self.step, self.began = 0, self.clock()

        def on_train_batch_end(self, trainer: Any, module: Any, *_: Any) -> None:
            if (self.step + arguments.steps) != module.progress.step:
                return
            under_trainer = self.lap()
            for _ in range(arguments.steps):
                batch = {key: value.to(self.device) for key, value in batches(self.step).items()}
                with fit.autocast(self.device, self.mixed):
                    value = loss(self.model, batch)
                value.backward()
                for optimizer in self.optimizers:
                    optimizer.step()
                    optimizer.zero_grad()
                self.step += 1
            alone = self.lap()
            if self.step > arguments.steps:
                ratios.append(under_trainer / alone)
                print(
                    f"steps {self.step:>4}: Trainer {1000 * under_trainer / arguments.steps:.1f} ms a step, "
                    f"bare loop {1000 * alone / arguments.steps:.1f} ms",
                    flush=True,
                )
            self.began = self.clock()

        def lap(self) -> float:
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            now = self.clock()
            taken, self.began = now - self.began, now
            return taken

    fit.quiet_lightning()
    with tempfile.TemporaryDirectory() as folder:
        conductor = fit.Conductor(Path(folder), Tracker(), None, None, arguments.rows * context, 0.0, model)
        trainer = fit.build_trainer(params, conductor, Path(folder), 0)
        trainer.callbacks.append(Alternate())
        module = fit.TrainingModule(model.train(), batches, loss, steps - 1, params)
        with fit.reproducible(trainer.strategy.root_device):
            trainer.fit(module)
    print(json.dumps({"overhead": round(statistics.median(ratios) - 1, 4), "blocks": len(ratios)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
