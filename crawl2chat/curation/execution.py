"""Runs a datatrove pipeline in shards, on this machine, a Slurm cluster or a Ray cluster.

In: a list of blocks and a work folder that belongs to exactly one configuration (completion markers know nothing of
parameters). Out: the statistics of all shards, merged. A killed run redoes unfinished shards only. Shards go to the
work folder, which all machines must see, and are published at the end, so that a stage's out is whole or absent.
"""

import os
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import Any

from loguru import logger

from crawl2chat.curation.statistics import Statistics, merged_statistics
from crawl2chat.machine import Machine

logger.disable("datatrove")  # its pages of log lines, in every worker; errors are raised all the same


def execute(name: str, pipeline: list[Any], work: Path, machine: Machine, tasks: int) -> Statistics:
    """Run `pipeline` in `tasks` shards; the output does not depend on where and how many at a time."""
    logs = work / name / "logs"
    if len(finished(logs)) < tasks:
        if machine.executor == "slurm":
            from crawl2chat.curation.engines import slurm as engine
        elif machine.executor == "ray":
            from crawl2chat.curation.engines import ray as engine
        else:
            from crawl2chat.curation.engines import local as engine
        engine.run(name, [follow_parent, *pipeline], tasks, logs, machine)
    if missing := tasks - len(finished(logs)):
        slurm_logs = f" and {logs / 'slurm_logs'}" if machine.executor == "slurm" else ""
        raise RuntimeError(f"{name}: {missing} of {tasks} shards did not finish; see {logs / 'logs'}{slurm_logs}.")
    return merged_statistics(logs / "stats")


def finished(logs: Path) -> list[Path]:
    """The completion markers of shards."""
    return list((logs / "completions").glob("*"))


def follow_parent(data: Any = None, rank: int = 0, world_size: int = 1) -> None:
    """First step of every pipeline: a worker whose stage was killed ends too.

    Else it would go on with a shard that the next run is about to redo.
    """
    watch_parent()


@lru_cache(1)  # once a process
def watch_parent() -> None:
    from multiprocess import parent_process

    def end_with(parent: Any) -> None:
        parent.join()
        os._exit(1)

    if parent := parent_process():
        Thread(target=end_with, args=[parent], daemon=True).start()
