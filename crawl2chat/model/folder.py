"""A model on disk: config.json, model.safetensors and the tokenizer's files, in Hugging Face's layout. Nothing unpickles.
Folders written here open in transformers as they are, and Qwen3 or Llama folders from elsewhere open here.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from crawl2chat.errors import UserError
from crawl2chat.model.network import ModelConfig, Transformer

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


def save_model(model: Transformer, folder: Path, tokenizer_folder: Path | None = None) -> None:
    """Writes the model's folder; the same weights give the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(model.config.to_hf(), indent=2, sort_keys=True) + "\n")
    weights = {
        name: weight.detach().float().cpu().contiguous() for name, weight in model.state_dict().items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for name in TOKENIZER_FILES if tokenizer_folder else ():
        if (tokenizer_folder / name).exists():
            shutil.copyfile(tokenizer_folder / name, folder / name)


def load_config(folder: Path) -> ModelConfig:
    """The shape of the model in `folder`."""
    path = folder / "config.json"
    if not path.exists():
        raise UserError(f"{path} does not exist: {folder} is not a model folder")
    return ModelConfig.from_hf(json.loads(path.read_text()))


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors of a folder, of one file or of several shards."""
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise UserError(f"{folder} holds no model.safetensors: it is not a model folder")
    weights: dict[str, torch.Tensor] = {}
    for file in files:
        try:
            weights |= load_file(file)
        except SafetensorError as error:
            raise UserError(f"{file} is damaged ({error}): build it again with `dvc repro`") from None
    return weights


def load_model(folder: Path, device: str = "cpu") -> Transformer:
    """The model of a folder, in float32, in evaluation mode."""
    model = Transformer(load_config(folder))
    weights = load_weights(folder)
    if model.config.tie_word_embeddings:
        weights.pop("lm_head.weight", None)
    own = model.state_dict()
    odd = sorted(own.keys() ^ weights.keys()) or sorted(
        name for name in own if own[name].shape != weights[name].shape
    )
    if odd:
        raise UserError(f"{folder}: the weights do not fit config.json, first at {odd[0]!r}")
    model.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return model.to(device).eval()
