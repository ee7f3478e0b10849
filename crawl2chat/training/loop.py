"""The loop that pretraining, fine-tuning, reward modelling and reinforcement learning share: go on from the newest
checkpoint, step, save, look, stop.

A kind of training is a subclass that says what a step is; it computes gradients, calls `update` once or several times,
and `log`s. A run that is killed at any moment and started again with the same arguments ends with the same bytes:
weights, optimizer state and progress come from the checkpoint, everything random is a function of the step. On another
number of devices it goes on with the same steps; sums in another order then differ in the last digits.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from crawl2chat.errors import UserError
from crawl2chat.tracking import Tracker
from crawl2chat.training.checkpoints import load_checkpoint, newest_sound, save_checkpoint, saved
from crawl2chat.training.progress import Progress, watched

if TYPE_CHECKING:
    from lightning_fabric import Fabric

logger = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False)
class Loop:
    """Every process goes through all of it, as a model may be cut over them; the one of rank 0 writes.

    A kind of training is a subclass. It sets the fields that are not arguments before `run`."""

    fabric: "Fabric"
    tracker: Tracker
    work: Path

    model: nn.Module = field(init=False)
    optimizers: Sequence[torch.optim.Optimizer] = field(init=False)
    progress: Progress = field(init=False)
    # In all.
    steps: int = field(init=False)
    # Largest norm of the whole gradient.
    clip: float | None = field(init=False)
    # Steps between checkpoints, and how many of them stay in work/checkpoints.
    checkpoint_every: int = field(init=False)
    keep: int = 2
    seconds_between_steps: float = field(default=0.0, init=False)

    # ---- what a kind of training says

    def step(self, step: int) -> None:
        """Does step number `step`, from 0."""
        raise NotImplementedError

    def learning_rate(self, peak: float) -> float:
        """That of the coming update, for a full rate of `peak`."""
        raise NotImplementedError

    def look(self) -> None:
        """Evaluates after a step and its checkpoint, and once before the first step, as a kill may have come
        between."""

    # ---- what all share

    @property
    def checkpoints(self) -> Path:
        return self.work / "checkpoints"

    def run(self) -> None:
        """All steps from the newest checkpoint on."""
        self.resume()
        self.look()
        for step in watched(self.progress, self.steps, quiet=not self.fabric.is_global_zero):
            self.step(step)
            began = time.perf_counter()
            self.progress.step = step + 1
            if self.due(self.checkpoint_every, step + 1):
                self.save()
            self.look()
            self.seconds_between_steps += time.perf_counter() - began

    def due(self, every: int, steps_done: int) -> bool:
        """Whether what happens every so many steps, and at the end, happens now."""
        return steps_done % every == 0 or steps_done == self.steps

    def update(self, take: bool = True) -> Tensor:
        """Changes the weights by their gradients, which are clipped before and cleared afterwards; the norm before
        clipping. `take` False leaves the weights as they are."""
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip) if self.clip else torch.zeros(())
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate(group.setdefault("peak", group["lr"]))
            if take:
                optimizer.step()
            optimizer.zero_grad()
        return norm

    def log(self, row: dict[str, float], measured: dict[str, float] | None = None) -> None:
        """Adds a row to the curve and sends it to the tracker, there with what was `measured` beside it."""
        self.progress.curve.append(row)
        numbers = {key: value for key, value in row.items() if key != "step"}
        self.tracker.metrics(numbers | (measured or {}), step=row["step"])

    def resume(self) -> None:
        """Takes weights, optimizers and progress from the newest sound checkpoint."""
        newest = newest_sound(self.checkpoints) if self.fabric.is_global_zero else None
        name = self.fabric.broadcast(newest.name if newest else None)
        if name is None:
            return
        state = load_checkpoint(self.checkpoints / name, self.model, self.optimizers)
        for key in vars(self.progress):
            setattr(self.progress, key, state[key])
        if self.fabric.is_global_zero:
            logger.info("resuming at step %s of %s", f"{self.progress.step:,}", f"{self.steps:,}")

    def save(self) -> None:
        """A checkpoint, unless the weights are no numbers any more: the last good one must stay the newest."""
        began, progress = time.perf_counter(), self.progress
        sound = torch.stack([weight.detach().isfinite().all() for weight in local_weights(self.model)]).all()
        if float(self.fabric.all_reduce(sound.float(), reduce_op="mean")) != 1.0:
            raise self.diverged(progress.step)
        state, writes = vars(progress), self.fabric.is_global_zero
        save_checkpoint(self.checkpoints, progress.step, self.model, self.optimizers, state, self.keep, writes)
        progress.checkpoint_seconds += time.perf_counter() - began

    def diverged(self, step: int) -> UserError:
        kept = saved(self.checkpoints)
        kept = f"; the last good checkpoint is {kept[-1]}" if kept else ""
        return UserError(
            f"the loss stopped being a number at or before step {step}: lower the learning rate, "
            f"or clip gradients to a norm of 1.0{kept}"
        )


def local_weights(model: nn.Module) -> Iterator[Tensor]:
    """What of each parameter lies on this device."""
    for weight in model.parameters():
        yield weight.to_local() if hasattr(weight, "to_local") else weight
