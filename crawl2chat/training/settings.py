"""The dials that every training stage has: schedule, optimizers, device, and how often to log, save and look."""

from typing import ClassVar, Literal

from pydantic import Field

from crawl2chat.parameters import Params


class SpikeParams(Params):
    """A step whose loss lies more than `z` standard deviations above the mean of the last `window` losses is not taken:
    one bad batch then does no harm. As many in a row as the window holds end the run."""

    z: float = Field(6.0, gt=0)
    window: int = Field(50, ge=2)


class TrainingParams(Params):
    """Shared by pretraining, fine-tuning and reward modelling; a stage's own section adds to these."""

    placement: ClassVar[frozenset[str]] = frozenset({"devices", "num_nodes", "strategy", "micro_rows"})

    batch_rows: int = Field(32, ge=1)  # rows of the global batch, over all devices
    micro_rows: int | None = Field(None, ge=1)  # rows a device works on at a time; None: its whole share
    epochs: float = Field(1.0, gt=0)  # passes over the data …
    steps: int | None = Field(None, ge=1)  # … unless the number of steps is given
    muon_lr: float = Field(0.05, ge=0)  # 0: AdamW for everything
    adamw_lr: float = Field(8e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    gradient_clip: float | None = Field(None, gt=0)  # largest norm of the whole gradient
    spike: SpikeParams | None = None  # skip steps whose loss stands out; costs a wait for the device at each step
    warmup: float = Field(0.0, ge=0, le=1)  # share of the steps; then constant; then linearly to zero
    decay: float = Field(0.6, ge=0, le=1)  # share of the steps

    log_every: int = Field(10, ge=1)  # steps
    checkpoint_every: int = Field(50, ge=1)
    evaluate_every: int = Field(100, ge=1)
    keep: int = Field(2, ge=1)  # checkpoints; the one before the newest is the fallback

    accelerator: str = "auto"  # Lightning's names; auto picks what the machine has
    devices: int | Literal["auto"] = "auto"
    num_nodes: int = Field(1, ge=1)
    strategy: Literal["auto", "ddp", "fsdp2"] = "auto"  # several devices: copies of the model, or parts of it
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"  # auto: where a C++ compiler works
    attention: Literal["auto", "sdpa", "flex"] = "auto"  # flex and, on a CPU, auto skip what nobody may see
    recompute_activations: bool = False  # a third more compute for far less memory


def learning_rate_factor(step: int, steps: int, warmup: float, decay: float) -> float:
    """Warm-up, stable, decay: the share of the full rate used at `step` (0-based) of `steps`.

    Rises linearly over the first `warmup` share, falls linearly to zero over the last `decay` share (Hu et al. 2024,
    MiniCPM). The last step still moves: it uses one part in decay · steps.
    """
    rising = (step + 1) / (warmup * steps) if warmup else 1.0
    falling = (steps - step) / (decay * steps) if decay else 1.0
    return max(0.0, min(1.0, rising, falling))
