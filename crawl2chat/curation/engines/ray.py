"""Shards in a Ray cluster, or in one that lives on this machine for as long as they take."""

import os
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine


def run(name: str, pipeline: list[Any], tasks: int, logs: Path, machine: Machine) -> None:
    """Do the unfinished shards."""
    try:
        import ray
    except ImportError:
        raise UserError(f"{name}: executor ray needs Ray; install it with `pip install crawl2chat[ray]`.") from None
    from datatrove.executor.ray import RayPipelineExecutor

    params, workers = machine.ray, machine.processes(tasks)
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, (os.getcwd(), os.getenv("PYTHONPATH"))))}
    cluster = {"address": params.address}
    if not params.address:
        cluster = {"num_cpus": workers * params.cpus_per_task, "include_dashboard": False}
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if started := not ray.is_initialized():
        ray.init(**cluster, runtime_env={"env_vars": environment}, log_to_driver=False, logging_level="ERROR")
    try:
        RayPipelineExecutor(
            pipeline,
            tasks,
            workers,
            logging_dir=str(logs),
            cpus_per_task=params.cpus_per_task,
            mem_per_cpu_gb=params.mem_per_cpu_gb,
        ).run()
    finally:
        if started:
            ray.shutdown()
