"""Supervised fine-tuning: the base model learns the assistant's side of conversations. In: the base model,
conversations, and the pretraining shards, replayed so that nothing is forgotten. Out: the fine-tuned model and its
training curve."""

import logging
from pathlib import Path
from typing import Any

from pydantic import Field

from crawl2chat.machine import Machine
from crawl2chat.tracking import Tracker
from crawl2chat.training.settings import TrainingParams

logger = logging.getLogger(__name__)


HEADLINE = {"sft": {"tokens": "supervised_tokens", "val_loss": "val_loss", "bpb": "text_bpb"}}


class SftParams(TrainingParams):
    """Training dials with fine-tuning's defaults, and the mixture."""

    batch_rows: int = Field(ge=2)
    # Passes over the conversations.
    epochs: float = Field(gt=0)
    muon_lr: float = Field(ge=0)
    adamw_lr: float = Field(gt=0)
    warmup: float = Field(0.02, ge=0, le=1)
    decay: float = Field(ge=0, le=1)
    # Rows of pretraining text for each row of conversations, and their share of the loss beside the conversations' 1.
    replay: float = Field(ge=0)
    replay_weight: float = Field(ge=0)
    # Once, on a base model that never saw them.
    initialize_specials: bool = True
    validation_rows: int = Field(64, ge=1)
    sample_prompts: tuple[str, ...] = ("Hello!", "What is the capital of France?", "What is 12 * 34?")
    sample_tokens: int = Field(48, ge=1)


def sft(
    base: Path,
    conversations: Path,
    tokens: Path,
    out: Path,
    out_curve: Path,
    params: SftParams,
    machine: Machine,
    seed: int,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Fine-tunes the base model; returns its loss on held-out conversations and on held-out text."""
    from crawl2chat.chat.conversation import render_prompt
    from crawl2chat.errors import UserError
    from crawl2chat.model.config import flops_per_token
    from crawl2chat.model.folder import load_model, save_model
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.batches import Batches, Part, Rows, read_tokens, weighted_loss
    from crawl2chat.training.conversations import read_conversations, start_special_tokens
    from crawl2chat.training.samples import show_samples
    from crawl2chat.training.supervised import fit
    from crawl2chat.training.validation import validate

    tokenizer = Tokenizer.load(base)
    model = load_model(base)
    if model.config.vocab_size < tokenizer.vocab_size:
        raise UserError(
            f"{base}: the tokenizer has {tokenizer.vocab_size:,} ids and the model {model.config.vocab_size:,}: "
            "they do not belong together"
        )
    if params.initialize_specials:
        start_special_tokens(model, tokenizer)
    context = model.config.max_position_embeddings
    train = read_conversations(conversations / "train.jsonl", tokenizer, context)
    held_out = read_conversations(conversations / "val.jsonl", tokenizer, context)
    text = {split: read_tokens(tokens, split, tokenizer.vocab_size, tokenizer.bos) for split in ("train", "val")}

    replayed = min(params.batch_rows - 1, round(params.batch_rows * params.replay / (1 + params.replay)))
    parts = [Part(Rows(train.stream, context, seed), params.batch_rows - replayed)]
    if replayed:
        parts.append(Part(Rows(text["train"], context, seed), replayed, params.replay_weight))
    batches = Batches(parts)
    steps = params.steps or max(1, round(params.epochs * batches.steps_per_epoch))
    derived = {
        "steps": steps,
        "conversations": train.used,
        "too_long": train.too_long,
        "supervised_tokens": train.supervised_tokens,
        "conversation_rows_per_step": params.batch_rows - replayed,
        "replayed_rows_per_step": replayed,
    }
    tracker.params(derived)
    logger.info("sft: %s", " · ".join(f"{key} {value:,}" for key, value in derived.items()))

    answers, documents = Rows(held_out.stream, context, seed), Rows(text["val"], context, seed)
    bytes_of = tokenizer.token_bytes()

    def evaluate(m: Any) -> dict[str, float]:
        return {
            "val_loss": validate(m, answers, bytes_of, params.validation_rows)["val_loss"],
            "text_bpb": validate(m, documents, bytes_of, params.validation_rows)["val_bpb"],
        }

    prompts = {text: render_prompt([{"role": "user", "content": text}], tokenizer) for text in params.sample_prompts}
    outcome = fit(
        model,
        batches,
        weighted_loss,
        steps=steps,
        params=params,
        machine=machine,
        work=work,
        tracker=tracker,
        out_curve=out_curve,
        evaluate=evaluate,
        show=lambda m, step: show_samples(m, tokenizer, prompts, {tokenizer.end}, params.sample_tokens, tracker, step),
        flops_per_token=flops_per_token(model.config, context),
    )
    save_model(model, out, base)
    return {**derived, "train_loss": outcome.train_loss, **outcome.evaluation}
