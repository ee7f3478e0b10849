"""Shards as a Slurm job array: submit, wait until the queue has let go of it, leave nothing behind.

In: a list of blocks and a work folder that all nodes see. Out: the shards, and their completion markers. The array's
name tells the work folder, so that what a killed run left in the queue is found and cancelled before its shards are
submitted again: no two jobs ever write the same shard.
"""

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from datatrove.executor.slurm import SlurmPipelineExecutor

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine


class JobArray(SlurmPipelineExecutor):
    """datatrove's executor without its second job, which adds up statistics: `execute` does that itself."""

    def launch_merge_stats(self) -> None:
        pass


def run(name: str, pipeline: list[Any], tasks: int, logs: Path, machine: Machine) -> None:
    """Submit the unfinished shards, and return when no task of theirs is in the queue any more."""
    for command in ("sbatch", "squeue", "scancel"):
        if not shutil.which(command):
            raise UserError(
                f"{name}: executor slurm needs the command {command}; start the pipeline where jobs are submitted."
            )
    params = machine.slurm
    job = f"crawl2chat-{name}-{logs.parents[1].name[:12]}"
    array = JobArray(
        pipeline,
        tasks,
        params.time,
        params.partition,
        params.cpus_per_task,
        params.mem_per_cpu_gb,
        workers=machine.processes(tasks),
        job_name=job,
        qos=params.qos,
        sbatch_args=dict(params.sbatch_args),
        env_command=environment(params.env_command),
        max_array_size=params.max_array_size,
        logging_dir=str(logs),
        requeue=False,
    )
    try:
        subprocess.run(["scancel", "--name", job], check=True, capture_output=True)
        wait_until_gone(job)
        array.run()
        wait_until_gone(job)
    except subprocess.CalledProcessError as error:
        answer = " ".join((error.stderr or error.output or b"").decode(errors="replace").split())
        raise UserError(
            f"{name}: `{shlex.join(map(str, error.cmd))}` failed{f' ({answer})' if answer else ''}; "
            "check the machine's settings of slurm."
        ) from None
    except BaseException:  # interrupted: nothing goes on that nobody waits for
        subprocess.run(["scancel", "--name", job], check=False)
        raise


def environment(command: str) -> str:
    """Shell lines that give a task this project and the Python that has its packages."""
    python = command or f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    return f"{python}\ncd {shlex.quote(os.getcwd())}\nexport PYTHONPATH=$PWD${{PYTHONPATH:+:$PYTHONPATH}}"


def wait_until_gone(job: str, longest: float = 30.0) -> None:
    """Wait until no job of this name is in the queue; ask less often as time goes by (seconds)."""
    pause = 0.5
    while subprocess.run(["squeue", "--noheader", "--name", job], check=True, capture_output=True).stdout.strip():
        time.sleep(pause)
        pause = min(longest, 1.5 * pause)
