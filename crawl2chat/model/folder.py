"""A model on disk: config.json, model.safetensors and the tokenizer's files, in Hugging Face's layout. Nothing
unpickles. Folders written here open in transformers as they are, and Qwen3 or Llama folders from elsewhere, whole or in
shards, open here.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from crawl2chat.errors import UserError
from crawl2chat.model.config import ModelConfig
from crawl2chat.model.network import TABLES, Transformer

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


def save_model(model: Transformer, folder: Path, tokenizer_folder: Path | None = None) -> None:
    """Writes the model's folder; the same weights give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(model.config.to_hf(), indent=2, sort_keys=True) + "\n")
    weights = {name: weight.detach().float().cpu().contiguous() for name, weight in model.state_dict().items()}
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
    for name in TOKENIZER_FILES if tokenizer_folder else ():
        if (tokenizer_folder / name).exists():
            shutil.copyfile(tokenizer_folder / name, folder / name)


def load_config(folder: Path) -> ModelConfig:
    """The shape of the model in `folder`."""
    if not (folder / "config.json").exists():
        raise UserError(f"{folder / 'config.json'} does not exist: {folder} is not a model folder")
    try:
        return ModelConfig.from_hf(read_json(folder / "config.json"))
    except UserError as error:
        raise UserError(f"{folder}: {error}") from None


def read_json(path: Path) -> dict:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is no JSON ({error}): get the folder again") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no JSON object: get the folder again")
    return value


def weight_files(folder: Path) -> list[Path]:
    """The shards that the index names, or the one file where there is no index."""
    names = [WEIGHTS]
    if (folder / INDEX).exists():
        names = sorted(set(read_json(folder / INDEX).get("weight_map", {}).values()))
    absent = [name for name in names if not (folder / name).exists()]
    if absent or not names:
        others = sorted(file.name for pattern in ("*.bin", "*.pth", "*.gguf") for file in folder.glob(pattern))
        hint = f" ({others[0]} is not read: convert it to safetensors)" if others else ""
        raise UserError(f"{folder} holds no {(absent or [WEIGHTS])[0]}: it is not a whole model folder{hint}")
    return [folder / name for name in names]


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder, of one file or of several shards."""
    weights: dict[str, torch.Tensor] = {}
    for file in weight_files(folder):
        try:
            weights |= load_file(file)
        except SafetensorError as error:
            raise UserError(f"{file} is damaged ({error}): write it again, or get it again") from None
    return weights


def load_model(folder: Path, device: str = "cpu") -> Transformer:
    """The model of a folder, in float32, in evaluation mode."""
    config = load_config(folder)
    weights = load_weights(folder)
    # No memory and no random numbers for weights that are replaced at once.
    with torch.device("meta"):
        model = Transformer(config)
    if config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    own = model.state_dict()
    # Old Llama folders also keep the rotary frequencies, which follow from config.json.
    weights = {name: weight for name, weight in weights.items() if not name.endswith("rotary_emb.inv_freq")}
    misfits = sorted(own.keys() ^ weights.keys()) or sorted(
        name for name in own if own[name].shape != weights[name].shape
    )
    if misfits:
        raise UserError(f"{folder}: the weights do not fit config.json, first at {misfits[0]!r}")
    # One by one, so that there are never two copies of all.
    for name in own:
        own[name] = weights.pop(name).to(torch.float32, copy=True)
    model.load_state_dict(own, assign=True)
    return model.to(device).eval()


def with_vocabulary(model: Transformer, sources: Sequence[int | None]) -> Transformer:
    """The model with another vocabulary: id i takes the weights that `sources[i]` had, or, where that is None, the mean
    of all, which makes a new token neither likelier nor less likely than the average one."""
    if list(sources) == list(range(model.config.vocab_size)):
        return model
    weights = model.state_dict()
    rows = torch.tensor([-1 if source is None else source for source in sources])
    for name in TABLES:
        if name in weights:
            table = weights[name]
            weights[name] = torch.where((rows < 0)[:, None], table.mean(0), table[rows])
    with torch.device("meta"):
        changed = Transformer(replace(model.config, vocab_size=len(sources)))
    changed.load_state_dict(weights, assign=True)
    return changed.train(model.training)
