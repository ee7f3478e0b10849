"""Scores curation against the truth of the tiny web: precision, recall and F1 with intervals, never used to decide.

In: the truth folder and what a stage kept or dropped. Out: a flat dictionary of metrics; empty on real input, where no
truth exists.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from math import sqrt
from pathlib import Path
from typing import Any

from crawl2chat.evaluation.statistics import wilson


def truth_of(folder: Path) -> dict[str, dict[str, Any]]:
    """{record id: row of the manifest}; empty when the crawl is real."""
    manifest = folder / "manifest.parquet"
    if not manifest.exists():
        return {}
    import polars as pl

    rows = pl.read_parquet(manifest).to_dicts()
    for row in rows:
        row["personal"] = json.loads(row["personal"])
    return {row["record_id"]: row for row in rows}


def ids_in(truth: dict[str, dict[str, Any]], *folders: Path) -> set[str]:
    """The ids of all documents below the folders; none where there is no truth to score them against."""
    from crawl2chat.curation.execution import documents_in

    return {d["id"] for folder in folders for d in documents_in(folder)} if truth else set()


def share(name: str, hits: int, total: int) -> dict[str, float | int | None]:
    """A proportion with its count and 95 % Wilson interval; None when there is nothing to count."""
    if not total:
        return {name: None, f"{name}_n": 0, f"{name}_low": None, f"{name}_high": None}
    low, high = wilson(hits, total)
    value = hits / total
    return {name: value, f"{name}_n": total, f"{name}_low": min(low, value), f"{name}_high": max(high, value)}


def word_f1(text: str, truth: str) -> float:
    """F1 of the multisets of words."""
    found, wanted = Counter(text.split()), Counter(truth.split())
    size = found.total() + wanted.total()
    return 2 * (found & wanted).total() / size if size else 1.0


def extraction_f1(
    documents: Iterable[tuple[str, str]], truth: dict[str, dict[str, Any]]
) -> dict[str, float | int | None]:
    """Mean word-level F1 of (id, text) pairs, with a normal interval."""
    scores = [word_f1(text, truth[key]["text"]) for key, text in documents if key in truth]
    if not scores:
        return {"f1": None}
    mean = sum(scores) / len(scores)
    deviation = sqrt(sum((score - mean) ** 2 for score in scores) / max(1, len(scores) - 1))
    spread = 1.96 * deviation / sqrt(len(scores))
    return {"f1": mean, "f1_n": len(scores), "f1_low": mean - spread, "f1_high": min(1.0, mean + spread)}


def group(defect: str) -> str:
    """`language_de` → `language`: the kind under which defects are reported."""
    return (
        defect.split("_")[0] if defect.startswith(("language_", "garbled_", "list_", "server_")) else defect
    )


def dropping(
    dropped: set[str], arrived: set[str], truth: dict[str, dict[str, Any]], stage: str
) -> dict[str, Any]:
    """Precision and recall of a stage's drops among the pages that reached it, and recall by kind of defect.

    A drop is right when the page was to be dropped, in this stage or any other.
    """
    if not truth:
        return {}
    known = [key for key in arrived if key in truth]
    right = sum(truth[key]["expected"] == "drop" for key in known if key in dropped)
    judged = sum(truth[key]["expected"] in ("drop", "keep") for key in known if key in dropped)
    due = [key for key in known if truth[key]["expected"] == "drop" and truth[key]["stage"] == stage]
    metrics = share("precision", right, judged) | share(
        "recall", sum(key in dropped for key in due), len(due)
    )
    by_defect: dict[str, list[bool]] = defaultdict(list)
    for key in due:
        for defect in truth[key]["defects"]:
            by_defect[group(defect)].append(key in dropped)
    metrics["recall_by_defect"] = {
        defect: {"recall": sum(hits) / len(hits), "n": len(hits)}
        for defect, hits in sorted(by_defect.items())
    }
    return metrics


BANDS = ((1.0, 1.01), (0.9, 1.0), (0.8, 0.9), (0.7, 0.8), (0.5, 0.7), (0.0, 0.5))


def duplicates(dropped: set[str], arrived: set[str], truth: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How well near-duplicates were found.

    Of a cluster any one page may stay. A dropped page is a right one when it belongs to a cluster of which a page stayed;
    recall asks, of every cluster, for all but one of the pages that are mutual copies (similarity ≥ 0.8).
    """
    if not truth:
        return {}
    clusters: dict[int, list[str]] = defaultdict(list)
    for key in sorted(arrived):
        if key in truth and truth[key]["cluster"] is not None:
            clusters[truth[key]["cluster"]].append(key)
    right = 0
    for members in clusters.values():
        gone = sum(key in dropped for key in members)
        right += min(gone, len(members) - 1)
    found = due = 0
    bands: dict[str, list[int]] = {f"{low:.1f}": [0, 0] for low, _ in BANDS}
    for members in clusters.values():
        copies = [
            key for key in members if truth[key]["similarity"] is None or truth[key]["similarity"] >= 0.8
        ]
        due += max(0, len(copies) - 1)
        found += min(max(0, len(copies) - 1), sum(key in dropped for key in copies))
        original = next((key for key in members if truth[key]["similarity"] is None), None)
        if original is None:
            continue
        for key in members:
            similarity = truth[key]["similarity"]
            if similarity is None:
                continue
            band = next(f"{low:.1f}" for low, high in BANDS if low <= similarity < high)
            bands[band][0] += key in dropped or original in dropped
            bands[band][1] += 1
    known = sum(key in truth for key in dropped)
    metrics = share("duplicate_precision", right, known) | share("duplicate_recall", found, due)
    metrics["duplicate_recall_by_similarity"] = {
        band: {"found": hits / total, "n": total} for band, (hits, total) in bands.items() if total
    }
    return metrics


def deduplication(
    filtered: Path, corpus: Path, removed: Path, truth: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Duplicates, personal data and contamination against the truth; {} without truth."""
    if not truth:
        return {}
    import polars as pl

    from crawl2chat.curation.execution import documents_in

    before = {d["id"]: d["text"] for d in documents_in(filtered)}
    after = dict(pl.read_parquet(corpus / "*.parquet", columns=["id", "text"]).iter_rows())
    copies = {d["id"] for d in documents_in(removed / "minhash")}
    shown = {d["id"] for d in documents_in(removed / "contamination")}
    metrics = duplicates(copies, set(before), truth)

    found = present = touched = clean = 0
    for key, text in after.items():
        if key not in truth:
            continue
        values = [item["value"] for item in truth[key]["personal"] if item["value"] in before[key]]
        present += len(values)
        found += sum(value not in text for value in values)
        if not truth[key]["personal"]:
            clean += 1
            touched += text != before[key]
    metrics |= share("pii_recall", found, present)
    metrics |= {"pii_clean_touched": touched, "pii_clean": clean}
    due = [key for key in before if key in truth and truth[key]["contaminants"] and key not in copies]
    metrics |= share("contaminated_recall", sum(key in shown for key in due), len(due))
    right = sum(bool(truth[key]["contaminants"]) for key in shown if key in truth)
    return metrics | share("contaminated_precision", right, len(shown))
