"""Which devices a run uses and how: what `auto` means for each field of a `Machine`, and how fast a device could be at best.
Nothing here knows what is trained, and nothing here imports Lightning (crawl2chat/training/fabric.py does).
"""

import os
import time
from collections.abc import Mapping

import torch

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.model.cpu import attention
from crawl2chat.model.network import Kernel
from crawl2chat.model.precision import fast_bfloat16

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


def on_gpu(machine: Machine) -> bool:
    return machine.accelerator in ("gpu", "cuda") or (machine.accelerator == "auto" and torch.cuda.is_available())


def one_device(machine: Machine) -> torch.device:
    """Where a stage works that needs no more than one device. UserError for one that this machine does not have."""
    kind = "cuda" if on_gpu(machine) else "mps" if machine.accelerator == "mps" else "cpu"
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available, "cpu": lambda: True}
    if not there[kind]():
        raise UserError(f"accelerator is {machine.accelerator} and this machine has none: set it to cpu or auto")
    return torch.device(kind)


def choose_precision(machine: Machine) -> str:
    """`auto`: bfloat16 autocast where products in it are faster; weights and optimizer stay in float32."""
    if machine.precision != "auto":
        return machine.precision
    return "bf16-mixed" if fast_bfloat16(torch.device("cuda" if on_gpu(machine) else "cpu")) else "32-true"


def choose_kernel(machine: Machine, head_dim: int, device: torch.device) -> Kernel:
    """Of attention. `auto`: on a CPU the compiled one where it can be had, else SDPA's."""
    if machine.attention != "auto":
        return machine.attention
    dtype = torch.bfloat16 if choose_precision(machine) == "bf16-mixed" else torch.float32
    return "compiled" if device.type == "cpu" and attention.fits(head_dim, dtype) else "sdpa"


def choose_devices(machine: Machine, environment: Mapping[str, str]) -> tuple[int | str, int, int]:
    """(devices of a node, nodes, processes in all). `auto` is every GPU of the node, or one process on a CPU; under torchrun
    as many as it started. UserError for more than the machine has."""
    devices, nodes = machine.devices, machine.num_nodes
    if devices == "auto" and "LOCAL_WORLD_SIZE" in environment:
        devices = int(environment["LOCAL_WORLD_SIZE"])
        if nodes == 1:
            nodes = int(environment["WORLD_SIZE"]) // devices
    gpu = on_gpu(machine)
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
