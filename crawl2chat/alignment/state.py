"""Where a run of reinforcement learning stands, on disk: killed and started again, it ends with the same bytes.

In: model and optimizer tensors, and plain facts (step, KL coefficient, the curve so far). Out: one safetensors file,
replaced atomically. Random numbers need no place here: they are functions of (seed, step).
"""

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

NAME = "state.safetensors"


def save_state(
    work: Path,
    modules: dict[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    facts: dict[str, Any],
    kept: dict[str, Tensor] | None = None,
) -> None:
    """Writes everything aside, then over the last state. `kept` are further tensors, such as the best weights."""
    tensors = {
        f"{name}/{key}": value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{index}/{key}": torch.as_tensor(value) for key, value in slots.items()}
    tensors |= {f"kept/{key}": value for key, value in (kept or {}).items()}
    work.mkdir(parents=True, exist_ok=True)
    aside = work / (NAME + ".partial")
    flat = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    save_file(flat, aside, metadata={"facts": json.dumps(facts, sort_keys=True)})
    with aside.open("rb") as file:
        os.fsync(file.fileno())
    aside.replace(work / NAME)


def load_state(
    work: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer
) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """Puts modules and optimizer where they stood; returns (facts, kept), or None where nothing was saved."""
    path = work / NAME
    if not path.exists():
        return None
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
        tensors = {key: file.get_tensor(key) for key in sorted(file.keys())}
    for name, module in modules.items():
        module.load_state_dict(_under(tensors, f"{name}/"))
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in _under(tensors, "optimizer/").items():
        index, slot = key.split("/")
        slots.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": slots})
    return facts, _under(tensors, "kept/")


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
