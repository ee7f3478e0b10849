"""Checkpoints of a training run: a model folder that opens by itself (config.json, model.safetensors), with the optimizers'
tensors and the run's state beside it. Written aside and renamed, so that a kill leaves a whole checkpoint or none. A
damaged newest one is set aside with a sentence, and the one before it is used. Nothing unpickles.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

WEIGHTS, OPTIMIZERS, STATE = "model.safetensors", "optimizers.safetensors", "state.json"


def optimizer_tensors(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """The optimizers' state as named tensors: `<parameter>/<key>`. Numbers become tensors of one element."""
    names = {id(weight): name for name, weight in model.named_parameters()}
    return {
        f"{names[id(weight)]}/{key}": torch.as_tensor(value).detach().cpu().contiguous()
        for optimizer in optimizers
        for weight, state in optimizer.state.items()
        for key, value in state.items()
    }


def restore_optimizers(
    model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], tensors: dict[str, Tensor]
) -> None:
    """Puts the tensors of `optimizer_tensors` back, on each parameter's device."""
    weights = dict(model.named_parameters())
    owner = {
        id(weight): optimizer
        for optimizer in optimizers
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    for name, tensor in tensors.items():
        weight_name, key = name.rsplit("/", 1)
        weight = weights[weight_name]
        # AdamW counts its steps in a CPU tensor unless it is fused on a device, where it moves the count itself.
        owner[id(weight)].state[weight][key] = tensor.to(weight.device)


def save_checkpoint(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    state: dict[str, Any],
    keep: int,
) -> Path:
    """Writes folder/step-… and removes all but the `keep` newest."""
    target = folder / f"step-{step:08d}"
    aside = folder / f".{target.name}.partial"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    save_weights(aside, model)
    save_file(optimizer_tensors(model, optimizers), aside / OPTIMIZERS)
    digests = {name: digest(aside / name) for name in (WEIGHTS, OPTIMIZERS)}
    (aside / STATE).write_text(json.dumps({"step": step, "sha256": digests, **state}))
    for file in sorted(aside.iterdir()):
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    shutil.rmtree(target, ignore_errors=True)
    aside.rename(target)
    for old in saved(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def save_weights(folder: Path, model: nn.Module) -> None:
    """The part of a checkpoint that opens as a model by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    aside = folder / f".{WEIGHTS}.partial"
    save_file(weights, aside)
    aside.rename(folder / WEIGHTS)  # a new file: whoever linked the old one keeps it
    if hasattr(model, "config"):
        (folder / "config.json").write_text(json.dumps(model.config.to_hf(), indent=2, sort_keys=True) + "\n")


def saved(folder: Path) -> list[Path]:
    """Checkpoints in `folder`, oldest first."""
    return sorted(folder.glob("step-*"))


def digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def load_newest(
    folder: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> dict[str, Any] | None:
    """Restores the newest sound checkpoint and returns its state; None when there is none to go on from."""
    for path in reversed(saved(folder)):
        try:
            state = json.loads((path / STATE).read_text())
            for name, expected in state["sha256"].items():
                if digest(path / name) != expected:
                    raise ValueError(f"{name} is not what was written")
            weights, tensors = load_file(path / WEIGHTS), load_file(path / OPTIMIZERS)
            model.load_state_dict(weights)
            restore_optimizers(model, optimizers, tensors)
        except Exception as error:  # whatever is wrong with a checkpoint, the one before it may be sound
            print(f"checkpoint {path.name} is damaged ({error}); using the one before it", file=sys.stderr)
            shutil.rmtree(path)
            continue
        return state
    return None
