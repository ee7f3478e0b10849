"""Where a run takes place: accelerator, devices, strategy and precision as Lightning wants them, what `auto` means for each,
and how fast the device could be at best. Nothing here knows what is trained.

`ddp` keeps the whole model on every device and averages gradients (PyTorch DistributedDataParallel); `fsdp2` cuts
weights, gradients and optimizer state into one part per device (PyTorch `fully_shard`, Lightning ModelParallelStrategy).
"""

import os
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from crawl2chat.errors import UserError
from crawl2chat.model.cpu import attention
from crawl2chat.model.network import Block, Kernel
from crawl2chat.model.precision import fast_bfloat16
from crawl2chat.training.settings import TrainingParams

TRAINING_BYTES = 16  # a parameter: weight, gradient and two moments of AdamW in float32; Muon keeps one moment less
# Dense bfloat16 matrix products in FLOP/s, as NVIDIA's data sheets state them (without sparsity). Of a name that holds
# several keys the first counts.
PEAK_FLOPS = {
    "GB200": 2.5e15,
    "B200": 2.25e15,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10G": 70e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}


def on_gpu(params: TrainingParams) -> bool:
    return params.accelerator in ("gpu", "cuda") or (params.accelerator == "auto" and torch.cuda.is_available())


def choose_precision(params: TrainingParams) -> str:
    """`auto`: bfloat16 autocast where products in it are faster; weights and optimizer stay in float32."""
    if params.precision != "auto":
        return params.precision
    return "bf16-mixed" if fast_bfloat16(torch.device("cuda" if on_gpu(params) else "cpu")) else "32-true"


def choose_kernel(params: TrainingParams, head_dim: int, device: torch.device) -> Kernel:
    """Of attention. `auto`: on a CPU the compiled one where it can be had, else SDPA's."""
    if params.attention != "auto":
        return params.attention
    dtype = torch.bfloat16 if choose_precision(params) == "bf16-mixed" else torch.float32
    return "compiled" if device.type == "cpu" and attention.fits(head_dim, dtype) else "sdpa"


def choose_devices(params: TrainingParams, environment: Mapping[str, str]) -> tuple[int | str, int, int]:
    """(devices of a node, nodes, processes in all). `auto` is every GPU of the node, or one process on a CPU; under torchrun
    as many as it started. UserError for more than the machine has."""
    devices, nodes = params.devices, params.num_nodes
    if devices == "auto" and "LOCAL_WORLD_SIZE" in environment:
        devices = int(environment["LOCAL_WORLD_SIZE"])
        if nodes == 1:
            nodes = int(environment["WORLD_SIZE"]) // devices
    gpu = on_gpu(params)
    there = torch.cuda.device_count() if gpu else os.cpu_count() or 1
    if devices == "auto":
        return devices, nodes, nodes * (there if gpu else 1)
    if devices > there:
        kind = ("CUDA GPU" if gpu else "CPU core") + ("" if there == 1 else "s")
        raise UserError(f"devices is {devices} and this machine has {there} {kind}: lower devices, or set it to auto")
    return devices, nodes, nodes * devices


def choose_strategy(wanted: str, world: int, parameters: int, memory: int | None) -> str:
    """`auto` on one device is no strategy at all. On several, ddp while what a parameter needs in training fits into six
    tenths of a device's memory in bytes (the rest is for activations), else fsdp2. memory None: a CPU."""
    if wanted != "auto" or world == 1:
        return wanted
    return "fsdp2" if memory and parameters * TRAINING_BYTES > 0.6 * memory else "ddp"


def build_strategy(params: TrainingParams, world: int, parameters: int) -> Any:
    """Lightning's strategy object, or "auto" for a single device."""
    from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

    memory = torch.cuda.get_device_properties(0).total_memory if on_gpu(params) and torch.cuda.is_available() else None
    name = choose_strategy(params.strategy, world, parameters, memory)
    if name == "fsdp2":
        return ModelParallelStrategy(data_parallel_size=world, tensor_parallel_size=1)
    # Gradients live in the buffers they travel in: one copy less.
    return DDPStrategy(gradient_as_bucket_view=True) if name == "ddp" else name


def shard(model: nn.Module, mesh: Any, mixed: bool, compiled: bool) -> None:
    """Cuts a model's weights over the devices of a mesh, block by block: one block at a time is whole in memory.

    With mixed precision a block travels and works in bfloat16 and its gradients are summed in float32; the residual stream
    stays float32, as under autocast. A block is compiled without the gathering around it, and only for training: generation
    and evaluation have other shapes at every call.
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


def peak_flops(device: torch.device, mixed: bool) -> tuple[float, str]:
    """The FLOP/s that utilisation is measured against, and where the number is from: the data sheet for the GPUs listed
    here, else a short matrix product on the device, as it is now: what a loaded machine gives is then called its peak."""
    if device.type == "cuda" and mixed:
        name = torch.cuda.get_device_name(device)
        for key, flops in PEAK_FLOPS.items():
            if key in name:
                return flops, f"data sheet of {key}, dense bfloat16"
    dtype = torch.bfloat16 if mixed else torch.float32
    size, best = (8192, 0.0) if device.type == "cuda" else (768, 0.0)
    left, right = (torch.full((size, size), 0.5, dtype=dtype, device=device) for _ in range(2))
    for _ in range(6):
        began = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best, f"measured: a {size} x {size} product in {str(dtype).removeprefix('torch.')}"
