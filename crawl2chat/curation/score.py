"""Scores curation against the truth of the tiny web: precision, recall and F1 with intervals, never used to decide.

In: the truth folder and what a stage kept or dropped. Out: a flat dictionary of metrics; empty on real input, where no
truth exists.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from math import sqrt
from pathlib import Path
from typing import Any

from crawl2chat.curation.duplicates import MinhashParams
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
        row["lookalikes"] = json.loads(row.get("lookalikes") or "[]")
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


FORMS = ("layout", "broken_markup", "hidden_names", "charset", "transfer")


def extraction_by_form(
    documents: Iterable[tuple[str, str]], truth: dict[str, dict[str, Any]]
) -> dict[str, dict[str, dict[str, dict[str, float | int]]]]:
    """Mean F1 by the way in which a page was served; `charset` tells the bytes' and, after `/`, the header's claim."""
    scores: dict[str, dict[str, list[float]]] = {form: defaultdict(list) for form in FORMS}
    for key, text in documents:
        if row := truth.get(key):
            value = word_f1(text, row["text"])
            for form in FORMS:
                claim = f"/{row['charset_header'] or 'none'}" if form == "charset" else ""
                scores[form][f"{row[form]}{claim}"].append(value)
    tables = {
        form: {name: {"f1": sum(found) / len(found), "n": len(found)} for name, found in sorted(table.items())}
        for form, table in scores.items()
    }
    return {"f1_by_form": tables} if truth else {}


def group(defect: str) -> str:
    """`language_de` → `language`: the kind under which defects are reported."""
    return defect.split("_")[0] if defect.startswith(("language_", "garbled_", "list_", "server_")) else defect


def dropping(dropped: set[str], arrived: set[str], truth: dict[str, dict[str, Any]], stage: str) -> dict[str, Any]:
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
    metrics["recall_by_defect"] = {name: shared("recall", recall[name]) for name in own}
    metrics["precision_by_defect"] = {name: shared("precision", precision[name]) for name in own if precision[name]}
    metrics["dropped_by_intensity"] = {
        name: {level: shared("dropped", hits) for level, hits in sorted(intensity[name].items())} for name in own
    }
    return metrics


def shared(name: str, hits: list[bool]) -> dict[str, float | int]:
    """A proportion and its count, for tables."""
    return {name: sum(hits) / len(hits), "n": len(hits)}


def precision_by_reason(
    documents: Iterable[dict[str, Any]], truth: dict[str, dict[str, Any]]
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
        name: {key: shared("precision", hits) for key, hits in sorted(table.items())}
        for name, table in (("precision_by_block", by_block), ("precision_by_reason", by_reason))
    }


BANDS = ((0.9, 1.01), (0.8, 0.9), (0.7, 0.8), (0.5, 0.7), (0.0, 0.5))
ALIKE = 0.5  # below this similarity a page is no copy of its original


def similarity(texts: dict[str, str], params: MinhashParams) -> Callable[[str, str], float]:
    """Jaccard similarity of two documents by id, over the very shingles that MinHash hashes."""
    from crawl2chat.curation import blocks, duplicates

    signatures = blocks.Signatures(".", duplicates.config_of(params))

    def jaccard(first: str, second: str) -> float:
        a, b = (set(signatures.get_shingles(texts[key]).ravel().tolist()) for key in (first, second))
        return len(a & b) / max(1, len(a | b))

    return jaccard


def duplicates(
    dropped: set[str],
    arrived: set[str],
    truth: dict[str, dict[str, Any]],
    similar: Callable[[str, str], float] | None = None,
    params: MinhashParams | None = None,
) -> dict[str, Any]:
    """How well near-duplicates were found.

    Of a cluster any one page may stay. A dropped page is a right one when it belongs to a cluster of which a page stayed
    and is at least half a copy; recall asks, of every cluster, for all but one of the pages that are mutual copies
    (similarity ≥ 0.8). `duplicate_recall_by_similarity` sets the share of found pairs of original and copy, by the
    similarity of what MinHash read (`similar`; the manifest's without it), against 1 - (1 - s^hashes)^buckets.
    """
    if not truth:
        return {}
    params = params or MinhashParams()
    clusters: dict[int, list[str]] = defaultdict(list)
    for key in sorted(arrived):
        if key in truth and truth[key]["cluster"] is not None:
            clusters[truth[key]["cluster"]].append(key)
    right = found = due = 0
    hits: dict[str, list[bool]] = {f"{low:.1f}": [] for low, _ in BANDS}
    expected: dict[str, list[float]] = {band: [] for band in hits}
    for members in clusters.values():
        original = next((key for key in members if truth[key]["similarity"] is None), None)
        alike = {key: 1.0 if truth[key]["similarity"] is None else truth[key]["similarity"] for key in members}
        eligible = [key for key in members if alike[key] >= ALIKE]
        right += min(sum(key in dropped for key in eligible), max(0, len(eligible) - 1))
        copies = [key for key in members if alike[key] >= 0.8]
        due += max(0, len(copies) - 1)
        found += min(max(0, len(copies) - 1), sum(key in dropped for key in copies))
        for key in members if original else ():
            if key == original:
                continue
            s = similar(original, key) if similar else alike[key]
            band = next(f"{low:.1f}" for low, high in BANDS if low <= s < high)
            hits[band].append(key in dropped or original in dropped)
            expected[band].append(1 - (1 - s**params.hashes) ** params.buckets)
    known = sum(key in truth for key in dropped)
    metrics = share("duplicate_precision", right, known) | share("duplicate_recall", found, due)
    metrics["duplicate_recall_by_similarity"] = {}
    for band, pairs in hits.items():
        if pairs:
            low, high = wilson(sum(pairs), len(pairs))
            curve = sum(expected[band]) / len(pairs)
            row = shared("found", pairs) | {"expected": curve, "low": low, "high": high}
            metrics["duplicate_recall_by_similarity"][band] = row
    return metrics


def personal_data(before: dict[str, str], after: dict[str, str], truth: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Recall of personal data by kind, and how much of what only resembles it was touched.

    A span counts as found when it no longer stands in the text. Clean spans are the planted look-alikes (order numbers,
    dates, versions, failing check sums …); clean pages are all pages without personal data.
    """
    recall: dict[str, list[bool]] = defaultdict(list)
    touched: dict[str, list[bool]] = defaultdict(list)
    pages: list[bool] = []
    for key, text in after.items():
        row = truth.get(key)
        if row is None:
            continue
        for table, items in ((recall, row["personal"]), (touched, row["lookalikes"])):
            for item in items:
                if item["value"] in before[key]:
                    table[item["kind"]].append(item["value"] not in text)
        if not row["personal"]:
            pages.append(text != before[key])
    found, harmed = (sum(table.values(), []) for table in (recall, touched))
    return {
        **share("pii_recall", sum(found), len(found)),
        "pii_recall_by_kind": {kind: shared("recall", hits) for kind, hits in sorted(recall.items())},
        **share("pii_clean_touched_share", sum(harmed), len(harmed)),
        "pii_clean_touched_by_kind": {kind: shared("touched", hits) for kind, hits in sorted(touched.items())},
        **share("pii_clean_pages_touched_share", sum(pages), len(pages)),
        "pii_clean_touched": sum(pages),
        "pii_clean": len(pages),
    }


def deduplication(
    filtered: Path, corpus: Path, removed: Path, truth: dict[str, dict[str, Any]], minhash: MinhashParams
) -> dict[str, Any]:
    """Duplicates, personal data and contamination against the truth; {} without truth."""
    if not truth:
        return {}
    import polars as pl

    from crawl2chat.curation.execution import documents_in

    before = {d["id"]: d["text"] for d in documents_in(filtered)}
    after = dict(pl.read_parquet(corpus / "*.parquet", columns=["id", "text"]).iter_rows())
    copies = {d["id"] for d in documents_in(removed / "minhash")}
    shown = {d["id"] for block in ("contamination", "spans") for d in documents_in(removed / block)}
    metrics = duplicates(copies, set(before), truth, similarity(before, minhash), minhash)
    metrics |= personal_data(before, after, truth)
    due = [key for key in before if key in truth and truth[key]["contaminants"] and key not in copies]
    metrics |= share("contaminated_recall", sum(key in shown for key in due), len(due))
    right = sum(bool(truth[key]["contaminants"]) for key in shown if key in truth)
    return metrics | share("contaminated_precision", right, len(shown))
