"""Checkpoints of a training run: a model folder that opens by itself (config.json, model.safetensors), with the
optimizers' tensors and the run's state beside it. Written aside and renamed, so that a kill leaves a whole checkpoint
or none. A damaged newest one is put aside with a sentence, and the one before it is used. Nothing unpickles, and
nothing depends on how many devices wrote it: each tensor is whole, one process writes, and any number may go on from
it.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from crawl2chat.errors import UserError

logger = logging.getLogger(__name__)
WEIGHTS, OPTIMIZERS, STATE = "model.safetensors", "optimizers.safetensors", "state.json"


def whole_tensor(tensor: Tensor) -> Tensor:
    """The tensor on the CPU; one that is cut over devices is put together, in which all of them take part."""
    tensor = tensor.detach()
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).cpu().contiguous()


def sharded_like(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor on the device of `like`, and cut over devices if that is."""
    tensor = tensor.to(like.device)
    if not hasattr(like, "full_tensor") or tensor.shape != like.shape:
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Puts whole tensors into a model, which may be cut over devices. Rows missing at the end of a table are
    padding."""
    own = dict(model.named_parameters()) | dict(model.named_buffers())
    if not any(hasattr(tensor, "full_tensor") for tensor in own.values()):
        model.load_state_dict(weights)
        return
    with torch.no_grad():
        for name, tensor in weights.items():
            missing = own[name].shape[0] - len(tensor) if tensor.ndim else 0
            padded = torch.cat([tensor, tensor.new_zeros(missing, *tensor.shape[1:])]) if missing else tensor
            own[name].copy_(sharded_like(padded, own[name]))


def gathered(tensors: Iterable[tuple[str, Tensor]], keep: bool) -> dict[str, Tensor]:
    """Whole tensors by name; nothing where they are not to be kept, though every process has to take part."""
    found = {}
    for name, tensor in tensors:
        tensor = whole_tensor(tensor)
        if keep:
            found[name] = tensor
    return found


def optimizer_tensors(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> Iterator[tuple[str, Tensor]]:
    """The optimizers' state as named tensors: `<parameter>/<key>`. Numbers become tensors of one element."""
    names = {id(weight): name for name, weight in model.named_parameters()}
    for optimizer in optimizers:
        for weight, state in optimizer.state.items():
            for key, value in state.items():
                yield f"{names[id(weight)]}/{key}", torch.as_tensor(value)


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
        owner[id(weight)].state[weight][key] = sharded_like(tensor, weight)


def save_checkpoint(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    state: dict[str, Any],
    keep: int,
    writes: bool = True,
) -> Path:
    """Writes folder/step-… and removes all but the `keep` newest. On several devices every process calls this, since a
    tensor may be cut over them, and one `writes`."""
    target = folder / f"step-{step:08d}"
    weights = gathered(model.state_dict().items(), writes)
    tensors = gathered(optimizer_tensors(model, optimizers), writes)
    if not writes:
        return target
    aside = folder / f".{target.name}.partial"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    write_weights(aside, model, weights)
    save_file(tensors, aside / OPTIMIZERS)
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


def save_weights(folder: Path, model: nn.Module, writes: bool = True) -> None:
    """The part of a checkpoint that opens as a model by itself."""
    weights = gathered(model.state_dict().items(), writes)
    if writes:
        write_weights(folder, model, weights)


def write_weights(folder: Path, model: nn.Module, weights: dict[str, Tensor]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
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


def newest_sound(folder: Path) -> Path | None:
    """The newest checkpoint whose files are what was written. Damaged ones are put aside, each with a sentence."""
    for path in reversed(saved(folder)):
        try:
            for name, expected in json.loads((path / STATE).read_text())["sha256"].items():
                if digest(path / name) != expected:
                    raise ValueError(f"{name} is not what was written")
            return path
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:  # unreadable, or no such JSON
            others = len(saved(folder)) > 1
            instead = "using the one before it" if others else "none is left, starting from the beginning"
            kept = put_aside(path)
            logger.warning("checkpoint %s is damaged (%s) and is now %s; %s", path.name, error, kept.name, instead)
    return None


def put_aside(path: Path) -> Path:
    """Renames a checkpoint that is not to be used, and returns its new place."""
    earlier = len(list(path.parent.glob(f"damaged-{path.name}*")))
    return path.rename(path.with_name(f"damaged-{path.name}" + (f"-{earlier}" if earlier else "")))


def load_checkpoint(path: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Any]:
    """Restores a sound checkpoint and returns its state. UserError if it is another model's."""
    weights, tensors = load_file(path / WEIGHTS), load_file(path / OPTIMIZERS)
    own = model.state_dict()
    odd = sorted(own.keys() ^ weights.keys()) or [name for name in own if own[name].shape != weights[name].shape]
    if odd:
        raise UserError(
            f"checkpoint {path} is of another model, first different at {odd[0]!r}: remove it to start anew, or go "
            "back to the parameters that made it"
        )
    load_weights(model, weights)
    try:
        restore_optimizers(model, optimizers, tensors)
    except KeyError as error:
        raise UserError(
            f"checkpoint {path} has optimizer state that this run has no place for ({error}): remove it to start anew, "
            "or go back to the parameters that made it"
        ) from None
    return json.loads((path / STATE).read_text())
