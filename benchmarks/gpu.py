"""How much of a CUDA GPU pretraining uses: tokens/s and model FLOP utilisation (MFU) of depths 12 and 20, in bfloat16,
compiled, through the same `fit` as the stage.

`python -m benchmarks.gpu [--depths 12,20] [--rows 32] [--micro-rows N] [--context 2048] [--profile]`: width is 64 x
depth, heads of 128, text is random tokens in full windows (causal attention alone, the fast kernel). MFU counts 6 FLOPs
per matrix weight and token plus attention (crawl2chat.model.config.flops_per_token) against the data sheet's dense
bfloat16 peak, or a measured one for a GPU that is not in the table. Needs torch, lightning, numpy, pydantic and
safetensors; no tracker, no scheduler. Last line: {"12": {"tokens_per_second": …, "mfu": …}, "20": …}. Aim: an MFU of
.55 at depth 20.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import command
from stages.settings import tuned


def measure(depth: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains a model of this depth for some steps; the median over rows of the curve leaves compiling out."""
    import numpy as np
    import torch

    from crawl2chat.machine import Machine
    from crawl2chat.model.config import ModelConfig, flops_per_token, parameter_count
    from crawl2chat.model.network import Transformer
    from crawl2chat.tracking import Tracker
    from crawl2chat.training.batches import Batches, Part, Rows, Stream, weighted_loss
    from crawl2chat.training.settings import TrainingParams
    from crawl2chat.training.supervised import fit

    vocabulary, context, width = 32_768, arguments.context, 64 * depth
    heads = max(1, width // 128)
    config = ModelConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=128,
        intermediate_size=-(-8 * width // 3 // 128) * 128,
        max_position_embeddings=context,
        tie_word_embeddings=False,
    )
    length = 64 * arguments.rows * context
    stream = Stream(np.random.default_rng(0).integers(0, vocabulary, length), np.arange(0, length, 1000), 0)
    batches = Batches(
        [Part(Rows(stream, context, 0, "windows"), arguments.rows)], document_mask=arguments.document_mask
    )
    params = tuned(TrainingParams, batch_rows=arguments.rows, log_every=5, checkpoint_every=10**9, evaluate_every=10**9)
    machine = Machine(
        accelerator="gpu",
        devices=1,
        precision="bf16-mixed",
        compile="on",
        micro_rows=arguments.micro_rows,
        recompute_activations=arguments.recompute,
    )
    torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        facts = fit(
            Transformer(config),
            batches,
            weighted_loss,
            steps=arguments.steps,
            params=params,
            machine=machine,
            work=place,
            tracker=Tracker(),
            out_curve=place / "curve.csv",
            flops_per_token=flops_per_token(config, context),
        ).facts
    found = {
        "tokens_per_second": round(facts["tokens_per_second"]),
        "mfu": round(facts["mfu"], 4),
        "parameters": parameter_count(config),
        "peak_memory_gib": round(torch.cuda.max_memory_allocated() / 2**30, 1),
    }
    print(f"depth {depth}: " + " · ".join(f"{key} {value:,}" for key, value in found.items()), flush=True)
    return found


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--depths", default="12,20")
    reader.add_argument("--rows", type=int, default=32, help="of a step")
    reader.add_argument("--micro-rows", type=int, default=None, help="worked on at a time, where memory is short")
    reader.add_argument("--context", type=int, default=2048)
    reader.add_argument("--steps", type=int, default=60)
    reader.add_argument("--recompute", action="store_true", help="activations again in the backward pass")
    reader.add_argument("--document-mask", action="store_true", help="documents do not see each other")
    reader.add_argument("--profile", action="store_true", help="also print where the GPU's time goes")
    arguments = reader.parse_args()
    try:
        import torch
    except ImportError:
        print("error: torch is not installed: benchmarks.gpu needs its CUDA build (make cuda)", file=sys.stderr)
        return 1
    if not torch.cuda.is_available():
        print(
            "error: no CUDA GPU is found here: run benchmarks.gpu on a machine that has one, with torch's CUDA build "
            "(make cuda)",
            file=sys.stderr,
        )
        return 1
    torch.set_float32_matmul_precision("high")
    found = {}
    for depth in map(int, arguments.depths.split(",")):
        if arguments.profile:
            from torch.profiler import ProfilerActivity, profile

            with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as profiler:
                found[str(depth)] = measure(depth, arguments)
            print(profiler.key_averages().table(sort_by="self_cuda_time_total", row_limit=25))
        else:
            found[str(depth)] = measure(depth, arguments)
        torch.cuda.empty_cache()
    print(json.dumps({"device": torch.cuda.get_device_name(0), **found}))
    return 0


if __name__ == "__main__":
    command(main)
