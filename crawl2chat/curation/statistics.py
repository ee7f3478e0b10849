"""What the blocks of a run counted, added up over all shards: documents, drops by reason, times.

In: datatrove's file of each shard. Out: {block: {statistic: total}}, with `seconds` for each block, and tables of it.
"""

import json
from collections import defaultdict
from pathlib import Path

from crawl2chat.errors import UserError
from crawl2chat.tracking import Tracker

Statistics = dict[str, dict[str, float]]


def merged_statistics(folder: Path) -> Statistics:
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


def milliseconds(statistics: Statistics) -> dict[str, float]:
    """Mean time of each block for a document that reached it."""
    return {
        block: 1_000 * values["seconds"] / values["total"]
        for block, values in statistics.items()
        if values.get("total") and values.get("seconds")
    }


def counts(statistics: Statistics, block: str, prefix: str) -> dict[str, int]:
    """{kind: number} from the statistics `<prefix><kind>` of a block."""
    values = sorted(statistics.get(block, {}).items())
    return {key.removeprefix(prefix): int(n) for key, n in values if key.startswith(prefix)}


def track(statistics: Statistics, tracker: Tracker) -> None:
    """A row a block: documents that reached it, how many it dropped, and its mean time for one."""
    times = milliseconds(statistics)
    tracker.facts({"ms_per_document": times})
    rows = [
        {
            "block": block,
            "documents": int(statistics[block]["total"]),
            "dropped": int(statistics[block].get("dropped", 0)),
            "ms_per_document": round(time, 4),
        }
        for block, time in times.items()
    ]
    tracker.table("blocks", rows)


def drop_counts(statistics: Statistics) -> dict[str, dict[str, int]]:
    """{block: {reason: documents}} from the `dropped_<reason>` statistics."""
    drops = {block: counts(statistics, block, "dropped_") for block in statistics}
    return {block: reasons for block, reasons in drops.items() if reasons}


def require_documents(kept: int, drops: dict[str, dict[str, int]]) -> None:
    """Fail where nothing is left, and name what dropped most."""
    if kept:
        return
    if not drops:
        raise UserError("No documents came in; check that the folder that is read holds readable files.")
    block = max(drops, key=lambda name: sum(drops[name].values()))
    reason = max(drops[block], key=drops[block].__getitem__)
    raise UserError(
        f"No document is left: every document was dropped, most of them ({sum(drops[block].values())}) by block "
        f"'{block}', reason '{reason}'; relax the limits of this block or check the input."
    )
