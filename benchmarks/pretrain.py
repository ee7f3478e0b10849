"""Pretraining against its peers on one text: bits per byte at equal time, and tokens a second at equal size.

    python -m benchmarks.pretrain [--data <real data folder>] [--minutes 20] [--external '<command>']

Contestants share the tokenizer, the text, the order of batches, the threads and the time, which they spend in turns of
a few seconds in one process: `ours` (Muon and AdamW), `adamw` (the same network under AdamW alone) and `gpt2`
(transformers' GPT-2 of equal size as plain code bases train it: AdamW, weight decay, clipping, cosine). All run
compiled and in the device's fast precision. `ours` has the rates of the default run; those of the other two are chosen
by short trials on this text. `trainer` trains our very network, in its transformers form, by transformers' Trainer, for
the comparison of speed. An external command is run for as many seconds; {train}, {validation} and {seconds} in it
become paths of plain text and the time, and the last number it prints is taken as its bits per byte. The last line is
JSON.
"""

import argparse
import gzip
import hashlib
import math
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks import command
from benchmarks.measure import show
from crawl2chat.machine import Machine
from crawl2chat.model.config import ModelConfig, parameter_count
from crawl2chat.model.network import IGNORED, Transformer
from crawl2chat.model.optimizers import build_optimizers
from crawl2chat.model.precision import fast_bfloat16
from crawl2chat.records import Broken, read_records
from crawl2chat.tokens.shards import Entry, write
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tokens.training import train as train_tokenizer
from crawl2chat.training.batches import Batches, Part, Rows, read_tokens, weighted_loss
from crawl2chat.training.compiled import maybe_compile
from crawl2chat.training.devices import choose_kernel
from crawl2chat.training.settings import TrainingParams, learning_rate_factor
from crawl2chat.training.validation import validate
from stages.settings import tuned

CONTEXT, ROWS, VOCABULARY, TURN = 256, 16, 4096, 5.0  # tokens, rows a step, ids, seconds
VALIDATION_ROWS = 512
RATES = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="real data folder; the tiny web's pages without it")
    parser.add_argument("--minutes", type=float, default=20.0, help="of training, all contestants together")
    parser.add_argument("--trial", type=float, default=40.0, help="seconds of each rate of each rival")
    parser.add_argument("--external", help="a command that trains on {train} for {seconds}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        text = prepare(real_texts(options.data) if options.data else tiny_web_texts(), place)
        rivals = [best_rate(make, text, place, options.trial) for make in (adamw, gpt2)]
        contestants = [ours(text, place), *rivals]
        seconds = 60 * options.minutes / len(contestants)
        take_turns(contestants, seconds)
        result: dict[str, Any] = {"seconds_each": seconds, "threads": torch.get_num_threads()}
        for one in contestants:
            result[one.name] = {
                "bpb": round(one.evaluate(), 4),
                "tokens_per_second": round(one.steps * CONTEXT * ROWS / one.spent),
                "parameters": one.parameters,
                "steps": one.steps,
            }
            print(f"{one.name}: {result[one.name]}", flush=True)
        result["muon_gain_bpb"] = round(result["adamw"]["bpb"] - result["ours"]["bpb"], 4)
        result |= against_trainer(text, place)
        if options.external:
            result["external"] = {"bpb": external(options.external, place, seconds)}
    show(result)


# ---- the text


def real_texts(data: Path) -> Iterator[str]:
    """The documents of data/text: JSONL files with `text`, and plain text files."""
    for record in read_records(data / "text", Broken()):
        yield record.value["text"]
    for path in sorted((data / "text").glob("*.txt.gz")):
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
            yield file.read()


def tiny_web_texts() -> Iterator[str]:
    """The good pages of the tiny web."""
    from crawl2chat.tinyweb.pages import PageParams, write_pages
    from crawl2chat.tinyweb.world import WorldParams, build_world

    for page in write_pages(build_world(1, tuned(WorldParams)), tuned(PageParams), 1):
        yield "\n\n".join([page.title, *page.paragraphs])


@dataclass(frozen=True)
class Text:
    tokenizer: Tokenizer
    train: Rows
    held_out: Rows
    config: ModelConfig

    @property
    def batches(self) -> Batches:
        return Batches([Part(self.train, ROWS)], document_mask=True)


def prepare(texts: Iterator[str], place: Path) -> Text:
    """A tokenizer of the text, its shards, and the same split as plain files; every fiftieth document is held out."""
    documents = [part for text in texts for part in _parts(text)]
    train_tokenizer(documents[:: max(1, len(documents) // 2000)], place / "tokenizer", VOCABULARY, 3)
    tokenizer = Tokenizer.load(place / "tokenizer")
    entries = [Entry(str(n), hashlib.sha256(text.encode()).hexdigest(), text) for n, text in enumerate(documents)]
    write(entries, tokenizer, place / "tokens", seed=1, val_share=0.02)
    splits = {
        split: read_tokens(place / "tokens", split, tokenizer.vocab_size, tokenizer.bos) for split in ("train", "val")
    }
    for split, stream in splits.items():
        (place / f"{split}.txt").write_text(tokenizer.decode(stream.ids))
    print(f"{len(documents):,} documents, {len(splits['train'].ids):,} tokens to train on", flush=True)
    config = ModelConfig(tokenizer.vocab_size, max_position_embeddings=CONTEXT)
    return Text(tokenizer, Rows(splits["train"], CONTEXT, 1), Rows(splits["val"], CONTEXT, 1), config)


def _parts(text: str, size: int = 20_000) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


# ---- contestants at equal time


@dataclass
class Contestant:
    """`step(share)` does one step, given the share of the time that is spent; `evaluate` gives bits per byte."""

    name: str
    parameters: int
    step: Callable[[int, float], None]
    evaluate: Callable[[], float]
    steps: int = 0
    spent: float = 0.0


def take_turns(contestants: list[Contestant], seconds: float) -> None:
    """Everyone trains for so many seconds, in turns, so that a busy minute of the machine meets all of them."""
    while any(one.spent < seconds for one in contestants):
        for one in contestants:
            begin = time.perf_counter()
            while one.spent < seconds and time.perf_counter() - begin < TURN:
                before = time.perf_counter()
                one.step(one.steps, one.spent / seconds)
                if one.steps:  # the first step compiles
                    one.spent += time.perf_counter() - before
                one.steps += 1


def bfloat16() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16(torch.device("cpu")))


def bits_per_byte(model: nn.Module, text: Text) -> float:
    with bfloat16():
        measured = validate(model.eval(), text.held_out, text.tokenizer.token_bytes(), VALIDATION_ROWS)
    return measured["val_bpb"]


def ours(text: Text, place: Path, rate: float = 8e-3, muon: float = 0.05, name: str = "ours") -> Contestant:
    model = Transformer(text.config)
    model.kernel = choose_kernel(Machine(), text.config.head_dim, torch.device("cpu"))
    model.initialize(1)
    optimizers = build_optimizers(model, muon, rate, dtype=torch.bfloat16)
    batches, loss = text.batches, maybe_compile(weighted_loss, "auto", place)

    def step(number: int, share: float) -> None:
        with bfloat16():
            loss(model, batches(number)).backward()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("full", group["lr"]) * learning_rate_factor(
                    int(share * 10**6), 10**6, 0.0, 0.6
                )
            optimizer.step()
            optimizer.zero_grad()

    return Contestant(name, parameter_count(text.config), step, lambda: bits_per_byte(model, text))


def adamw(text: Text, place: Path, rate: float) -> Contestant:
    return ours(text, place, rate, 0.0, "adamw")


def best_rate(make: Callable[[Text, Path, float], Contestant], text: Text, place: Path, seconds: float) -> Contestant:
    """The contestant with the rate that was best in short trials."""
    trials = {rate: make(text, place, rate) for rate in RATES}
    take_turns(list(trials.values()), seconds)
    found = {rate: one.evaluate() for rate, one in trials.items()}
    best = min(found, key=found.__getitem__)
    print(f"{trials[best].name}: bits per byte by learning rate {found}, taken {best}", flush=True)
    return make(text, place, best)


class Gpt2(nn.Module):
    """transformers' GPT-2 behind the two functions that training and validation call."""

    def __init__(self, config: ModelConfig) -> None:
        from transformers import GPT2Config, GPT2LMHeadModel

        super().__init__()
        shape = GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=CONTEXT,
            n_embd=config.hidden_size,
            n_layer=config.num_hidden_layers,
            n_head=config.num_attention_heads,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=None,
            eos_token_id=None,
        )
        self.inner = GPT2LMHeadModel(shape)

    def forward(self, ids: torch.Tensor, documents: torch.Tensor | None = None) -> torch.Tensor:
        return self.inner.transformer(ids).last_hidden_state

    def token_losses(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        logits = self.inner.lm_head(hidden).float()
        return nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="none"
        ).view(targets.shape)


def gpt2(text: Text, place: Path, rate: float) -> Contestant:
    torch.manual_seed(1)
    model = Gpt2(text.config)
    batches, loss = text.batches, maybe_compile(weighted_loss, "auto", place)
    decayed = [w for w in model.parameters() if w.ndim >= 2]
    others = [w for w in model.parameters() if w.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}],
        lr=rate,
        betas=(0.9, 0.95),
        fused=True,
    )

    def step(number: int, share: float) -> None:
        with bfloat16():
            loss(model, batches(number)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        factor = min(1.0, share / 0.02) if share < 0.02 else 0.55 + 0.45 * math.cos(math.pi * share)
        for group in optimizer.param_groups:
            group["lr"] = rate * factor
        optimizer.step()
        optimizer.zero_grad()

    parameters = sum(weight.numel() for weight in model.parameters())
    return Contestant("gpt2", parameters, step, lambda: bits_per_byte(model, text))


# ---- speed at equal size


def against_trainer(text: Text, place: Path, steps: int = 30, rounds: int = 3) -> dict[str, float]:
    """Tokens a second of our stage's own training (Lightning and all) and of transformers' Trainer with our network in
    its Qwen3 form, the same batches and precision, in turns; the median of the rounds."""
    from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments

    from crawl2chat.tracking import Tracker
    from crawl2chat.training.supervised import fit

    batches = text.batches

    def by_fit(round_: int) -> float:
        model = Transformer(text.config)
        params = tuned(TrainingParams, batch_rows=ROWS, checkpoint_every=10**6, evaluate_every=10**6)
        work = place / ".work" / f"fit{round_}"
        outcome = fit(
            model,
            batches,
            weighted_loss,
            steps=steps,
            params=params,
            machine=Machine(),
            work=work,
            tracker=Tracker(),
            out_curve=place / "curve.csv",
        )
        return outcome.facts["tokens_per_second"]

    class Data(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return steps * ROWS

        def __getitem__(self, index: int) -> dict[str, np.ndarray]:
            ids, targets, supervised, _ = text.train.row(index)
            # Its model shifts the labels itself: position i is to predict label i + 1.
            return {"input_ids": ids, "labels": np.where(supervised, ids, IGNORED)}

    def by_trainer(round_: int) -> float:
        config = AutoConfig.for_model(**text.config.to_hf())
        model = AutoModelForCausalLM.from_config(config)
        arguments = TrainingArguments(
            output_dir=str(place / f"trainer{round_}"),
            per_device_train_batch_size=ROWS,
            max_steps=steps,
            bf16=fast_bfloat16(torch.device("cpu")),
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        outcome = Trainer(model=model, args=arguments, train_dataset=Data()).train()
        return steps * ROWS * CONTEXT / outcome.metrics["train_runtime"]

    rates: dict[str, list[float]] = {"fit": [], "trainer": []}
    for round_ in range(rounds):
        rates["fit"].append(by_fit(round_))
        rates["trainer"].append(by_trainer(round_))
    fitted, trainer = (statistics.median(values) for values in rates.values())
    return {
        "fit_tokens_per_second": round(fitted),
        "trainer_tokens_per_second": round(trainer),
        "throughput_ratio": round(fitted / trainer, 3),
    }


def external(command: str, place: Path, seconds: float) -> float:
    """What an outside program prints last as its bits per byte."""
    filled = command.format(train=place / "train.txt", validation=place / "val.txt", seconds=round(seconds))
    printed = subprocess.run(filled, shell=True, check=True, text=True, stdout=subprocess.PIPE).stdout
    return float(re.findall(r"\d+\.\d+", printed)[-1])


if __name__ == "__main__":
    command(main)
