"""Lightning Fabric built from a `Machine`: the one place that knows of accelerators, processes, strategies and
precision.

`ddp` keeps the whole model on every device and averages gradients (PyTorch DistributedDataParallel); `fsdp2` cuts
weights, gradients and optimizer state into one part per device (PyTorch `fully_shard`). Import this module inside the
function that trains: it imports Lightning's package of Fabric alone, as `lightning` would import its Trainer and its
metrics, and those transformers, for many seconds.
"""

import logging
import os
import warnings
from contextlib import AbstractContextManager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import Precision
from lightning_fabric.strategies import DDPStrategy, ModelParallelStrategy
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import nn

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.model.network import Block
from crawl2chat.training.devices import choose_devices, choose_precision, choose_strategy, on_gpu


class BFloat16Mixed(Precision):
    """Autocast to bfloat16. Lightning's own also casts the inputs, and with them the weights of the tokens' losses."""

    precision = "bf16-mixed"

    def __init__(self, device_type: str) -> None:
        self.device_type = device_type

    def forward_context(self) -> AbstractContextManager:
        # Without the cache each use of a weight has a cast of its own, whose gradients are added up in float32.
        return torch.autocast(self.device_type, torch.bfloat16, cache_enabled=False)


def start_fabric(machine: Machine, parameters: int = 0, shards: bool = False) -> Fabric:
    """Fabric with all of the run's processes started. `parameters` is the size of what is trained, by which `auto`
    chooses a strategy. UserError for devices that do not exist, and for fsdp2 unless the caller can train a model in
    `shards`."""
    logging.getLogger("lightning_fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    devices, nodes, world = choose_devices(machine, os.environ)
    memory = torch.cuda.get_device_properties(0).total_memory if on_gpu(machine) and torch.cuda.is_available() else None
    strategy = choose_strategy(machine.strategy, world, parameters, memory)
    if strategy == "fsdp2" and not shards:
        raise UserError(
            "strategy is fsdp2 and reinforcement learning keeps the whole model on every device: set it to ddp"
        )
    strategy_object: Any = strategy
    if strategy == "fsdp2":
        # What is set up cuts itself.
        strategy_object = ModelParallelStrategy(lambda module, mesh: module.shard(mesh["data_parallel"]), world, 1)
    elif strategy == "ddp":
        # Gradients live in the buffers they travel in: one copy less.
        strategy_object = DDPStrategy(gradient_as_bucket_view=True)
    mixed = choose_precision(machine) == "bf16-mixed"
    try:
        fabric = Fabric(
            accelerator=machine.accelerator,
            devices=devices,
            num_nodes=nodes,
            strategy=strategy_object,
            plugins=BFloat16Mixed("cuda" if on_gpu(machine) else "cpu") if mixed else None,
        )
    except (MisconfigurationException, ValueError, RuntimeError, ModuleNotFoundError) as error:
        raise UserError(
            f"no such accelerator ({machine.accelerator}), devices ({machine.devices}) or strategy "
            f"({machine.strategy}) on this machine: {error}"
        ) from None
    fabric.launch()
    return fabric


def is_mixed(fabric: Fabric) -> bool:
    """Whether products are in bfloat16."""
    return fabric.strategy.precision.precision == "bf16-mixed"


def is_sharded(fabric: Fabric) -> bool:
    """Whether models are cut over the devices."""
    return isinstance(fabric.strategy, ModelParallelStrategy)


def shard(model: nn.Module, mesh: Any, mixed: bool, compiled: bool) -> None:
    """Cuts a model's weights over the devices of a mesh, block by block: one block at a time is whole in memory.

    With mixed precision a block travels and works in bfloat16 and its gradients are summed in float32; the residual
    stream stays float32, as under autocast. A block is compiled without the gathering around it, and only for training:
    generation and evaluation have other shapes at every call.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    inner = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False) if mixed else None
    for block in [module for module in model.modules() if isinstance(module, Block)]:
        if compiled:
            block.forward = in_training(torch.compile(block.forward, dynamic=False), block.forward)
        fully_shard(block, mesh=mesh, **({"mp_policy": inner} if inner else {}))
    fully_shard(model, mesh=mesh)


def in_training(fast: Any, plain: Any) -> Any:
    return lambda *inputs: (fast if torch.is_grad_enabled() else plain)(*inputs)
