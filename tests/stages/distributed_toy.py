"""What the processes of test_distributed.py run: `torchrun … distributed_toy.py <folder>`, tokens and tokenizer in it.

One start of two processes trains with every strategy and leaves a checkpoint to go on from: starting is what costs time.
"""

import sys
from pathlib import Path

from training_toys import NOTHING, SHAPE, TINY

from crawl2chat.tracking import Tracker
from crawl2chat.training import batches
from stages.pretrain import PretrainParams, pretrain

STEPS = 8


class Stop(Exception):
    """Ends a run in the middle."""


def run(folder: Path, name: str, rank: int, stop: int | None = None, **changes) -> None:
    """A short pretraining in folder/name; every process writes its outs to a place of its own."""
    common = {**TINY, **SHAPE, "steps": STEPS, "log_every": 1, "devices": "auto", "vocab_multiple": 128}
    params = PretrainParams(**{**common, **changes})
    given = batches.Batches.__call__

    def until(self, step: int, rank: int = 0, world: int = 1):
        if step == stop:
            raise Stop
        return given(self, step, rank, world)

    batches.Batches.__call__ = until
    place = folder / name
    out = place / f"rank{rank}"
    try:
        inputs = (folder / "tokens", folder / "tokenizer", NOTHING, out, place / f"curve{rank}.csv")
        pretrain(*inputs, params, 1, Tracker(), place / "work")
    except Stop:
        pass
    finally:
        batches.Batches.__call__ = given


def main(folder: Path) -> None:
    import os

    rank = int(os.environ["RANK"])
    run(folder, "ddp", rank, strategy="ddp")
    run(folder, "fsdp2", rank, strategy="fsdp2", compile="off")
    run(folder, "begun", rank, stop=4, strategy="ddp", checkpoint_every=4)
    run(folder, "grown", rank, strategy="fsdp2")  # from a checkpoint of one process, if the test has left one


if __name__ == "__main__":
    main(Path(sys.argv[1]))
