"""reward: two reward models from rankings of different prompts, and what the first is worth on prompts it never saw.

models/reward is what `rlhf` optimises; models/reward_validation, which never sees its rankings, says when to stop, as a
validation set does. All pairs of a ranking in one batch element, a scalar head on the policy, one or two epochs; scores
are normalised on the policy's own answers. Batches, loss and judgement: crawl2chat/alignment/reward_training.py; the
loop is the shared one.
"""

from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.tracking import Tracker
from crawl2chat.training.settings import TrainingParams

HEADLINE = {"reward": {"accuracy": "pair_accuracy"}}


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
    out_validation: Path,
    out_curve: Path,
    params: RewardParams,
    machine: Machine,
    seed: int,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Trains each on its half of the train prompts, normalises on their answers, judges on the test prompts."""
    from crawl2chat.alignment.preferences import purpose, read_prompts, read_rankings
    from crawl2chat.alignment.reward_model import RewardModel, save_reward_model
    from crawl2chat.alignment.reward_training import (
        Epochs,
        candidate_scores,
        judge,
        models_agree,
        ranking_loss,
        tokenise,
    )
    from crawl2chat.model.folder import load_model
    from crawl2chat.tinyweb.gold import style
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.supervised import fit

    tokenizer = Tokenizer.load(policy)
    prompts = read_prompts(preferences / "prompts.jsonl")
    rankings = read_rankings(preferences / "rankings.jsonl", prompts)
    parts: dict[str, list[dict]] = {"proxy": [], "validation": [], "test": []}
    for ranking in rankings:
        parts[purpose(prompts[ranking["prompt_id"]])].append(ranking)
    if not all(parts.values()):
        raise UserError(
            f"{preferences} holds {len(parts['proxy'])} rankings to train on, {len(parts['validation'])} to stop by "
            f"and {len(parts['test'])} to test on: all are needed; raise preferences.prompts or change "
            "preferences.test_share."
        )
    own = partial(tokenise, prompts, tokenizer=tokenizer, style=style)
    metrics: dict[str, Any] = {}
    scores = {}
    for name, folder, curve in (
        ("validation", out_validation, work / "validation.csv"),
        ("proxy", out, out_curve),
    ):
        model = RewardModel(load_model(policy), seed)
        context = model.language_model.config.max_position_embeddings
        train, test = own(parts[name], context=context), own(parts["test"], context=context)
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
            work=work / name,
            tracker=tracker if name == "proxy" else Tracker(),
            out_curve=curve,
        )
        model.normalise(model.raw_scores([s for example in train for s in example.sequences], tokenizer.pad))
        save_reward_model(model, folder, policy, tokenizer.pad, [one["prompt_id"] for one in parts[name]])
        found = {"train_rankings": len(train), "train_loss": outcome.train_loss}
        found |= judge(model, train, test, tokenizer.pad, seed)
        scores[name] = candidate_scores(model, test, tokenizer.pad)
        metrics |= found if name == "proxy" else {"validation_pair_accuracy": found["pair_accuracy"]}
    return metrics | models_agree(scores["proxy"], scores["validation"], seed) | {"test_rankings": len(parts["test"])}
