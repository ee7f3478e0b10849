"""Training as pretraining, fine-tuning and reward modelling share it: Lightning's Trainer drives the loop and places the
work on devices; this module says what a step is, what is logged, saved and looked at, and how a killed run goes on.

`fit` takes a model, its batches (a pure function of the step), a loss and an evaluation. A run that is killed at any
step and started again with the same arguments ends with the same bytes: weights, optimizer state and curve come from the
newest checkpoint, batches from the step's number, and nothing else is random.

Importing this module imports Lightning, which takes seconds: import it inside the function that trains.
"""

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
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

from crawl2chat.errors import UserError
from crawl2chat.model.optimizers import build_optimizers, fast_bfloat16
from crawl2chat.tracking import Tracker
from crawl2chat.training.batches import Batch
from crawl2chat.training.checkpoints import load_newest, save_checkpoint, save_weights
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
    step_seconds: list[float] = field(default_factory=list)  # of the last steps


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

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return build_optimizers(
            self.model,
            self.params.muon_lr,
            self.params.adamw_lr,
            weight_decay=self.params.weight_decay,
            dtype=torch.bfloat16 if self.trainer.precision == "bf16-mixed" else torch.float32,
        )

    def train_dataloader(self) -> DataLoader:
        trainer = self.trainer
        steps = Steps(self.batches, self.progress.step, self.steps, trainer.global_rank, trainer.world_size)
        return DataLoader(steps, batch_size=None)

    def forward(self, batch: Batch) -> Tensor:
        return self.loss_function(self.model, batch)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        loss = self(batch)
        self.manual_backward(loss)
        if self.params.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.params.gradient_clip)
        factor = self.rate_factor(self.progress.step)
        for optimizer in self.trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("full_lr", group["lr"]) * factor
        optimizers = self.optimizers()
        for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    def rate_factor(self, step: int) -> float:
        return learning_rate_factor(step, self.steps, self.params.warmup, self.params.decay)


class Conductor(Callback):
    """What happens between steps, in this order: note the loss, save, then evaluate and show samples."""

    def __init__(
        self, work: Path, tracker: Tracker, evaluate: Evaluation | None, look: Look | None, tokens: int
    ) -> None:
        self.folder, self.tracker, self.evaluate, self.look = work / "checkpoints", tracker, evaluate, look
        self.tokens = tokens  # in a global batch
        self.losses: list[Tensor] = []
        self.clock = time.perf_counter()

    def on_fit_start(self, trainer: Trainer, module: TrainingModule) -> None:
        state = load_newest(self.folder, module.model, trainer.optimizers)
        if state is not None:
            module.progress = Progress(**{key: state[key] for key in Progress.__dataclass_fields__})
            self.losses = [torch.tensor(value) for value in module.progress.pending]
            if trainer.is_global_zero:
                print(f"resuming at step {module.progress.step:,} of {module.steps:,}", file=sys.stderr)
            self.examine(trainer, module)  # the kill may have come between saving and evaluating

    def on_train_batch_start(
        self, trainer: Trainer, module: TrainingModule, batch: Batch, index: int
    ) -> None:
        self.clock = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, module: TrainingModule, outputs: Any, batch: Batch, index: int
    ) -> None:
        progress, params = module.progress, module.params
        progress.step += 1
        self.losses.append((outputs["loss"] if isinstance(outputs, dict) else outputs).detach())
        last = progress.step == module.steps
        if progress.step % params.log_every == 0 or last:
            self.note(trainer, module)
        progress.step_seconds = [*progress.step_seconds[-99:], time.perf_counter() - self.clock]
        if progress.step % params.checkpoint_every == 0 or last:
            self.save(trainer, module)
        self.examine(trainer, module)

    def note(self, trainer: Trainer, module: TrainingModule) -> None:
        """One row of the curve: the mean loss since the row before."""
        progress = module.progress
        losses = self.values(progress.step)
        self.losses.clear()
        row = {
            "step": progress.step,
            "train_loss": round(sum(losses) / len(losses), 6),
            "learning_rate_factor": round(module.rate_factor(progress.step - 1), 6),
        }
        progress.curve.append(row)
        measured = {key: value for key, value in row.items() if key != "step"}
        if progress.step_seconds:
            measured["tokens_per_second"] = self.tokens / statistics.median(progress.step_seconds[-10:])
        self.tracker.metrics(measured, step=progress.step)

    def values(self, step: int) -> list[float]:
        """The losses since the last row as numbers. A loss that is none ends the run."""
        losses = torch.stack(self.losses).tolist() if self.losses else []
        if not all(map(math.isfinite, losses)):
            raise UserError(
                f"the loss stopped being a number at or before step {step}: lower the learning rates, "
                "or set gradient_clip to 1.0"
            )
        return losses

    def save(self, trainer: Trainer, module: TrainingModule) -> None:
        module.progress.pending = self.values(module.progress.step)
        if trainer.is_global_zero:
            state, keep = vars(module.progress), module.params.keep
            save_checkpoint(self.folder, module.progress.step, module.model, trainer.optimizers, state, keep)

    def examine(self, trainer: Trainer, module: TrainingModule) -> None:
        """Evaluates and shows samples where that is due and not yet done."""
        progress = module.progress
        due = progress.step % module.params.evaluate_every == 0 or progress.step == module.steps
        if not due or not progress.step or progress.evaluated.get("step") == progress.step:
            return
        module.model.eval()
        with torch.no_grad(), autocast(module.device, module.trainer.precision == "bf16-mixed"):
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
            if self.look and trainer.is_global_zero:
                self.look(module.model, progress.step)
        module.model.train()

    def keep_if_best(self, trainer: Trainer, module: TrainingModule) -> None:
        """Sets the weights aside when no earlier evaluation was better: for people to open, training goes on as it was."""
        now, best = module.progress.evaluated, module.progress.best
        if "val_loss" in now and now["val_loss"] < best.get("val_loss", math.inf):
            module.progress.best = now
            if trainer.is_global_zero:
                save_weights(self.folder.parent / "best", module.model)


@dataclass(frozen=True)
class Fitted:
    """What is left to tell of a run; the model itself was trained in place."""

    steps: int
    tokens_per_second: float
    evaluation: dict[str, float]  # of the final model
    train_loss: float  # mean over the last logged steps


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
) -> Fitted:
    """Trains `model` in place for `steps` steps and writes the curve as CSV.

    Checkpoints go to work/checkpoints; a run that finds one there goes on from it. UserError for a loss that is not a
    number, or devices that do not exist.
    """
    quiet_lightning()
    tokens = int(batches(0, 0, 1)["ids"].numel())
    if hasattr(model, "recompute_activations"):
        model.recompute_activations = params.recompute_activations
        model.flex_attention = params.attention == "flex"
    compiled = maybe_compile(loss, params.compile, work)
    module = TrainingModule(model.train(), batches, compiled, steps, params)
    conductor = Conductor(work, tracker, evaluate, look, tokens)
    trainer = build_trainer(params, conductor, work)
    if params.batch_rows % trainer.world_size:
        raise UserError(
            f"batch_rows is {params.batch_rows} and cannot be shared evenly by {trainer.world_size} devices"
        )
    with reproducible(trainer.strategy.root_device):
        trainer.fit(module)
    progress = module.progress
    write_curve(out_curve, progress.curve)
    model.eval()
    if progress.best:
        numbers = {key: value for key, value in progress.best.items() if key != "step"}
        tracker.model("best", work / "best", numbers, int(progress.best["step"]))
    seconds = statistics.median(progress.step_seconds) if progress.step_seconds else math.nan
    evaluation = {key: value for key, value in progress.evaluated.items() if key != "step"}
    train_loss = next(row["train_loss"] for row in reversed(progress.curve) if "train_loss" in row)
    return Fitted(steps, tokens / seconds, evaluation, train_loss)


def build_trainer(params: TrainingParams, conductor: Conductor, work: Path) -> Trainer:
    """Lightning's Trainer, doing nothing of its own accord that the conductor does."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    on_cpu = params.accelerator == "cpu" or (params.accelerator == "auto" and not torch.cuda.is_available())
    precision = params.precision
    if precision == "auto":
        fast = fast_bfloat16(torch.device("cpu" if on_cpu else "cuda"))
        precision = "bf16-mixed" if fast else "32-true"
    try:
        return Trainer(
            accelerator=params.accelerator,
            devices=params.devices,
            num_nodes=params.num_nodes,
            strategy=params.strategy,
            precision=precision,
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
    except (MisconfigurationException, ValueError) as error:
        raise UserError(
            f"no such accelerator ({params.accelerator}), devices ({params.devices}) or strategy "
            f"({params.strategy}) on this machine: {error}"
        ) from None


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
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(
        home / "compile"
    )  # by now torch has set it to a temporary folder
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
