"""What a model writes after fixed prompts while it trains: the next token's likeliest candidates and a continuation."""

import math
from collections.abc import Collection, Mapping, Sequence

from torch import nn

from crawl2chat.model.generate import Sampling, generate
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
    """Sends the tracker two tables: `next_tokens`, the map of what the model thought at each position of what it wrote
    (the token it took and the three likeliest with their probabilities), and `samples`, a row for each prompt."""
    if not prompts:
        return
    sampling = Sampling(max_new_tokens, stop_ids, temperature=0.0, alternatives=3)
    written = generate(model, list(prompts.values()), sampling)
    likeliest = {
        prompt: [
            [(tokenizer.decode([i], specials=True), math.exp(logprob)) for i, logprob in position]
            for position in completion.alternatives
        ]
        for prompt, completion in zip(prompts, written, strict=True)
    }
    tracker.table(
        "next_tokens",
        [
            {"step": step, "prompt": prompt, "position": position, "token": top[0][0]}
            | {f"top_{place}": f"{text!r} {chance:.3f}" for place, (text, chance) in enumerate(top, start=1)}
            for prompt, positions in likeliest.items()
            for position, top in enumerate(positions)
        ],
    )
    tracker.table(
        "samples",
        [
            {
                "step": step,
                "prompt": prompt,
                "continuation": tokenizer.decode(completion.ids),
                "next_token": " · ".join(f"{text!r} {chance:.2f}" for text, chance in likeliest[prompt][0]),
            }
            for prompt, completion in zip(prompts, written, strict=True)
        ],
    )
