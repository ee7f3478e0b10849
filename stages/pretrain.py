"""Pretraining: a transformer learns to predict the next token of the corpus. In: token shards and their tokenizer. Out:
the base model, an internet document simulator, as a Hugging Face folder; its training curve."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.tracking import Tracker
from crawl2chat.training.settings import TrainingParams

if TYPE_CHECKING:
    from crawl2chat.model.network import Transformer

logger = logging.getLogger(__name__)


HEADLINE = {"pretrain": {"tokens": "train_tokens", "val_loss": "val_loss", "bpb": "val_bpb"}}


class PretrainParams(TrainingParams):
    """Shape of the model, and what to look at while it learns. What is None follows from `init_from`, `depth` or
    `preset`, in this order (crawl2chat/model/presets.py)."""

    preset: str
    # One dial: shape, batch, learning rates and token budget follow.
    depth: int | None = Field(ge=1)
    # The budget where neither epochs nor steps are set.
    tokens_per_parameter: float = Field(gt=0)
    # A Llama or Qwen3 folder; dvc.yaml hands it to the stage.
    init_from: str

    # Tokens.
    context: int | None = Field(ge=8)
    hidden_size: int | None = Field(ge=1)
    num_hidden_layers: int | None = Field(ge=1)
    num_attention_heads: int | None = Field(ge=1)
    num_key_value_heads: int | None = Field(ge=1)
    head_dim: int | None = Field(ge=2)
    intermediate_size: int | None = Field(ge=1)
    rope_theta: float | None = Field(gt=0)
    # False: Llama's layout.
    qk_norm: bool | None
    tie_word_embeddings: bool | None
    # Rows of the vocabulary's tables are padded to a multiple of this.
    vocab_multiple: int = Field(64, ge=1)
    # Packed documents do not see each other.
    document_mask: bool
    # documents: whole, each row begins with one; windows: the text end to end, cut wherever a row is full.
    packing: Literal["documents", "windows"] = "documents"

    batch_rows: int | None = Field(ge=1)
    epochs: float | None = Field(gt=0)
    # 0: `init_from` as it is.
    steps: int | None = Field(ge=0)
    muon_lr: float | None = Field(ge=0)
    adamw_lr: float | None = Field(gt=0)

    # Rows of validation text at each evaluation.
    validation_rows: int = Field(256, ge=1)
    sample_prompts: tuple[str, ...] = ("The capital of France is", "How to", "Question:")
    sample_tokens: int = Field(32, ge=1)


def pretrain(
    tokens: Path,
    tokenizer: Path,
    init_from: Path,
    out: Path,
    out_curve: Path,
    params: PretrainParams,
    machine: Machine,
    seed: int,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Trains the base model; returns its size and its loss on held-out text."""
    from crawl2chat.model.config import flops_per_token, parameter_count
    from crawl2chat.model.folder import save_model
    from crawl2chat.model.presets import SHAPE, context_of, recipe
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.batches import Batches, Part, Rows, read_tokens, weighted_loss
    from crawl2chat.training.progress import write_curve
    from crawl2chat.training.samples import show_samples
    from crawl2chat.training.supervised import fit
    from crawl2chat.training.validation import validate

    reader = Tokenizer.load(tokenizer)
    train = read_tokens(tokens, "train", reader.vocab_size, reader.bos)
    held_out = read_tokens(tokens, "val", reader.vocab_size, reader.bos)
    chosen = choices(params, init_from)
    model = initial_model(chosen, init_from, tokenizer, reader.vocab_size, seed)
    config = model.config
    context = context_of(config, chosen)
    if len(train.ids) < context:
        raise UserError(
            f"pretrain.context is {context} tokens and the whole training split has {len(train.ids)}: "
            "shorten the context or add text"
        )
    rows = Rows(train, context, seed, params.packing)
    settled = recipe(config, chosen, context, len(rows) * context)
    batches = Batches([Part(rows, settled["batch_rows"])], params.document_mask)
    validation = Rows(held_out, context, seed)
    if settled["steps"] is None:
        settled["steps"] = max(1, round(chosen["epochs"] * batches.steps_per_epoch))
    params, steps = params.model_copy(update=settled), settled["steps"]
    seen = steps * params.batch_rows * context
    derived = {
        "parameters": parameter_count(config),
        "context": context,
        **{key: getattr(config, key) for key in (*SHAPE, "vocab_size")},
        **settled,
        "tokens_per_step": params.batch_rows * context,
        "train_tokens": seen,
        "epochs": round(steps / batches.steps_per_epoch, 3),
        "flops": seen * flops_per_token(config, context),
    }
    tracker.params(derived)
    logger.info("pretrain: %s", " · ".join(f"{key} {formatted(value)}" for key, value in derived.items()))
    if not steps:
        save_model(model, out, tokenizer)
        measured = validate(model, validation, reader.token_bytes(), params.validation_rows)
        write_curve(out_curve, [{"step": 0, **{key: f"{value:.6f}" for key, value in measured.items()}}])
        return {"parameters": derived["parameters"], "steps": 0, "train_tokens": 0, "flops": 0, **measured}

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
        evaluate=lambda m: validate(m, validation, reader.token_bytes(), params.validation_rows),
        show=lambda m, step: show_samples(
            m,
            reader,
            {prompt: [reader.bos, *reader.encode(prompt)] for prompt in params.sample_prompts},
            {reader.bos},
            params.sample_tokens,
            tracker,
            step,
        ),
        flops_per_token=flops_per_token(config, context),
    )
    save_model(model, out, tokenizer)
    return {
        "parameters": derived["parameters"],
        "steps": steps,
        "train_tokens": seen,
        "flops": derived["flops"],
        "spikes": outcome.spikes,
        "train_loss": outcome.train_loss,
        **outcome.evaluation,
    }


def choices(params: PretrainParams, init_from: Path) -> dict[str, Any]:
    """What was set explicitly, over what the default run was tuned to where that is the model trained."""
    from crawl2chat.model.presets import TUNED
    from crawl2chat.tokens.adopt import is_model

    chosen = {key: value for key, value in params.model_dump().items() if value is not None}
    if is_model(init_from):
        return {"epochs": 1.0, **chosen}  # over one's own text; the budget is for models that start from nothing
    if params.steps == 0:
        raise UserError("pretrain.steps is 0 and there is no model to take: name its folder in pretrain.init_from")
    if params.depth and params.preset != "tiny":
        raise UserError(f"pretrain.depth and pretrain.preset ({params.preset}) both give the shape: set one to null")
    return chosen if params.depth else {**TUNED.get(params.preset, {}), **chosen}


def initial_model(
    chosen: dict[str, Any], init_from: Path, tokenizer: Path, vocab_size: int, seed: int
) -> "Transformer":
    """The model as it is before the first step: of the folder, or with fresh weights."""
    from crawl2chat.model.folder import load_model, with_vocabulary
    from crawl2chat.model.network import Transformer
    from crawl2chat.model.presets import SHAPE, shape
    from crawl2chat.tokens.adopt import is_model, rows_of_ids

    if not is_model(init_from):
        config = shape(chosen, vocab_size, depth=chosen.get("depth"), name=chosen.get("preset", "tiny"))
        model = Transformer(config, chosen["vocab_multiple"])
        model.initialize(seed)
        return model
    model = load_model(init_from)
    for key in SHAPE:
        if key in chosen and chosen[key] != getattr(model.config, key):
            raise UserError(
                f"pretrain.{key} is {chosen[key]} and {init_from} has {getattr(model.config, key)}: set it to null"
            )
    sources = rows_of_ids(init_from, tokenizer, model.config.vocab_size)
    return with_vocabulary(model, sources)


def formatted(value: Any) -> str:
    """For people: 1,968,320 and 0.0500."""
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
