"""Pretraining: a transformer learns to predict the next token of the corpus. In: token shards and their tokenizer. Out:
the base model, an internet document simulator, as a Hugging Face folder; its training curve."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from crawl2chat.errors import UserError
from crawl2chat.tracking import Tracker
from crawl2chat.training.settings import TrainingParams

if TYPE_CHECKING:
    from crawl2chat.model.network import Transformer


class PretrainParams(TrainingParams):
    """Shape of the model, and what to look at while it learns. What is None follows from `init_from`, `depth` or
    `preset`, in this order (crawl2chat/model/presets.py)."""

    placement: ClassVar[frozenset[str]] = TrainingParams.placement | {"price_per_device_hour"}

    preset: str = "tiny"
    depth: int | None = Field(None, ge=1)  # one dial: shape, batch, learning rates and token budget follow
    tokens_per_parameter: float = Field(12.0, gt=0)  # the budget where neither epochs nor steps are given
    init_from: str = "inputs/model"  # a Llama or Qwen3 folder; dvc.yaml hands it to the stage

    context: int | None = Field(None, ge=8)  # tokens
    hidden_size: int | None = Field(None, ge=1)
    num_hidden_layers: int | None = Field(None, ge=1)
    num_attention_heads: int | None = Field(None, ge=1)
    num_key_value_heads: int | None = Field(None, ge=1)
    head_dim: int | None = Field(None, ge=2)
    intermediate_size: int | None = Field(None, ge=1)
    rope_theta: float | None = Field(None, gt=0)
    qk_norm: bool | None = None  # False: Llama's layout
    tie_word_embeddings: bool | None = None
    vocab_multiple: int = Field(64, ge=1)  # rows of the vocabulary's tables are padded to a multiple of this
    document_mask: bool = True  # packed documents do not see each other
    # documents: whole, each row begins with one; windows: the text end to end, cut wherever a row is full
    packing: Literal["documents", "windows"] = "documents"

    batch_rows: int | None = Field(None, ge=1)
    epochs: float | None = Field(None, gt=0)
    steps: int | None = Field(None, ge=0)  # 0: `init_from` as it is
    muon_lr: float | None = Field(None, ge=0)
    adamw_lr: float | None = Field(None, gt=0)

    validation_rows: int = Field(256, ge=1)  # rows of validation text at each evaluation
    sample_prompts: tuple[str, ...] = ("The capital of France is", "How to", "Question:")
    sample_tokens: int = Field(32, ge=1)
    price_per_device_hour: float = Field(0.05, ge=0)  # dollars, for the cost of the run


def pretrain(
    tokens: Path,
    tokenizer: Path,
    init_from: Path,
    out: Path,
    out_curve: Path,
    params: PretrainParams,
    seed: int,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Trains the base model; returns its size, its loss on held-out text, and what it cost."""
    import torch.distributed as dist

    from crawl2chat.model.folder import save_model
    from crawl2chat.model.network import flops_per_token, parameter_count
    from crawl2chat.model.presets import SHAPE, context_of, recipe
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.batches import Batches, Part, Rows, read_tokens, weighted_loss
    from crawl2chat.training.fit import fit
    from crawl2chat.training.samples import show_samples
    from crawl2chat.training.validation import validate

    reader = Tokenizer.load(tokenizer)
    train = read_tokens(tokens, "train", reader.vocab_size, reader.bos)
    held_out = read_tokens(tokens, "val", reader.vocab_size, reader.bos)
    given = choices(params, init_from)
    model = start(given, init_from, tokenizer, reader.vocab_size, seed)
    config = model.config
    context = context_of(config, given)
    if len(train.ids) < context:
        raise UserError(
            f"pretrain.context is {context} tokens and the whole training split has {len(train.ids)}: "
            "shorten the context or add text"
        )
    rows = Rows(train, context, seed, params.packing)
    settled = recipe(config, given, context, len(rows) * context)
    batches = Batches([Part(rows, settled["batch_rows"])], params.document_mask)
    validation = Rows(held_out, context, seed)
    if settled["steps"] is None:
        settled["steps"] = max(1, round(given["epochs"] * batches.steps_per_epoch))
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
    print("pretrain: " + " · ".join(f"{key} {told(value)}" for key, value in derived.items()), flush=True)
    if not steps:
        save_model(model, out, tokenizer)
        measured = validate(model, validation, reader.token_bytes(), params.validation_rows)
        out_curve.parent.mkdir(parents=True, exist_ok=True)
        out_curve.write_text("step,val_loss,val_bpb\n0,{val_loss:.6f},{val_bpb:.6f}\n".format(**measured))
        return {"parameters": derived["parameters"], "steps": 0, "train_tokens": 0, "flops": 0, **measured}

    fitted = fit(
        model,
        batches,
        weighted_loss,
        steps=steps,
        params=params,
        work=work,
        tracker=tracker,
        out_curve=out_curve,
        evaluate=lambda m: validate(m, validation, reader.token_bytes(), params.validation_rows),
        look=lambda m, step: show_samples(
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
    devices = dist.get_world_size() if dist.is_initialized() else 1
    device_hours = devices * seen / fitted.tokens_per_second / 3600
    return {
        "parameters": derived["parameters"],
        "steps": steps,
        "train_tokens": seen,
        "flops": derived["flops"],
        "device_hours": device_hours,
        "cost": device_hours * params.price_per_device_hour,
        "tokens_per_second": fitted.tokens_per_second,
        "mfu": fitted.mfu,
        "checkpoint_share": fitted.checkpoint_share,
        "spikes": fitted.spikes,
        "train_loss": fitted.train_loss,
        **fitted.evaluation,
    }


def choices(params: PretrainParams, init_from: Path) -> dict[str, Any]:
    """What was set explicitly, over what the default run was tuned to where that is the model trained."""
    from crawl2chat.model.presets import TUNED
    from crawl2chat.tokens.adopt import is_model

    given = {key: value for key, value in params.model_dump().items() if value is not None}
    if is_model(init_from):
        return {"epochs": 1.0, **given}  # over one's own text; the budget is for models that start from nothing
    if params.steps == 0:
        raise UserError("pretrain.steps is 0 and there is no model to take: name its folder in pretrain.init_from")
    if params.depth and params.preset != "tiny":
        raise UserError(f"pretrain.depth and pretrain.preset ({params.preset}) both give the shape: set one to null")
    return given if params.depth else {**TUNED.get(params.preset, {}), **given}


def start(given: dict[str, Any], init_from: Path, tokenizer: Path, vocab_size: int, seed: int) -> "Transformer":
    """The model as it is before the first step: of the folder, or with fresh weights."""
    from crawl2chat.model.folder import load_model, with_vocabulary
    from crawl2chat.model.network import Transformer
    from crawl2chat.model.presets import SHAPE, shape
    from crawl2chat.tokens.adopt import is_model, rows_of_ids

    if not is_model(init_from):
        config = shape(given, vocab_size, depth=given.get("depth"), name=given.get("preset", "tiny"))
        model = Transformer(config, given["vocab_multiple"])
        model.initialize(seed)
        return model
    model = load_model(init_from)
    for key in SHAPE:
        if key in given and given[key] != getattr(model.config, key):
            raise UserError(
                f"pretrain.{key} is {given[key]} and {init_from} has {getattr(model.config, key)}: set it to null"
            )
    sources = rows_of_ids(init_from, tokenizer, model.config.vocab_size)
    return with_vocabulary(model, sources)


def told(value: Any) -> str:
    """For people: 1,968,320 and 0.0500."""
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
