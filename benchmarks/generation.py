"""Generation against transformers' `generate`, on the model of the tiny web's size or any exported folder.

    python -m benchmarks.generation [--model models/export] [--tokens 192] [--rounds 5]

Both write greedily after the same prompts, on the same threads, taking turns; no token ends an answer, so that both
write as many. Rates are medians. `ratio_batch1` and `ratio_batch32` are ours in the precision that it chooses on this
machine over the faster of transformers' two; the ratios in equal precision stand beside them. The last line is JSON.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import command
from benchmarks.measure import show
from crawl2chat.model.config import ModelConfig
from crawl2chat.model.folder import load_model, save_model
from crawl2chat.model.generate import Sampling, generate
from crawl2chat.model.network import Transformer
from crawl2chat.model.precision import fastest_dtype

# Tokens.
PROMPT = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="an exported folder; the default shape, untrained, without it")
    parser.add_argument("--tokens", type=int, default=192, help="that each answer has")
    parser.add_argument("--rounds", type=int, default=5, help="in which both take their turn")
    options = parser.parse_args()
    precisions = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    fastest = fastest_dtype(torch.device("cpu"))
    chosen = next(name for name, dtype in precisions.items() if dtype == fastest)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model or Path(scratch)
        if not options.model:
            save_model(noisy(), folder)
        result = {"threads": torch.get_num_threads(), "tokens": options.tokens, "precision": chosen}
        for batch in (1, 32):
            rates = {}
            for name, dtype in precisions.items():
                ours, theirs, equal = contest(folder, batch, options.tokens, options.rounds, dtype)
                rates[name] = ours, theirs
                result |= {
                    f"ratio_batch{batch}_{name}": ours / theirs,
                    f"tokens_per_second_batch{batch}_{name}": ours,
                    f"transformers_batch{batch}_{name}": theirs,
                }
                if name == "float32":
                    result[f"equal_texts_batch{batch}"] = equal
                print(f"batch {batch}, {name}: {ours:,.0f} against {theirs:,.0f} tokens/s", flush=True)
            result[f"ratio_batch{batch}"] = rates[chosen][0] / max(theirs for _, theirs in rates.values())
    show(result)


def noisy() -> Transformer:
    """An untrained model of the default run's shape in which every block does something."""
    model = Transformer(ModelConfig(1024))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * 0.05)
    return model.eval()


def contest(folder: Path, batch: int, tokens: int, rounds: int, dtype: torch.dtype) -> tuple[float, float, int]:
    """Tokens a second of ours and of transformers, and how many texts both wrote the same."""
    from transformers import AutoModelForCausalLM, GenerationConfig

    ours = load_model(folder)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    tokens = min(tokens, ours.config.max_position_embeddings - PROMPT)
    generator = torch.Generator().manual_seed(1)
    prompts = torch.randint(ours.config.vocab_size - 8, (batch, PROMPT), generator=generator)
    greedy = GenerationConfig(max_new_tokens=tokens, do_sample=False, pad_token_id=0, eos_token_id=None)
    theirs.generation_config = greedy  # the folder's own would end a text at its end token

    def write_ours() -> list[list[int]]:
        sampling = Sampling(tokens, temperature=0)
        done = generate(ours, prompts.tolist(), sampling, batch_size=batch, dtype=dtype)
        return [completion.ids for completion in done]

    @torch.inference_mode()
    def write_theirs() -> list[list[int]]:
        written = theirs.generate(prompts, attention_mask=torch.ones_like(prompts), generation_config=greedy)
        return written[:, PROMPT:].tolist()

    # Also warms both up. Where two ids are equally likely but for rounding, the texts differ from there on.
    equal = sum(one == other for one, other in zip(write_ours(), write_theirs(), strict=True))
    times: dict[Callable, list[float]] = {write_ours: [], write_theirs: []}
    for _ in range(rounds):
        for write, measured in times.items():
            begin = time.perf_counter()
            write()
            measured.append(time.perf_counter() - begin)
    rates = [batch * tokens / statistics.median(measured) for measured in times.values()]
    return rates[0], rates[1], equal


if __name__ == "__main__":
    command(main)
