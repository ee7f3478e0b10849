"""The dials that every training stage has: schedule, optimizers, device, and how often to log, save and look."""

from typing import Literal

from pydantic import Field

from crawl2chat.parameters import Params


class TrainingParams(Params):
    """Shared by pretraining, fine-tuning and reward modelling; a stage's own section adds to these."""

    batch_rows: int = Field(32, ge=1)  # rows of the global batch, over all devices
    epochs: float = Field(1.0, gt=0)  # passes over the data …
    steps: int | None = Field(None, ge=1)  # … unless the number of steps is given
    muon_lr: float = Field(0.05, ge=0)  # 0: AdamW for everything
    adamw_lr: float = Field(8e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    gradient_clip: float | None = Field(None, gt=0)  # largest norm of the whole gradient
    warmup: float = Field(0.0, ge=0, le=1)  # share of the steps; then constant; then linearly to zero
    decay: float = Field(0.6, ge=0, le=1)  # share of the steps

    log_every: int = Field(10, ge=1)  # steps
    checkpoint_every: int = Field(50, ge=1)
    evaluate_every: int = Field(100, ge=1)
    keep: int = Field(2, ge=1)  # checkpoints; the one before the newest is the fallback

    accelerator: str = "auto"  # Lightning's names; auto picks what the machine has
    devices: int | str = "auto"
    num_nodes: int = Field(1, ge=1)
    strategy: str = "auto"
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"  # auto: where a C++ compiler works
    attention: Literal["sdpa", "flex"] = "sdpa"  # of packed rows; flex skips what nobody may see
    recompute_activations: bool = False  # a third more compute for far less memory


def learning_rate_factor(step: int, steps: int, warmup: float, decay: float) -> float:
    """Warm-up, stable, decay: the share of the full rate used at `step` (0-based) of `steps`.

    Rises linearly over the first `warmup` share, falls linearly to zero over the last `decay` share (Hu et al. 2024,
    MiniCPM). The last step still moves: it uses one part in decay · steps.
    """
    rising = (step + 1) / (warmup * steps) if warmup else 1.0
    falling = (steps - step) / (decay * steps) if decay else 1.0
    return max(0.0, min(1.0, rising, falling))
