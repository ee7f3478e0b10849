"""reward: a reward model from rankings, models/reward, and what it is worth on prompts it never saw.

All pairs of a ranking in one batch element, a scalar head on the policy, one or two epochs; scores are normalised on
the policy's own answers. Batches, loss and judgement: crawl2chat/alignment/reward_training.py; the loop is the shared
one.
"""

from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.tracking import Tracker
from crawl2chat.training.settings import TrainingParams


class RewardParams(TrainingParams):
    """The shared training dials and the loss. A batch row is one ranking."""

    batch_rows: int = Field(ge=1)
    epochs: float = Field(gt=0)
    muon_lr: float = Field(0.0, ge=0)
    adamw_lr: float = Field(gt=0)
    gradient_clip: float | None = Field(1.0, gt=0)
    warmup: float = Field(ge=0, le=1)
    decay: float = Field(ge=0, le=1)
    log_every: int = Field(5, ge=1)
    loss: Literal["bradley_terry", "plackett_luce"]
    centering: float = Field(ge=0)


def reward(
    policy: Path,
    preferences: Path,
    out: Path,
    out_curve: Path,
    params: RewardParams,
    machine: Machine,
    seed: int,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Trains on the train prompts' rankings, normalises on their answers, judges on the test prompts."""
    from crawl2chat.alignment.preferences import read_prompts, read_rankings
    from crawl2chat.alignment.reward_model import RewardModel, save_reward_model
    from crawl2chat.alignment.reward_training import Epochs, judge, ranking_loss, tokenise
    from crawl2chat.model.folder import load_model
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.supervised import fit

    tokenizer = Tokenizer.load(policy)
    model = RewardModel(load_model(policy), seed)
    prompts = read_prompts(preferences / "prompts.jsonl")
    rankings = read_rankings(preferences / "rankings.jsonl", prompts)
    context = model.language_model.config.max_position_embeddings
    train, test = (
        tokenise(prompts, [r for r in rankings if prompts[r["prompt_id"]]["split"] == split], tokenizer, context)
        for split in ("train", "test")
    )
    if not train or not test:
        raise UserError(
            f"{preferences} holds {len(train)} rankings to train on and {len(test)} to test on: both are needed; "
            "raise preferences.prompts or change preferences.test_share."
        )
    batches = Epochs(train, params.batch_rows, tokenizer.pad, seed)
    outcome = fit(
        model,
        batches,
        partial(ranking_loss, loss=params.loss, centering_weight=params.centering),
        steps=params.steps or max(1, round(params.epochs * batches.steps_per_epoch)),
        params=params,
        # In float32, as its scores decide between near-equal answers; uncompiled, as every batch has a shape of its
        # own; and whole batches, as a ranking's rows belong together.
        machine=machine.model_copy(update={"precision": "32-true", "compile": "off", "micro_rows": None}),
        work=work,
        tracker=tracker,
        out_curve=out_curve,
    )
    model.normalise(model.raw_scores([s for example in train for s in example.sequences], tokenizer.pad))
    save_reward_model(model, out, policy, tokenizer.pad)
    return {
        "train_rankings": len(train),
        "test_rankings": len(test),
        "train_loss": outcome.train_loss,
        **judge(model, train, test, tokenizer.pad, seed),
    }
