"""Scores curation against the truth of the tiny web: precision and recall with intervals, never used to decide.

In: the truth folder and what a stage kept or dropped. Out: a flat dictionary of metrics; empty on real input, where no
truth exists.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from crawl2chat.curation.documents import documents_in
from crawl2chat.evaluation.statistics import wilson

Truth = dict[str, dict[str, Any]]


def truth_of(folder: Path) -> Truth:
    """{record id: row of the manifest}; empty when the crawl is real."""
    manifest = folder / "manifest.parquet"
    if not manifest.exists():
        return {}
    import polars as pl

    rows = pl.read_parquet(manifest).to_dicts()
    for row in rows:
        row["personal"] = json.loads(row["personal"])
        row["lookalikes"] = json.loads(row.get("lookalikes") or "[]")
    return {row["record_id"]: row for row in rows}


def ids_in(truth: Truth, *folders: Path) -> set[str]:
    """The ids of all documents below the folders; none where there is no truth to score them against."""
    return {d["id"] for folder in folders for d in documents_in(folder)} if truth else set()


def share(name: str, hits: int, total: int) -> dict[str, float | int | None]:
    """A proportion with its count and 95 % Wilson interval; None when there is nothing to count."""
    if not total:
        return {name: None, f"{name}_n": 0, f"{name}_low": None, f"{name}_high": None}
    low, high = wilson(hits, total)
    value = hits / total
    return {name: value, f"{name}_n": total, f"{name}_low": min(low, value), f"{name}_high": max(high, value)}


def share_of(name: str, hits: list[bool]) -> dict[str, float | int]:
    """A proportion and its count, for tables."""
    return {name: sum(hits) / len(hits), "n": len(hits)}


def group(defect: str) -> str:
    """`language_de` → `language`: the kind under which defects are reported."""
    return defect.split("_")[0] if defect.startswith(("language_", "garbled_", "list_", "server_")) else defect


def dropping(dropped: set[str], arrived: set[str], truth: Truth, stage: str) -> dict[str, Any]:
    """Precision and recall of a stage's drops among the pages that reached it, and recall by kind of defect.

    A drop is right when the page was to be dropped, in this stage or any other. A defect's precision is counted among
    the dropped pages that have it: mild cases are to be kept (`mild` in `dropped_by_intensity`).
    """
    if not truth:
        return {}
    known = [key for key in arrived if key in truth]
    right = sum(truth[key]["expected"] == "drop" for key in known if key in dropped)
    judged = sum(truth[key]["expected"] in ("drop", "keep") for key in known if key in dropped)
    due = [key for key in known if truth[key]["expected"] == "drop" and truth[key]["stage"] == stage]
    metrics = share("precision", right, judged) | share("recall", sum(key in dropped for key in due), len(due))
    recall: dict[str, list[bool]] = defaultdict(list)
    precision: dict[str, list[bool]] = defaultdict(list)
    intensity: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for key in known:
        row = truth[key]
        for defect in map(group, row["defects"]):
            if row["stage"] in (stage, None) and row["intensity"] is not None:
                intensity[defect][f"{row['intensity']:g}" if row["expected"] != "keep" else "mild"].append(
                    key in dropped
                )
            if row["expected"] == "drop" and row["stage"] == stage:
                recall[defect].append(key in dropped)
            if key in dropped and row["expected"] in ("drop", "keep"):
                precision[defect].append(row["expected"] == "drop")
    own = sorted(recall)
    metrics["recall_by_defect"] = {name: share_of("recall", recall[name]) for name in own}
    metrics["precision_by_defect"] = {name: share_of("precision", precision[name]) for name in own if precision[name]}
    metrics["dropped_by_intensity"] = {
        name: {level: share_of("dropped", hits) for level, hits in sorted(intensity[name].items())} for name in own
    }
    return metrics


def precision_by_reason(
    documents: Iterable[dict[str, Any]], truth: Truth
) -> dict[str, dict[str, dict[str, float | int]]]:
    """Of what each block, and each reason of it, dropped: the share that was to be dropped. {} without truth."""
    if not truth:
        return {}
    by_block: dict[str, list[bool]] = defaultdict(list)
    by_reason: dict[str, list[bool]] = defaultdict(list)
    for document in documents:
        block, reason = (document["metadata"].get(name, "") for name in ("block", "reason"))
        expected = truth.get(document["id"], {}).get("expected")
        if expected in ("drop", "keep"):
            by_block[block].append(expected == "drop")
            by_reason[f"{block}/{reason}"].append(expected == "drop")
    return {
        name: {key: share_of("precision", hits) for key, hits in sorted(table.items())}
        for name, table in (("precision_by_block", by_block), ("precision_by_reason", by_reason))
    }
