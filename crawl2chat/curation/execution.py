"""Runs a datatrove pipeline: locally, in shards, so that a killed run redoes only unfinished shards.

In: a list of blocks and a work folder that belongs to exactly one configuration (completion markers know nothing of
parameters). Out: the statistics of all shards, merged. Shards go to the work folder and are published at the end, so
that a stage's out is whole or absent.
"""

import io
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError
from crawl2chat.parameters import Params


class ExecutionParams(Params):
    """How a curation stage is spread over processes. Only `tasks` may change bytes, and it does not in these stages."""

    tasks: int = 8  # shards; files are dealt to them in turn
    workers: int = 2  # processes; 1 runs everything in this one


def execute(
    name: str, pipeline: list[Any], work: Path, tasks: int, workers: int
) -> dict[str, dict[str, float]]:
    """Run `pipeline` in `tasks` shards; returns {block: {statistic: total}}, with `seconds` for each block."""
    from datatrove.executor.local import LocalPipelineExecutor

    logging = work / name / "logs"
    executor = LocalPipelineExecutor(
        pipeline=pipeline,
        tasks=tasks,
        workers=min(workers, tasks),
        logging_dir=str(logging),
        skip_completed=True,
    )
    executor.run()
    done = len(list((logging / "completions").glob("*")))
    if done != tasks:
        raise RuntimeError(
            f"{name}: {tasks - done} of {tasks} shards did not finish; see {logging / 'logs'}."
        )
    return merged_statistics(logging / "stats")


def merged_statistics(folder: Path) -> dict[str, dict[str, float]]:
    """datatrove's own summary covers only the shards of the last run; this adds up the files of all shards."""
    merged: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for path in sorted(folder.glob("[0-9]*.json")):
        for block in json.loads(path.read_text()):
            name = block["name"].split(" - ", 1)[-1].split(": ", 1)[-1]
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


def drop_counts(statistics: dict[str, dict[str, float]]) -> dict[str, dict[str, int]]:
    """{block: {reason: documents}} from the `dropped_<reason>` statistics."""
    counts = {
        block: {
            key.removeprefix("dropped_"): int(n)
            for key, n in sorted(values.items())
            if key.startswith("dropped_")
        }
        for block, values in statistics.items()
    }
    return {block: reasons for block, reasons in counts.items() if reasons}


def require_documents(kept: int, stage: str, drops: dict[str, dict[str, int]]) -> None:
    """A stage that would hand on nothing fails, and names what dropped most."""
    if kept:
        return
    if not drops:
        raise UserError(
            f"{stage}: no documents came in; check that the folder it reads holds readable files."
        )
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
