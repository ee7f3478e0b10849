"""Runs a datatrove pipeline in shards, on this machine, a Slurm cluster or a Ray cluster.

In: a list of blocks and a work folder that belongs to exactly one configuration (completion markers know nothing of
parameters). Out: the statistics of all shards, merged. A killed run redoes unfinished shards only. Shards go to the work
folder, which all machines must see, and are published at the end, so that a stage's out is whole or absent.
"""

import io
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import Any, Literal

from loguru import logger
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from crawl2chat.errors import UserError
from crawl2chat.parameters import Params

logger.disable("datatrove")  # its pages of log lines, in every worker; errors are raised all the same

logger.disable("datatrove")  # its pages of log lines; errors are raised all the same


class SlurmParams(Params):
    """How shards are submitted as a job array; one task of the array does one shard."""

    partition: str = "cpu"
    time: str = "12:00:00"  # limit for one task
    cpus_per_task: PositiveInt = 1
    mem_per_cpu_gb: PositiveInt = 4
    qos: str = ""
    max_array_size: PositiveInt = 1_000  # of the cluster; more shards become several arrays, one after the other
    sbatch_args: dict[str, str] = {}  # any others, {account: me}
    env_command: str = ""  # shell line that makes the environment; empty takes this Python's


class RayParams(Params):
    """Where shards run in a Ray cluster."""

    address: str = ""  # of the cluster; empty starts one on this machine for as long as the stage runs
    cpus_per_task: PositiveInt = 1
    mem_per_cpu_gb: PositiveFloat = 1.0


class ExecutionParams(Params):
    """How a curation stage is spread over processes. The output depends on none of it."""

    executor: Literal["local", "slurm", "ray"] = "local"
    tasks: PositiveInt = 8  # shards; files are dealt to them in turn
    workers: NonNegativeInt = 2  # shards worked on at a time; 1 with `local` runs in this process; 0: all, on a cluster
    slurm: SlurmParams = SlurmParams()
    ray: RayParams = RayParams()


def execute(
    name: str, pipeline: list[Any], work: Path, execution: ExecutionParams, tasks: int | None = None
) -> dict[str, dict[str, float]]:
    """Run `pipeline` in as many shards as `execution` says, or `tasks`.

    Returns {block: {statistic: total}}, with `seconds` for each block.
    """
    tasks = tasks or execution.tasks
    logging = work / name / "logs"
    run = {"local": _run_local, "slurm": _run_slurm, "ray": _run_ray}[execution.executor]
    if len(finished(logging)) < tasks:
        run(name, [follow_parent, *pipeline], tasks, logging, execution)
    if missing := tasks - len(finished(logging)):
        raise RuntimeError(
            f"{name}: {missing} of {tasks} shards did not finish; see {logging / 'logs'}"
            + (f" and {logging / 'slurm_logs'}." if execution.executor == "slurm" else ".")
        )
    return merged_statistics(logging / "stats")


def finished(logging: Path) -> list[Path]:
    return list((logging / "completions").glob("*"))


def follow_parent(data: Any = None, rank: int = 0, world_size: int = 1) -> None:
    """First step of every pipeline: a worker whose stage was killed ends too, instead of going on with a shard that the
    next run is about to redo."""
    _watch_parent()


@lru_cache(1)  # once a process
def _watch_parent() -> None:
    from multiprocess import parent_process

    def end_with(parent: Any) -> None:
        parent.join()
        os._exit(1)

    if parent := parent_process():
        Thread(target=end_with, args=[parent], daemon=True).start()


# ---- engines


def _run_local(name: str, pipeline: list[Any], tasks: int, logging: Path, execution: ExecutionParams) -> None:
    from crawl2chat.curation.pool import WatchedExecutor

    workers = min(execution.workers or os.cpu_count() or 1, tasks)
    WatchedExecutor(pipeline, tasks=tasks, workers=workers, logging_dir=str(logging)).run()


def _run_slurm(name: str, pipeline: list[Any], tasks: int, logging: Path, execution: ExecutionParams) -> None:
    from crawl2chat.curation import slurm

    slurm.run(name, pipeline, tasks, logging, execution)


def _run_ray(name: str, pipeline: list[Any], tasks: int, logging: Path, execution: ExecutionParams) -> None:
    try:
        import ray
    except ImportError:
        raise UserError(f"{name}: executor ray needs Ray; install it with `pip install crawl2chat[ray]`.") from None
    from datatrove.executor.ray import RayPipelineExecutor

    params, workers = execution.ray, min(execution.workers or tasks, tasks)
    here = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, (os.getcwd(), os.getenv("PYTHONPATH"))))}}
    where = (
        {"address": params.address}
        if params.address
        else {"num_cpus": workers * params.cpus_per_task, "include_dashboard": False}
    )
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    started = not ray.is_initialized()
    if started:
        ray.init(**where, runtime_env=here, log_to_driver=False, logging_level="ERROR")
    try:
        RayPipelineExecutor(
            pipeline,
            tasks,
            workers,
            logging_dir=str(logging),
            cpus_per_task=params.cpus_per_task,
            mem_per_cpu_gb=params.mem_per_cpu_gb,
        ).run()
    finally:
        if started:
            ray.shutdown()


# ---- statistics, shards and documents


def merged_statistics(folder: Path) -> dict[str, dict[str, float]]:
    """datatrove's own summary covers only the shards of the last run; this adds up the files of all shards."""
    merged: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for path in sorted(folder.glob("[0-9]*.json")):
        for block in json.loads(path.read_text()):
            # datatrove writes "🫂 - DEDUP: 🎯 MinHash stage 4"
            name = block["name"].split(" - ", 1)[-1].split(": ", 1)[-1].encode("ascii", "ignore").decode().strip()
            times = block["time_stats"]
            merged[name]["seconds"] += float(times["total"] if isinstance(times, dict) else times)
            for key, value in block["stats"].items():
                merged[name][key] += value["total"] if isinstance(value, dict) else value
    return {name: dict(values) for name, values in merged.items()}


def publish(shards: Path, out: Path) -> None:
    """Make `out` from finished shards by hard links (copies across file systems), in any state left by an earlier kill."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for path in sorted(p for p in shards.rglob("*") if p.is_file()):
        target = out / path.relative_to(shards)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:
            shutil.copy2(path, target)


def milliseconds(statistics: dict[str, dict[str, float]]) -> dict[str, float]:
    """Mean time of each block for a document that reached it."""
    return {
        block: 1_000 * values["seconds"] / values["total"]
        for block, values in statistics.items()
        if values.get("total") and values.get("seconds")
    }


def counts(statistics: dict[str, dict[str, float]], block: str, prefix: str) -> dict[str, int]:
    """{kind: number} from the statistics `<prefix><kind>` of a block."""
    values = sorted(statistics.get(block, {}).items())
    return {key.removeprefix(prefix): int(n) for key, n in values if key.startswith(prefix)}


def blocks_table(statistics: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """A row a block: documents that reached it, how many it dropped, and its mean time for one."""
    times = milliseconds(statistics)
    return [
        {
            "block": block,
            "documents": int(statistics[block]["total"]),
            "dropped": int(statistics[block].get("dropped", 0)),
            "ms_per_document": round(times[block], 4),
        }
        for block in times
    ]


def drop_counts(statistics: dict[str, dict[str, float]]) -> dict[str, dict[str, int]]:
    """{block: {reason: documents}} from the `dropped_<reason>` statistics."""
    drops = {block: counts(statistics, block, "dropped_") for block in statistics}
    return {block: reasons for block, reasons in drops.items() if reasons}


def require_documents(kept: int, stage: str, drops: dict[str, dict[str, int]]) -> None:
    """A stage that would hand on nothing fails, and names what dropped most."""
    if kept:
        return
    if not drops:
        raise UserError(f"{stage}: no documents came in; check that the folder it reads holds readable files.")
    block = max(drops, key=lambda name: sum(drops[name].values()))
    reason = max(drops[block], key=drops[block].__getitem__)
    raise UserError(
        f"{stage}: every document was dropped, most of them ({sum(drops[block].values())}) by block '{block}', "
        f"reason '{reason}'; relax its limits in params.yaml section '{stage}' or check the input."
    )


def documents_in(folder: Path) -> Iterator[dict[str, Any]]:
    """All documents of a folder of `*.jsonl.zst` shards, in shard order, one at a time."""
    for path in sorted(folder.rglob("*.jsonl.zst")):
        yield from read_jsonl_zst(path)


def read_jsonl_zst(path: Path) -> Iterator[dict[str, Any]]:
    """The documents of one shard, one at a time."""
    import orjson

    yield from map(orjson.loads, lines_of(path))


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of one shard, not yet parsed."""
    import zstandard

    with path.open("rb") as file:
        reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        yield from io.BufferedReader(reader, 1 << 20)


def samples_by_reason(documents: Iterable[dict[str, Any]], each: int = 5) -> list[dict[str, Any]]:
    """The first few dropped documents of every reason, as rows a person can read."""
    rows, seen = [], defaultdict(int)
    for document in documents:
        metadata = document["metadata"]
        key = (metadata["block"], metadata["reason"])
        seen[key] += 1
        if seen[key] <= each:
            row = {name: metadata.get(name) for name in ("block", "reason", "value", "url")}
            rows.append(row | {"text": document.get("text", "")[:600]})
    return rows
