"""The dials that training on batches has: schedule, optimizers, and how often to log, save and evaluate."""

from pydantic import Field

from crawl2chat.parameters import Params


class SpikeParams(Params):
    """A step whose loss lies more than `z` standard deviations above the mean of the last `window` losses is not taken:
    one bad batch then does no harm. As many in a row as the window holds end the run."""

    z: float = Field(6.0, gt=0)
    window: int = Field(50, ge=2)


class TrainingParams(Params):
    """Shared by pretraining, fine-tuning and reward modelling; a stage's own section adds to these."""

    # Rows of the global batch, over all devices.
    batch_rows: int = Field(32, ge=1)
    # Passes over the data, unless the number of steps is set.
    epochs: float = Field(1.0, gt=0)
    steps: int | None = Field(None, ge=1)
    # 0: AdamW for everything.
    muon_lr: float = Field(0.05, ge=0)
    adamw_lr: float = Field(8e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    # Largest norm of the whole gradient.
    gradient_clip: float | None = Field(None, gt=0)
    # Skips steps whose loss stands out; costs a wait for the device at each step.
    spike: SpikeParams | None = None
    # Shares of the steps in which the rate rises and falls linearly; between them it is constant.
    warmup: float = Field(0.0, ge=0, le=1)
    decay: float = Field(ge=0, le=1)

    # Steps between rows of the curve, checkpoints and evaluations.
    log_every: int = Field(10, ge=1)
    checkpoint_every: int = Field(ge=1)
    evaluate_every: int = Field(250, ge=1)
    # Checkpoints; the one before the newest is the fallback.
    keep: int = Field(2, ge=1)


def learning_rate_factor(step: int, steps: int, warmup: float, decay: float) -> float:
    """Warm-up, stable, decay: the share of the full rate used at `step` (0-based) of `steps`.

    Rises linearly over the first `warmup` share, falls linearly to zero over the last `decay` share (Hu et al. 2024,
    MiniCPM). The last step still moves: it uses one part in decay · steps.
    """
    rising = (step + 1) / (warmup * steps) if warmup else 1.0
    falling = (steps - step) / (decay * steps) if decay else 1.0
    return max(0.0, min(1.0, rising, falling))
