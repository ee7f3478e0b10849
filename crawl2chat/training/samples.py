"""What a model writes after fixed prompts while it trains: the next token's likeliest candidates and a continuation."""

import math
from collections.abc import Collection, Mapping, Sequence

from torch import nn

from crawl2chat.model.generate import generate
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tracking import Tracker


def show_samples(
    model: nn.Module,
    tokenizer: Tokenizer,
    prompts: Mapping[str, Sequence[int]],
    stop_ids: Collection[int],
    max_new_tokens: int,
    tracker: Tracker,
    step: int,
) -> None:
    """Sends the tracker a table `samples`: step, prompt, greedy continuation, and the three likeliest next tokens."""
    written = generate(
        model,
        list(prompts.values()),
        max_new_tokens=max_new_tokens,
        stop_ids=stop_ids,
        temperature=0.0,
        alternatives=3,
    )
    rows = [
        {
            "step": step,
            "prompt": prompt,
            "continuation": tokenizer.decode(completion.ids),
            "next_token": " · ".join(
                f"{tokenizer.decode([i], specials=True)!r} {math.exp(logprob):.2f}"
                for i, logprob in completion.alternatives[0]
            ),
        }
        for prompt, completion in zip(prompts, written, strict=True)
    ]
    tracker.table("samples", rows)
