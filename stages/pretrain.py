"""Pretraining: a transformer learns to predict the next token of the corpus. In: token shards and their tokenizer. Out:
the base model, an internet document simulator, as a Hugging Face folder; its training curve."""

from pathlib import Path
from typing import Any

from pydantic import Field

from crawl2chat.errors import UserError
from crawl2chat.tracking import Tracker
from crawl2chat.training.settings import TrainingParams


class PretrainParams(TrainingParams):
    """Shape of the model, and what to look at while it learns."""

    context: int = Field(256, ge=8)  # tokens
    hidden_size: int = Field(192, ge=1)
    num_hidden_layers: int = Field(4, ge=1)
    num_attention_heads: int = Field(3, ge=1)
    num_key_value_heads: int = Field(3, ge=1)
    head_dim: int = Field(64, ge=2)
    intermediate_size: int = Field(512, ge=1)
    rope_theta: float = Field(10_000.0, gt=0)
    qk_norm: bool = True
    tie_word_embeddings: bool = True
    document_mask: bool = True  # packed documents do not see each other

    validation_rows: int = Field(256, ge=1)  # rows of validation text at each evaluation
    sample_prompts: tuple[str, ...] = ("The capital of France is", "How to", "Question:")
    sample_tokens: int = Field(32, ge=1)


def pretrain(
    tokens: Path,
    tokenizer: Path,
    out: Path,
    out_curve: Path,
    params: PretrainParams,
    seed: int,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Trains the base model; returns its size, its loss on held-out text, and what it cost."""
    from crawl2chat.model.folder import save_model
    from crawl2chat.model.network import ModelConfig, Transformer, flops_per_token, parameter_count
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.batches import Batches, Part, Rows, read_tokens, weighted_loss
    from crawl2chat.training.fit import fit
    from crawl2chat.training.samples import show_samples
    from crawl2chat.training.validation import validate

    reader = Tokenizer.load(tokenizer)
    train = read_tokens(tokens, "train", reader.vocab_size, reader.bos)
    held_out = read_tokens(tokens, "val", reader.vocab_size, reader.bos)
    if len(train.ids) < params.context:
        raise UserError(
            f"pretrain.context is {params.context} tokens and the whole training split has {len(train.ids)}: "
            "shorten the context or add text"
        )
    config = ModelConfig(
        vocab_size=reader.vocab_size,
        max_position_embeddings=params.context,
        **{key: getattr(params, key) for key in ModelConfig.__dataclass_fields__ if hasattr(params, key)},
    )
    model = Transformer(config)
    model.initialize(seed)
    batches = Batches([Part(Rows(train, params.context, seed), params.batch_rows)], params.document_mask)
    validation = Rows(held_out, params.context, seed)
    steps = params.steps or max(1, round(params.epochs * batches.steps_per_epoch))
    seen = steps * params.batch_rows * params.context
    derived = {
        "parameters": parameter_count(config),
        "steps": steps,
        "tokens_per_step": params.batch_rows * params.context,
        "train_tokens": seen,
        "flops": seen * flops_per_token(config, params.context),
    }
    tracker.params(derived)
    print("pretrain: " + " · ".join(f"{key} {value:,}" for key, value in derived.items()), flush=True)

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
    )
    save_model(model, out, tokenizer)
    return {
        "parameters": derived["parameters"],
        "steps": steps,
        "train_tokens": seen,
        "flops": derived["flops"],
        "tokens_per_second": fitted.tokens_per_second,
        "train_loss": fitted.train_loss,
        **fitted.evaluation,
    }
