"""Training as pretraining, fine-tuning and reward modelling share it: Lightning's Trainer drives the loop and places the
work on devices; this module says what a step is, what is logged, saved and looked at, and how a killed run goes on.

`fit` takes a model, its batches (a pure function of the step), a loss and an evaluation. A run that is killed at any
step and started again with the same arguments ends with the same bytes: weights, optimizer state and curve come from the
newest checkpoint, batches from the step's number, and nothing else is random. On another number of devices it goes on with
the same batches; sums in another order then differ in the last digits.

Importing this module imports Lightning, which takes seconds: import it inside the function that trains.
"""

import copy
import csv
import logging
import math
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from crawl2chat.errors import UserError
from crawl2chat.model.network import Transformer
from crawl2chat.model.optimizers import build_optimizers
from crawl2chat.tracking import Tracker
from crawl2chat.training.batches import Batch
from crawl2chat.training.checkpoints import (
    gathered,
    load_checkpoint,
    newest_sound,
    save_checkpoint,
    save_weights,
    saved,
)
from crawl2chat.training.devices import (
    build_strategy,
    choose_devices,
    choose_kernel,
    choose_precision,
    peak_flops,
    shard,
)
from crawl2chat.training.settings import TrainingParams, learning_rate_factor

BatchFunction = Callable[[int, int, int], Batch]  # (step, rank, world) → this device's batch
LossFunction = Callable[[nn.Module, Batch], Tensor]
Evaluation = Callable[[nn.Module], dict[str, float]]
Look = Callable[[nn.Module, int], None]  # (model, step): shows samples


@dataclass
class Progress:
    """All of a run's state beside weights and optimizers. Times are for people; they enter no out."""

    step: int = 0  # steps done
    curve: list[dict[str, float]] = field(default_factory=list)  # rows of the training curve
    pending: list[float] = field(default_factory=list)  # losses since the last row
    evaluated: dict[str, float] = field(default_factory=dict)  # the newest evaluation
    best: dict[str, float] = field(default_factory=dict)  # the evaluation with the lowest val_loss
    step_seconds: list[float] = field(default_factory=list)  # of a step, mean between rows of the curve
    seconds: float = 0.0  # in steps
    checkpoint_seconds: float = 0.0
    usual: list[float] = field(default_factory=list)  # the last losses that were no spikes
    spikes: int = 0  # steps not taken
    spikes_in_a_row: int = 0


class Steps(IterableDataset):
    """The batches from one step to another, for one device."""

    def __init__(self, batches: BatchFunction, first: int, last: int, rank: int, world: int) -> None:
        self.batches, self.first, self.last, self.rank, self.world = batches, first, last, rank, world

    def __iter__(self) -> Iterator[Batch]:
        for step in range(self.first, self.last):
            yield self.batches(step, self.rank, self.world)

    def __len__(self) -> int:
        return self.last - self.first


class TrainingModule(LightningModule):
    """A model with its loss and optimizers. Optimization is manual because two optimizers share each step."""

    def __init__(
        self, model: nn.Module, batches: BatchFunction, loss: LossFunction, steps: int, params: TrainingParams
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model, self.batches, self.loss_function = model, batches, loss
        self.steps, self.params, self.progress = steps, params, Progress()
        self.compile_blocks = False  # of a model that is cut over devices

    def configure_model(self) -> None:
        """Where the strategy cuts the model over devices, it does so here."""
        if self.sharded:
            mesh = self.device_mesh["data_parallel"]
            shard(self.model, mesh, self.mixed, compiled=self.compile_blocks)

    @property
    def sharded(self) -> bool:
        return isinstance(self.trainer.strategy, ModelParallelStrategy)

    @property
    def mixed(self) -> bool:
        return self.trainer.precision == "bf16-mixed"

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return build_optimizers(
            self.model,
            self.params.muon_lr,
            self.params.adamw_lr,
            weight_decay=self.params.weight_decay,
            dtype=torch.bfloat16 if self.mixed else torch.float32,
        )

    def train_dataloader(self) -> DataLoader:
        trainer = self.trainer
        steps = Steps(self.batches, self.progress.step, self.steps, trainer.global_rank, trainer.world_size)
        return DataLoader(steps, batch_size=None)

    def forward(self, batch: Batch) -> Tensor:
        return self.loss_function(self.model, batch)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        loss = torch.zeros((), device=self.device)
        for part in parts(batch, self.params.micro_rows):
            share = self(part)
            self.manual_backward(share)
            loss = loss + share.detach()
        if self.params.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.params.gradient_clip)
        factor = self.rate_factor(self.progress.step)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("full_lr", group["lr"]) * factor
        skip = self.params.spike is not None and self.is_spike(loss)
        optimizers = self.optimizers()
        for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
            if not skip:
                optimizer.step()
            optimizer.zero_grad()
        return loss

    def is_spike(self, loss: Tensor) -> bool:
        """Whether the loss over all devices stands out from the last ones. UserError when nothing else comes any more."""
        limits, progress = self.params.spike, self.progress
        value = float(self.trainer.strategy.reduce(loss.detach(), reduce_op="mean"))
        if spike_score(value, progress.usual, limits.window) > limits.z:
            progress.spikes += 1
            progress.spikes_in_a_row += 1
            if progress.spikes_in_a_row >= limits.window:
                raise UserError(
                    f"{limits.window} steps in a row up to step {progress.step} had a loss more than {limits.z:g} standard "
                    "deviations above the usual: training has diverged; lower the learning rates or raise spike.z"
                )
            return True
        progress.usual = [*progress.usual, value][-limits.window :]
        progress.spikes_in_a_row = 0
        return False

    def rate_factor(self, step: int) -> float:
        return learning_rate_factor(step, self.steps, self.params.warmup, self.params.decay)


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


class Conductor(Callback):
    """What happens between steps, in this order: note the loss, save, then evaluate and show samples.

    Every process goes through all of it, as a model may be cut over them; the one of rank 0 writes, and only its tracker
    keeps anything."""

    def __init__(
        self,
        work: Path,
        tracker: Tracker,
        evaluate: Evaluation | None,
        look: Look | None,
        tokens: int,
        flops: float,
        model: nn.Module,
    ) -> None:
        self.folder, self.tracker, self.evaluate, self.look = work / "checkpoints", tracker, evaluate, look
        self.tokens, self.flops = tokens, flops  # in a global batch; 0: not known
        self.whole = model  # as given to fit; trained in place unless it is cut over devices
        self.peak = 0.0  # FLOP/s of all devices together
        self.losses: list[Tensor] = []
        self.clock, self.since = (time.perf_counter(), 0)  # of the steps since the last row: their start and number

    def on_fit_start(self, trainer: Trainer, module: TrainingModule) -> None:
        if self.flops:
            peak, source = peak_flops(module.device, module.mixed)
            self.peak = peak * trainer.world_size
            self.tracker.params({"peak_flops": round(self.peak), "peak_flops_source": source})
            if trainer.is_global_zero:
                print(f"peak of {trainer.world_size} device(s): {self.peak / 1e12:,.2f} TFLOP/s ({source})")
        newest = newest_sound(self.folder) if trainer.is_global_zero else None
        name = trainer.strategy.broadcast(newest.name if newest else None)
        if name is not None:
            state = load_checkpoint(self.folder / name, module.model, trainer.optimizers)
            module.progress = Progress(**{key: state[key] for key in Progress.__dataclass_fields__})
            self.losses = [torch.tensor(value) for value in module.progress.pending]
            if trainer.is_global_zero:
                print(f"resuming at step {module.progress.step:,} of {module.steps:,}", file=sys.stderr)
            self.examine(trainer, module)  # the kill may have come between saving and evaluating

    def on_train_start(self, trainer: Trainer, module: TrainingModule) -> None:
        self.clock = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Batch, index: int
    ) -> None:
        progress, params = module.progress, module.params
        progress.step += 1
        self.since += 1
        self.losses.append((outputs["loss"] if isinstance(outputs, dict) else outputs).detach())
        last = progress.step == module.steps
        if progress.step % params.log_every == 0 or last:
            self.note(trainer, module)
        began = time.perf_counter()
        if progress.step % params.checkpoint_every == 0 or last:
            self.save(trainer, module)
        self.examine(trainer, module)
        self.clock += time.perf_counter() - began  # what is no step does not count as one

    def note(self, trainer: Trainer, module: TrainingModule) -> None:
        """One row of the curve: the mean loss since the row before."""
        progress = module.progress
        losses = self.values(trainer, progress.step)  # waits for the device: only now the steps are done
        self.losses.clear()
        if self.since:
            seconds = time.perf_counter() - self.clock
            progress.step_seconds = [*progress.step_seconds[-99:], seconds / self.since]
            progress.seconds += seconds
        self.clock, self.since = time.perf_counter(), 0
        loss = sum(losses) / len(losses)
        row = {
            "step": progress.step,
            "train_loss": round(loss, 6),
            "learning_rate_factor": round(module.rate_factor(progress.step - 1), 6),
        }
        if module.params.spike:
            row["spikes"] = progress.spikes
        progress.curve.append(row)
        measured = {key: value for key, value in row.items() if key != "step"} | {"train_loss": loss}
        if progress.step_seconds:
            seconds = progress.step_seconds[-1]
            measured["tokens_per_second"] = self.tokens / seconds
            if self.peak:
                measured["mfu"] = self.flops / seconds / self.peak
        self.tracker.metrics(measured, step=progress.step)

    def values(self, trainer: Trainer, step: int) -> list[float]:
        """The losses since the last row as numbers, each the mean over all devices. A loss that is none ends the run."""
        if not self.losses:
            return []
        stacked = torch.stack([loss.to(trainer.strategy.root_device) for loss in self.losses])
        losses = trainer.strategy.reduce(stacked, reduce_op="mean").tolist()
        if not all(map(math.isfinite, losses)):
            raise self.diverged(step)
        return losses

    def diverged(self, step: int) -> UserError:
        kept = saved(self.folder)
        kept = f"; the last good checkpoint is {kept[-1]}" if kept else ""
        return UserError(
            f"the loss stopped being a number at or before step {step}: lower the learning rates, "
            f"or set gradient_clip to 1.0{kept}"
        )

    def save(self, trainer: Trainer, module: TrainingModule) -> None:
        """A checkpoint, unless the weights are no numbers any more: the last good one must stay the newest."""
        began, progress = time.perf_counter(), module.progress
        progress.pending = self.values(trainer, progress.step)
        sound = torch.stack([weight.detach().isfinite().all() for weight in local_weights(module.model)]).all()
        if not float(trainer.strategy.reduce(sound.float(), reduce_op="mean")) == 1.0:
            raise self.diverged(progress.step)
        state, keep = vars(progress), module.params.keep
        writes = trainer.is_global_zero
        save_checkpoint(self.folder, progress.step, module.model, trainer.optimizers, state, keep, writes)
        progress.checkpoint_seconds += time.perf_counter() - began

    def examine(self, trainer: Trainer, module: TrainingModule) -> None:
        """Evaluates and shows samples where that is due and not yet done."""
        progress = module.progress
        due = progress.step % module.params.evaluate_every == 0 or progress.step == module.steps
        if not due or not progress.step or progress.evaluated.get("step") == progress.step:
            return
        module.model.eval()
        with torch.no_grad(), autocast(module.device, module.mixed):
            if self.evaluate:
                numbers = self.evaluate(module.model)
                progress.evaluated = {**numbers, "step": progress.step}
                rounded = {key: round(value, 6) for key, value in numbers.items()}
                if progress.curve and progress.curve[-1]["step"] == progress.step:
                    progress.curve[-1].update(rounded)
                else:
                    progress.curve.append({"step": progress.step, **rounded})
                self.tracker.metrics(numbers, step=progress.step)
                self.keep_if_best(trainer, module)
            if self.look:
                shown = self.whole_model(trainer, module)
                if trainer.is_global_zero:
                    self.look(shown, progress.step)
        module.model.train()

    def whole_model(self, trainer: Trainer, module: TrainingModule) -> nn.Module:
        """The model on one device. One that is cut over several is put together on rank 0's CPU."""
        if not module.sharded:
            return module.model
        weights = gathered(module.model.state_dict().items(), keep=trainer.is_global_zero)
        if weights:
            self.whole.load_state_dict(weights)
        return self.whole

    def keep_if_best(self, trainer: Trainer, module: TrainingModule) -> None:
        """Sets the weights aside when no earlier evaluation was better: for people to open, training goes on as it was."""
        now, best = module.progress.evaluated, module.progress.best
        if "val_loss" in now and now["val_loss"] < best.get("val_loss", math.inf):
            module.progress.best = now
            save_weights(self.folder.parent / "best", module.model, trainer.is_global_zero)


@dataclass(frozen=True)
class Fitted:
    """What is left to tell of a run; the model itself was trained in place."""

    steps: int
    tokens_per_second: float
    evaluation: dict[str, float]  # of the final model
    train_loss: float  # mean over the last logged steps
    mfu: float | None = None  # share of the devices' peak that training used; None where FLOPs are not known
    checkpoint_share: float = 0.0  # of the time of steps and checkpoints
    spikes: int = 0  # steps not taken


def fit(
    model: nn.Module,
    batches: BatchFunction,
    loss: LossFunction,
    *,
    steps: int,
    params: TrainingParams,
    work: Path,
    tracker: Tracker,
    out_curve: Path,
    evaluate: Evaluation | None = None,
    look: Look | None = None,
    flops_per_token: float = 0.0,
) -> Fitted:
    """Trains `model` in place for `steps` steps and writes the curve as CSV.

    Checkpoints go to work/checkpoints; a run that finds one there goes on from it. UserError for a loss that is not a
    number, or devices that do not exist.
    """
    quiet_lightning()
    tokens = int(batches(0, 0, 1)["ids"].numel())
    compiled = maybe_compile(loss, params.compile, work)
    conductor = Conductor(work, tracker, evaluate, look, tokens, tokens * flops_per_token, model)
    trainer = build_trainer(params, conductor, work, sum(weight.numel() for weight in model.parameters()))
    if params.batch_rows % trainer.world_size:
        raise UserError(
            f"batch_rows is {params.batch_rows} and cannot be shared evenly by {trainer.world_size} devices"
        )
    for part in model.modules():
        if isinstance(part, Transformer):
            part.recompute_activations = params.recompute_activations
            part.kernel = choose_kernel(params, part.config.head_dim, trainer.strategy.root_device)
    sharded = isinstance(trainer.strategy, ModelParallelStrategy)
    # Cutting a model over devices changes it for good: a copy is cut, and the result copied back.
    trained = copy.deepcopy(model) if sharded else model
    module = TrainingModule(trained.train(), batches, loss if sharded else compiled, steps, params)
    module.compile_blocks = sharded and compiled is not loss
    with reproducible(trainer.strategy.root_device):
        trainer.fit(module)
    if sharded:
        model.load_state_dict(gathered(trained.state_dict().items(), keep=True))
    progress = module.progress
    write_curve(out_curve, progress.curve)
    model.eval()
    if progress.best:
        numbers = {key: value for key, value in progress.best.items() if key != "step"}
        tracker.model("best", work / "best", numbers, int(progress.best["step"]))
    seconds = statistics.median(progress.step_seconds) if progress.step_seconds else math.nan
    return Fitted(
        steps,
        tokens / seconds,
        {key: value for key, value in progress.evaluated.items() if key != "step"},
        next(row["train_loss"] for row in reversed(progress.curve) if "train_loss" in row),
        conductor.flops / seconds / conductor.peak if conductor.peak else None,
        progress.checkpoint_seconds / max(1e-9, progress.seconds + progress.checkpoint_seconds),
        progress.spikes,
    )


def build_trainer(params: TrainingParams, conductor: Conductor, work: Path, parameters: int) -> Trainer:
    """Lightning's Trainer, doing nothing of its own accord that the conductor does."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    devices, nodes, world = choose_devices(params, os.environ)
    try:
        return Trainer(
            accelerator=params.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=build_strategy(params, world, parameters),
            precision=choose_precision(params),
            max_epochs=1,
            callbacks=[conductor],
            logger=False,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=sys.stderr.isatty(),
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            default_root_dir=work,
        )
    except (MisconfigurationException, ValueError, ModuleNotFoundError) as error:
        raise UserError(
            f"no such accelerator ({params.accelerator}), devices ({params.devices}) or strategy "
            f"({params.strategy}) on this machine: {error}"
        ) from None


def local_weights(model: nn.Module) -> Iterator[Tensor]:
    """What of each parameter lies on this device."""
    for weight in model.parameters():
        yield weight.to_local() if hasattr(weight, "to_local") else weight


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """On a CPU, the same sums in the same order every time: compiled code would otherwise add up the embedding's
    gradient in whatever order its threads arrive. On other devices speed comes first."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that costs time
    torch.use_deterministic_algorithms(before or device.type == "cpu")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def autocast(device: torch.device, mixed: bool) -> Any:
    return torch.autocast(device.type, torch.bfloat16) if mixed else nullcontext()


def maybe_compile(loss: LossFunction, wanted: str, work: Path) -> LossFunction:
    """The loss compiled, where asked for and possible. All stages share one compile cache, so that the same graph is
    compiled once."""
    if wanted == "off":
        return loss
    home = next((folder for folder in work.parents if folder.name == ".work"), work)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(home / "compile")  # by now torch has set it to a temporary folder
    if wanted == "auto" and not compiler_works():
        print("no working C++ compiler: training runs uncompiled, about a third slower", file=sys.stderr)
        return loss
    return torch.compile(loss, dynamic=False)


def compiler_works() -> bool:
    """Whether torch.compile can turn a small function into code here."""
    try:
        torch.compile(lambda x: x * 2 + 1, dynamic=False)(torch.ones(8))
    except Exception:  # no compiler, no Python headers, no room on disk: all mean the same here
        return False
    return True


def quiet_lightning() -> None:
    """Lightning's greetings and advice about data loaders have nothing to say here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")


def write_curve(path: Path, rows: list[dict[str, float]]) -> None:
    """The training curve as CSV, one column per number that ever occurs; empty where it was not measured."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
