"""A toy world for reinforcement learning: a byte tokenizer, a two-layer model that half knows which digit is right."""

import json
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from crawl2chat.alignment.replay import Replay, ReplayParams
from crawl2chat.chat.search import write_index
from crawl2chat.machine import Machine
from crawl2chat.model.folder import save_model
from crawl2chat.model.network import ModelConfig, Transformer
from crawl2chat.tokens.splits import split_pattern
from crawl2chat.tokens.tokenizer import SPECIALS
from crawl2chat.tokens.tokenizer import Tokenizer as OurTokenizer
from crawl2chat.tracking import Tracker
from stages.settings import tuned

CPU = Machine(accelerator="cpu", devices=1)
LETTERS = "abcdefghijklmnop"


class Killed(Exception):
    """What a kill looks like to a test."""


class KillAt(Tracker):
    """A run that dies while it reports step `at`."""

    def __init__(self, at: int) -> None:
        self.at = at

    def metrics(self, values, step=None) -> None:
        if step == self.at:
            raise Killed


def make_tokenizer(folder: Path) -> Path:
    """Bytes and the eight special tokens, as a tokenizer folder."""
    alphabet = {character: i for i, character in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    split = pre_tokenizers.Split(Regex(split_pattern(1)), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIALS])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text("{}")
    return folder


def make_world(folder: Path, right: float = 0.5) -> dict[str, Path]:
    """Paths by stage argument: tasks "say ab" → "7", conversations of which a share `right` is right, token shards,
    and a policy trained on those conversations, so that it starts at about that accuracy."""
    rng = np.random.default_rng(0)
    tasks = []
    for i, (a, b) in enumerate(rng.permutation([(x, y) for x in LETTERS for y in LETTERS])):
        prompt, split = f"say {a}{b}", ("train", "train", "dev", "test")[i % 4]
        tasks.append({"id": f"t{i}", "skill": "addition", "split": split, "prompt": prompt, "answer": "7"})
        tasks[-1] |= {"aliases": [], "entity": None, "mentions": None, "meta": {}}
    conversations = []
    for task in (task for task in tasks if task["split"] == "train"):
        said = task["answer"] if rng.random() < right else str(rng.integers(10))
        closing = " I hope this helps." if rng.random() < 0.3 else "."
        messages = [{"role": "user", "content": task["prompt"]}, {"role": "assistant", "content": said + closing}]
        conversations.append({"id": task["id"], "kind": "copy", "messages": messages})
    paths = {name: folder / name for name in ("tasks", "conversations", "tokens", "policy", "pairs", "chat")}
    for path in paths.values():
        path.mkdir(parents=True)
    paths["index"] = folder / "search.sqlite"
    write_index([("page", "https://pages.example/", "A page", "Some text of a page.")], paths["index"], 120)
    write(paths["tasks"] / "tasks.jsonl", tasks)
    write(paths["conversations"] / "train.jsonl", conversations)
    make_tokenizer(paths["policy"])
    tokenizer = OurTokenizer.load(paths["policy"])
    stream = [i for _ in range(40) for i in [tokenizer.bos, *tokenizer.encode("some text")]]
    np.array(stream, dtype=np.uint16).tofile(paths["tokens"] / "train.bin")
    np.save(paths["tokens"] / "train.idx.npy", np.flatnonzero(np.array(stream) == tokenizer.bos))
    (paths["tokens"] / "meta.json").write_text(json.dumps({"dtype": "uint16", "vocab_size": tokenizer.vocab_size}))

    model = Transformer(toy_config(tokenizer.vocab_size))
    replay = make_replay(paths, tokenizer, conversations=16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(80):
        optimizer.zero_grad()
        replay.backward(model, step, 1.0)
        optimizer.step()
    save_model(model, paths["policy"])
    return paths


def toy_config(vocab_size: int) -> ModelConfig:
    return ModelConfig(
        vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        intermediate_size=64,
        max_position_embeddings=64,
    )


def make_replay(paths: dict[str, Path], tokenizer, conversations: int = 4, windows: int = 1) -> Replay:
    params = tuned(ReplayParams, replay_conversations=conversations, replay_windows=windows, replay_width=60)
    return Replay(paths["conversations"], paths["tokens"], tokenizer, params, context=64, seed=0)


def write(path: Path, records: list[dict]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, or the file itself."""
    files = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in files}
