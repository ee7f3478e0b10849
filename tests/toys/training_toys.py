"""A corpus of three sentences, its tokenizer, shards and conversations, and a model that trains on them in a second."""

import json
import random
from pathlib import Path

from crawl2chat.machine import Machine
from crawl2chat.tokens import shards, training
from crawl2chat.tokens.tokenizer import Tokenizer

NOTHING = Path(__file__).parents[2] / "inputs" / "model"  # no model to start from
TINY = {
    "batch_rows": 4,
    "log_every": 2,
    "checkpoint_every": 3,
    "evaluate_every": 5,
    "validation_rows": 8,
    "sample_tokens": 4,
}
CPU = Machine(accelerator="cpu", devices=1, precision="32-true", compile="off")
SHAPE = {
    "context": 48,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "intermediate_size": 32,
}


def texts(count: int = 240) -> list[str]:
    """Short documents with something to learn in them."""
    rng = random.Random(0)
    towns = ["Paris", "Rome", "Oslo", "Bern", "Lima", "Cairo", "Quito", "Delhi"]
    return [
        " ".join(
            f"The road from {rng.choice(towns)} to {rng.choice(towns)} takes {rng.randint(2, 99)} hours."
            for _ in range(rng.randint(1, 4))
        )
        for _ in range(count)
    ]


def make_tokenizer(folder: Path) -> Path:
    training.train(texts(), folder, vocab_size=320, digits=1)
    return folder


def make_tokens(folder: Path, tokenizer: Path, count: int = 240) -> Path:
    entries = [shards.Entry(str(i), str(i), text) for i, text in enumerate(texts(count))]
    shards.write(entries, Tokenizer.load(tokenizer), folder, seed=0, val_share=0.1)
    return folder


def conversation(question: str, answer: str) -> dict:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": question, "kind": "fact", "messages": messages}


def make_conversations(folder: Path, count: int = 40) -> Path:
    folder.mkdir(parents=True)
    rng = random.Random(1)
    for split, number in (("train", count), ("val", 8)):
        lines = [conversation(f"Is {rng.randint(0, 99)} odd?", rng.choice(["Yes.", "No."])) for _ in range(number)]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder
