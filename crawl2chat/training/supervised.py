"""Training on batches with a loss, as pretraining, fine-tuning and reward modelling share it: what a step is on top of
crawl2chat/training/loop.py, what is logged, evaluated and shown, and what is done about a loss that stands out.

Importing this module imports Lightning, which takes seconds: import it inside the function that trains.
"""

import copy
import logging
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.model.network import Transformer
from crawl2chat.model.optimizers import build_optimizers
from crawl2chat.tracking import Tracker
from crawl2chat.training.batches import Batch
from crawl2chat.training.checkpoints import gathered, save_weights
from crawl2chat.training.compiled import maybe_compile, reproducible
from crawl2chat.training.devices import choose_kernel, peak_flops
from crawl2chat.training.fabric import is_mixed, is_sharded, shard, start_fabric
from crawl2chat.training.loop import Loop
from crawl2chat.training.progress import Progress, write_curve
from crawl2chat.training.settings import SpikeParams, TrainingParams, learning_rate_factor

BatchFunction = Callable[[int, int, int], Batch]  # (step, rank, world) → this device's batch
LossFunction = Callable[[nn.Module, Batch], Tensor]
Evaluation = Callable[[nn.Module], dict[str, float]]
ShowSamples = Callable[[nn.Module, int], None]  # (model, step)

logger = logging.getLogger(__name__)


@dataclass
class SupervisedProgress(Progress):
    """Adds the losses since the last row, the newest and the best evaluation, the guard's memory, and times."""

    losses: list[float] = field(default_factory=list)
    evaluated: dict[str, float] = field(default_factory=dict)
    # The evaluation with the lowest val_loss.
    best: dict[str, float] = field(default_factory=dict)
    # The last losses that were no spikes.
    usual: list[float] = field(default_factory=list)
    # Steps not taken.
    spikes: int = 0
    spikes_in_a_row: int = 0
    # Seconds of a step, mean between rows of the curve; the newest hundred.
    step_seconds: list[float] = field(default_factory=list)
    # In steps.
    seconds: float = 0.0


class Objective(nn.Module):
    """A model with its loss: what a strategy wraps or cuts."""

    def __init__(self, model: nn.Module, loss: LossFunction, mixed: bool, compiles_blocks: bool) -> None:
        super().__init__()
        self.model, self.loss, self.mixed, self.compiles_blocks = model, loss, mixed, compiles_blocks

    def forward(self, batch: Batch) -> Tensor:
        return self.loss(self.model, batch)

    def shard(self, mesh: Any) -> "Objective":
        shard(self.model, mesh, self.mixed, self.compiles_blocks)
        return self


@dataclass(kw_only=True, eq=False)
class Supervised(Loop):
    """A step is one update by the gradient of a batch's loss."""

    # Set up by Fabric.
    objective: nn.Module
    # The model on one device, for samples where the one that is trained is cut.
    whole: nn.Module
    batches: BatchFunction
    steps: int
    params: TrainingParams
    micro_rows: int | None = None
    evaluate: Evaluation | None = None
    show: ShowSamples | None = None
    flops_per_token: float = 0.0
    progress: SupervisedProgress = field(init=False)

    def __post_init__(self) -> None:
        params, self.model, self.progress = self.params, self.objective.model, SupervisedProgress()
        rates = {"muon_lr": params.muon_lr, "adamw_lr": params.adamw_lr, "weight_decay": params.weight_decay}
        dtype = torch.bfloat16 if is_mixed(self.fabric) else torch.float32
        self.optimizers = build_optimizers(self.model, **rates, dtype=dtype)
        self.clip, self.checkpoint_every, self.keep = params.gradient_clip, params.checkpoint_every, params.keep
        self.tokens = int(self.batches(0, 0, 1)["ids"].numel())  # of a global batch
        self.flops = self.tokens * self.flops_per_token
        self.peak = self.measure_peak() if self.flops else 0.0  # FLOP/s of all devices together
        self.losses: list[Tensor] = []  # of this device, not yet fetched from it
        self.clock, self.steps_on_clock = 0.0, 0

    def measure_peak(self) -> float:
        fabric = self.fabric
        peak, source = peak_flops(fabric.device, is_mixed(fabric))
        peak *= fabric.world_size
        self.tracker.facts({"peak_flops": round(peak), "peak_flops_source": source})
        if fabric.is_global_zero:
            logger.info("peak of %d device(s): %.2f TFLOP/s (%s)", fabric.world_size, peak / 1e12, source)
        return peak

    def learning_rate(self, peak: float) -> float:
        return peak * self.rate_factor(self.progress.step)

    def rate_factor(self, step: int) -> float:
        return learning_rate_factor(step, self.steps, self.params.warmup, self.params.decay)

    def step(self, step: int) -> None:
        self.clock = self.clock or self.now()
        fabric, loss = self.fabric, torch.zeros((), device=self.fabric.device)
        batch = fabric.to_device(self.batches(step, fabric.global_rank, fabric.world_size))
        with fabric.autocast():
            for part in parts(batch, self.micro_rows):
                share = self.objective(part)
                fabric.backward(share)
                loss = loss + share.detach()
            self.update(take=self.params.spike is None or not self.is_spike(loss, self.params.spike))
        self.losses.append(loss)
        self.steps_on_clock += 1
        if self.due(self.params.log_every, step + 1):
            self.log_losses(step + 1)
        if self.due(self.checkpoint_every, step + 1):
            self.fetch_losses(step + 1)

    def now(self) -> float:
        """A clock that stands still between steps."""
        return time.perf_counter() - self.seconds_between_steps

    def is_spike(self, loss: Tensor, limits: SpikeParams) -> bool:
        """Whether the loss over all devices stands out from the last ones. UserError when nothing else comes any
        more."""
        progress = self.progress
        value = float(self.fabric.all_reduce(loss, reduce_op="mean"))
        if spike_score(value, progress.usual, limits.window) > limits.z:
            progress.spikes += 1
            progress.spikes_in_a_row += 1
            if progress.spikes_in_a_row >= limits.window:
                raise UserError(
                    f"{limits.window} steps in a row up to step {progress.step} had a loss more than {limits.z:g} "
                    "standard deviations above the usual: training has diverged; lower the learning rates or raise "
                    "spike.z"
                )
            return True
        progress.usual = [*progress.usual, value][-limits.window :]
        progress.spikes_in_a_row = 0
        return False

    def fetch_losses(self, steps_done: int) -> None:
        """The losses since the last row as numbers, each the mean over all devices. A loss that is none ends the
        run."""
        if self.losses:
            losses = self.fabric.all_reduce(torch.stack(self.losses), reduce_op="mean").tolist()
            if not all(map(math.isfinite, losses)):
                raise self.diverged(steps_done)
            self.progress.losses += losses
            self.losses.clear()

    def log_losses(self, steps_done: int) -> None:
        """One row of the curve: the mean loss since the row before."""
        progress = self.progress
        self.fetch_losses(steps_done)  # waits for the device: only now the steps are done
        seconds = self.now() - self.clock
        progress.step_seconds = [*progress.step_seconds[-99:], seconds / self.steps_on_clock]
        progress.seconds += seconds
        self.clock, self.steps_on_clock = self.now(), 0
        loss = sum(progress.losses) / len(progress.losses)
        progress.losses = []
        row = {
            "step": steps_done,
            "train_loss": round(loss, 6),
            "learning_rate_factor": round(self.rate_factor(steps_done - 1), 6),
        }
        if self.params.spike:
            row["spikes"] = progress.spikes
        speed = {"tokens_per_second": self.tokens / progress.step_seconds[-1]}
        if self.peak:
            speed["mfu"] = self.flops / progress.step_seconds[-1] / self.peak
        self.log(row, {"train_loss": loss, **speed})

    def look(self) -> None:
        """Evaluates and shows samples where that is due and not yet done."""
        progress, step = self.progress, self.progress.step
        if not step or not self.due(self.params.evaluate_every, step) or progress.evaluated.get("step") == step:
            return
        self.model.eval()
        with torch.no_grad(), self.fabric.autocast():
            if self.evaluate:
                self.note_evaluation(self.evaluate(self.model))
            if self.show:
                shown = self.whole_model()
                if self.fabric.is_global_zero:
                    self.show(shown, step)
        self.model.train()

    def note_evaluation(self, numbers: dict[str, float]) -> None:
        """Into the curve; and sets the weights aside when no earlier evaluation was better, for people to open."""
        progress = self.progress
        row = {"step": progress.step, **{key: round(value, 6) for key, value in numbers.items()}}
        if progress.curve and progress.curve[-1]["step"] == progress.step:
            progress.curve[-1].update(row)
        else:
            progress.curve.append(row)
        self.tracker.metrics(numbers, step=progress.step)
        progress.evaluated = {**numbers, "step": progress.step}
        if "val_loss" in numbers and numbers["val_loss"] < progress.best.get("val_loss", math.inf):
            progress.best = progress.evaluated
            save_weights(self.work / "best", self.model, self.fabric.is_global_zero)

    def whole_model(self) -> nn.Module:
        """The model on one device. One that is cut over several is put together on rank 0's CPU."""
        if not is_sharded(self.fabric):
            return self.model
        weights = gathered(self.model.state_dict().items(), keep=self.fabric.is_global_zero)
        if weights:
            self.whole.load_state_dict(weights)
        return self.whole

    def facts(self, price_per_device_hour: float) -> dict[str, float]:
        """What the run took. mfu is the share of the devices' peak that training used."""
        progress = self.progress
        seconds = statistics.median(progress.step_seconds) if progress.step_seconds else math.nan
        hours = self.fabric.world_size * self.steps * seconds / 3600
        facts = {
            "tokens_per_second": self.tokens / seconds,
            "device_hours": hours,
            "cost": hours * price_per_device_hour,
        }
        if self.peak:
            facts["mfu"] = self.flops / seconds / self.peak
        spent = progress.seconds + progress.checkpoint_seconds
        return facts | {"checkpoint_share": progress.checkpoint_seconds / max(1e-9, spent)}


def parts(batch: Batch, rows: int | None) -> Iterator[Batch]:
    """A batch in parts of at most `rows` rows. Their losses, weighted sums, add up to the batch's."""
    if rows is None:
        yield batch
        return
    for first in range(0, len(batch["ids"]), rows):
        yield {key: value[first : first + rows] for key, value in batch.items()}


def spike_score(loss: float, usual: list[float], window: int) -> float:
    """How many standard deviations a loss lies above the mean of the last ones; 0 until the window is full."""
    if len(usual) < window:
        return 0.0
    return (loss - statistics.fmean(usual)) / (statistics.stdev(usual) + 1e-12)


@dataclass(frozen=True)
class Outcome:
    """The numbers of a run; the model itself was trained in place."""

    # Mean over the last logged steps.
    train_loss: float
    # Of the final model.
    evaluation: dict[str, float]
    # Steps not taken.
    spikes: int
    # Times, rates and cost.
    facts: dict[str, float]


def fit(
    model: nn.Module,
    batches: BatchFunction,
    loss: LossFunction,
    *,
    steps: int,
    params: TrainingParams,
    machine: Machine,
    work: Path,
    tracker: Tracker,
    out_curve: Path,
    evaluate: Evaluation | None = None,
    show: ShowSamples | None = None,
    flops_per_token: float = 0.0,
) -> Outcome:
    """Trains `model` in place for `steps` steps and writes the curve as CSV.

    Checkpoints go to work/checkpoints; a run that finds one there goes on from it. UserError for a loss that is not a
    number, or devices that do not exist.
    """
    compiled = maybe_compile(loss, machine.compile, work)
    fabric = start_fabric(machine, sum(weight.numel() for weight in model.parameters()), shards=True)
    if params.batch_rows % fabric.world_size:
        raise UserError(f"batch_rows is {params.batch_rows} and cannot be shared evenly by {fabric.world_size} devices")
    for part in model.modules():
        if isinstance(part, Transformer):
            part.recompute_activations = machine.recompute_activations
            part.kernel = choose_kernel(machine, part.config.head_dim, fabric.device)
    sharded = is_sharded(fabric)
    # Cutting a model over devices changes it for good: a copy is cut, and the result copied back.
    trained = copy.deepcopy(model) if sharded else model
    compiles_blocks = sharded and compiled is not loss
    objective = Objective(trained.train(), loss if sharded else compiled, is_mixed(fabric), compiles_blocks)
    loop = Supervised(
        fabric=fabric,
        tracker=tracker,
        work=work,
        objective=fabric.setup_module(objective),
        whole=model,
        batches=batches,
        steps=steps,
        params=params,
        micro_rows=machine.micro_rows,
        evaluate=evaluate,
        show=show,
        flops_per_token=flops_per_token,
    )
    with reproducible(fabric.device):
        loop.run()
    if sharded:
        model.load_state_dict(gathered(trained.state_dict().items(), keep=True))
    model.eval()
    progress = loop.progress
    write_curve(out_curve, progress.curve)
    if progress.best:
        numbers = {key: value for key, value in progress.best.items() if key != "step"}
        tracker.model("best", work / "best", numbers, int(progress.best["step"]))
    facts = loop.facts(machine.price_per_device_hour)
    tracker.facts(facts)
    if fabric.is_global_zero:
        logger.info("training: %s", " · ".join(f"{key} {value:,.4g}" for key, value in facts.items()))
    return Outcome(
        next(row["train_loss"] for row in reversed(progress.curve) if "train_loss" in row),
        {key: value for key, value in progress.evaluated.items() if key != "step"},
        progress.spikes,
        facts,
    )
