"""How well near-duplicates, personal data and evaluation items were found, against the truth of the tiny web."""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crawl2chat.curation.documents import documents_in
from crawl2chat.curation.duplicates import MinhashParams, config_of
from crawl2chat.curation.score import Truth, share, share_of
from crawl2chat.curation.similarity import jaccard
from crawl2chat.evaluation.statistics import wilson

BANDS = ((0.9, 1.01), (0.8, 0.9), (0.7, 0.8), (0.5, 0.7), (0.0, 0.5))
# Below this similarity a page is no copy of its original.
ALIKE = 0.5


def similarity(texts: dict[str, str], params: MinhashParams) -> Callable[[str, str], float]:
    """Jaccard similarity of two documents by id, over the very shingles that MinHash hashes."""
    from crawl2chat.curation.minhash import Signatures

    signatures = Signatures(".", config_of(params))

    def shingles(key: str) -> set[int]:
        return set(signatures.get_shingles(texts[key]).ravel().tolist())

    return lambda first, second: jaccard(shingles(first), shingles(second))


def duplicates(
    dropped: set[str],
    arrived: set[str],
    truth: Truth,
    params: MinhashParams,
    similar: Callable[[str, str], float] | None = None,
) -> dict[str, Any]:
    """How well near-duplicates were found.

    Of a cluster any one page may stay. A dropped page is a right one when it belongs to a cluster of which a page
    stayed and is at least half a copy; recall asks, of every cluster, for all but one of the pages that are mutual
    copies (similarity ≥ 0.8). `duplicate_recall_by_similarity` sets the share of found pairs of original and copy, by
    the similarity of what MinHash read (`similar`; the manifest's without it), against 1 - (1 - s^hashes)^buckets.
    """
    if not truth:
        return {}
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
            row = share_of("found", pairs) | {"expected": curve, "low": low, "high": high}
            metrics["duplicate_recall_by_similarity"][band] = row
    return metrics


def personal_data(before: dict[str, str], after: dict[str, str], truth: Truth) -> dict[str, Any]:
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
        "pii_recall_by_kind": {kind: share_of("recall", hits) for kind, hits in sorted(recall.items())},
        **share("pii_clean_touched_share", sum(harmed), len(harmed)),
        "pii_clean_touched_by_kind": {kind: share_of("touched", hits) for kind, hits in sorted(touched.items())},
        **share("pii_clean_pages_touched_share", sum(pages), len(pages)),
        "pii_clean_touched": sum(pages),
        "pii_clean": len(pages),
    }


def deduplication(filtered: Path, corpus: Path, removed: Path, truth: Truth, minhash: MinhashParams) -> dict[str, Any]:
    """Duplicates, personal data and contamination against the truth; {} without truth."""
    if not truth:
        return {}
    import polars as pl

    before = {d["id"]: d["text"] for d in documents_in(filtered)}
    after = dict(pl.read_parquet(corpus / "*.parquet", columns=["id", "text"]).iter_rows())
    copies = {d["id"] for d in documents_in(removed / "minhash")}
    contaminated = {d["id"] for block in ("contamination", "spans") for d in documents_in(removed / block)}
    metrics = duplicates(copies, set(before), truth, minhash, similarity(before, minhash))
    metrics |= personal_data(before, after, truth)
    due = [key for key in before if key in truth and truth[key]["contaminants"] and key not in copies]
    metrics |= share("contaminated_recall", sum(key in contaminated for key in due), len(due))
    right = sum(bool(truth[key]["contaminants"]) for key in contaminated if key in truth)
    return metrics | share("contaminated_precision", right, len(contaminated))
