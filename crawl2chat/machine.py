"""Where and how fast a stage runs: devices, processes, a cluster, and what they cost. Nothing here decides what comes
out, but for the last digits of sums that are added up in another order; so none of it makes a finished stage stale.

Every field has a default that suits the machine at hand.
"""

import os
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from crawl2chat.parameters import Params


class SlurmParams(Params):
    """How shards are submitted as a job array; one task of the array does one shard."""

    partition: str = "cpu"
    # Limit for one task.
    time: str = "12:00:00"
    cpus_per_task: PositiveInt = 1
    mem_per_cpu_gb: PositiveInt = 4
    qos: str = ""
    # Of the cluster; more shards become several arrays, one after the other.
    max_array_size: PositiveInt = 1_000
    # Any others, {account: me}.
    sbatch_args: dict[str, str] = {}
    # Shell line that makes the environment on a node; empty takes this Python's.
    env_command: str = ""


class RayParams(Params):
    """Where shards run in a Ray cluster."""

    # Of the cluster; empty starts one on this machine for as long as the work takes.
    address: str = ""
    cpus_per_task: PositiveInt = 1
    mem_per_cpu_gb: PositiveFloat = 1.0


class Machine(Params):
    """The dials of a machine, or of one kind of work on it."""

    # How long a stage may take when a flow runs it; it is stopped then, and goes on from its checkpoint when run again.
    timeout_minutes: PositiveFloat | None = None

    # ---- curation: shards are worked on by processes
    executor: Literal["local", "slurm", "ray"] = "local"
    # Shards worked on at a time; auto: one for each core, or all of them on a cluster.
    workers: PositiveInt | Literal["auto"] = "auto"
    slurm: SlurmParams = SlurmParams()
    ray: RayParams = RayParams()

    # ---- training, generation, evaluation
    # Lightning's names; auto picks what the machine has.
    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    # auto: every GPU of the machine, or one process on a CPU.
    devices: PositiveInt | Literal["auto"] = "auto"
    num_nodes: PositiveInt = 1
    # On several devices: copies of the model, or parts of it; auto: ddp, or fsdp2 where the model is too large for one
    # device.
    strategy: Literal["auto", "ddp", "fsdp2"] = "auto"
    # auto: bf16-mixed where the device is fast at it, else 32-true.
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    # torch.compile; auto: where a C++ compiler works.
    compile: Literal["auto", "on", "off"] = "auto"
    # Kernel of attention in training; auto: the compiled one on a CPU, else SDPA; flex for long packed rows on GPUs.
    attention: Literal["auto", "sdpa", "flex"] = "auto"
    # Rows of a batch that a device works on at a time; null: its whole share.
    micro_rows: PositiveInt | None = None
    # A third more compute for far less memory.
    recompute_activations: bool = False

    # ---- what it costs
    # Dollars, here of two rented cores.
    price_per_device_hour: float = Field(0.05, ge=0)

    def processes(self, tasks: int) -> int:
        """How many of `tasks` shards are worked on at a time."""
        if self.workers == "auto":
            return min(tasks, available_cores()) if self.executor == "local" else tasks
        return min(tasks, self.workers)


def available_cores() -> int:
    """Cores that this process may use, which a container or `taskset` can make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
