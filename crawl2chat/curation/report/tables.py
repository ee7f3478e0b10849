"""The tables of the report: what was dropped where and why, what is left, and how near the limits it came."""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from crawl2chat.curation import score
from crawl2chat.curation.documents import documents_in
from crawl2chat.curation.limits import Limit
from crawl2chat.curation.reading.records import ORDINARY
from crawl2chat.curation.report.inputs import Folders, Row
from crawl2chat.curation.report.summaries import Dropped, Size

# These change texts that they keep.
REWRITES = ("c4", "personal")
BINS = 30


def page_rows(drops: dict[str, Dropped], pages: Size) -> list[Row]:
    """From records to pages that an extractor sees. Bytes are of HTML here: there is no main text to count yet."""
    ordinary = sum(count for reason, count in drops["read"].reasons.items() if reason in ORDINARY)
    to_extract = pages + Size(drops["extract"].size.documents, drops["extract"].page_bytes)
    readable = to_extract + Size(drops["address"].size.documents, drops["address"].page_bytes)
    attempted = readable.documents + drops["read"].size.documents - ordinary

    def row(block: str, count: int, size: int | None) -> Row:
        found = {"stage": "extract", "block": block, "documents": count, "bytes": size}
        return found | {"words": None, "tokens_estimated": None}

    return [
        row("pages", attempted, None),
        row("read", readable.documents, readable.bytes or None),
        row("address", to_extract.documents, to_extract.bytes or None),
    ]


def after_blocks(stage: str, order: tuple[str, ...], before: Size, drops: dict[str, Dropped], after: Size) -> list[Row]:
    """What is left after each block: counted from the start, but from a block on that rewrites, from the end."""
    rows, rewritten, left = [], False, before
    for place, block in enumerate(order):
        rewritten = rewritten or block in REWRITES
        left = (
            sum((drops[later].size for later in order[place + 1 :]), after) if rewritten else left - drops[block].size
        )
        rows.append({"stage": stage, "block": block, **left.row()})
    return rows


def reason_rows(orders: dict[str, tuple[str, ...]], drops: dict[str, dict[str, Dropped]]) -> list[Row]:
    """How many were dropped for which reason, in the order of the blocks."""
    return [
        {"stage": stage, "block": block, "reason": reason, "documents": count}
        for stage, order in orders.items()
        for block in order
        for reason, count in sorted(drops[stage][block].reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def score_rows(folders: Folders, orders: dict[str, tuple[str, ...]], scores: Row) -> list[Row]:
    """Was it right to drop, by block; was found what should be, by kind of defect. Empty without truth."""
    truth = score.truth_of(folders.truth)
    if not truth:
        return []
    rows: list[Row] = []

    def add(stage: str, measure: str, of: str, value: float | None, n: int) -> None:
        if value is not None and n:
            shared = score.share("value", round(value * n), n)
            interval = {"n": n, "low": round(shared["value_low"], 6), "high": round(shared["value_high"], 6)}
            rows.append({"stage": stage, "measure": measure, "of": of, "value": round(value, 6), **interval})

    for stage, out in (("extract", folders.extracted), ("filter", folders.filtered)):
        removed = folders.removed[stage]
        blocks = [path for path in sorted(removed.iterdir()) if path.is_dir() and path.name != "read"]
        right = score.precision_by_reason(chain.from_iterable(map(documents_in, blocks)), truth)
        for block in orders[stage]:
            if found := right["precision_by_block"].get(block):
                add(stage, "precision", block, found["precision"], found["n"])
        dropped = score.ids_in(truth, *blocks)
        scored = score.dropping(dropped, dropped | score.ids_in(truth, out), truth, stage)
        for defect, found in scored["recall_by_defect"].items():
            add(stage, "recall", defect, found["recall"], found["n"])
    for measure, of, key in (
        ("precision", "minhash", "duplicate_precision"),
        ("precision", "contamination", "contaminated_precision"),
        ("recall", "near duplicates (similarity ≥ 0.8)", "duplicate_recall"),
        ("recall", "contaminated", "contaminated_recall"),
    ):
        add("deduplicate", measure, of, scores[key], scores[f"{key}_n"])
    for kind, found in scores["pii_recall_by_kind"].items():
        add("deduplicate", "recall", f"personal data: {kind}", found["recall"], found["n"])
    return rows


def similarity_rows(scores: Row) -> list[Row]:
    """Of pairs of a page and its copy, how many MinHash found, by similarity, against what its curve promises."""
    bands = scores.get("duplicate_recall_by_similarity", {})
    return [
        {"similarity_from": float(band)}
        | {key: round(bands[band][key], 6) for key in ("found", "low", "high", "expected", "n")}
        for band in sorted(bands)
    ]


def histogram_rows(found: list[Limit], kept: list[dict[str, float]], drops: dict[str, Dropped]) -> list[Row]:
    """For each limit that dropped something: values of kept and of dropped documents in bins, and the limit."""
    rows: list[Row] = []
    for limit in found:
        removed = drops[limit.block]
        samples = [removed.values[reason] for reason in limit.reasons if reason in removed.values]
        dropped = [values[limit.measure] for sample in samples for values in sample.items()]
        if not dropped:
            continue
        stayed = [values[limit.measure] for values in kept if values.get(limit.measure) is not None]
        common = {"block": limit.block, "measure": limit.measure, "least": limit.least, "most": limit.most}
        common |= {"kept_measured": len(stayed), "dropped_measured": len(dropped)}
        rows += [common | row for row in bins(stayed, dropped, limit)]
    return rows


def bins(kept: list[float], dropped: list[float], limit: Limit) -> Iterator[Row]:
    """Both counted in the same bins, one of which begins at the limit; values above a hundred get bins that grow."""
    low, high = min(*kept, *dropped), max(*kept, *dropped)
    start = next((line for line in (limit.least, limit.most) if line is not None and low <= line <= high), low)
    if high > 100:
        edges = np.unique(np.floor([start, *np.geomspace(max(low, 1.0), high + 1.0, BINS + 1)]))
    else:
        step = (high - low) / BINS or 1.0
        edges = start + step * np.arange(np.floor((low - start) / step), np.floor((high - start) / step) + 2)
    edges[0] = min(edges[0], low)  # rounding may have left the outermost values outside
    counts = [np.histogram(part, edges)[0].tolist() for part in (kept, dropped)]
    for first, last, stays, goes in zip(edges[:-1].tolist(), edges[1:].tolist(), *counts, strict=True):
        yield {"from": round(first, 6), "to": round(last, 6), "kept": stays, "dropped": goes}


def sample_rows(
    orders: dict[str, tuple[str, ...]], drops: dict[str, dict[str, Dropped]], found: list[Limit]
) -> list[Row]:
    """A few documents of every reason, drawn by their ids."""
    broken = {
        (limit.block, reason): limit.least if limit.most is None or number < len(limit.reasons) - 1 else limit.most
        for limit in found
        for number, reason in enumerate(limit.reasons)
    }
    return [
        {"stage": stage, "block": block, "reason": reason, "limit": broken.get((block, reason))} | sample
        for stage, order in orders.items()
        for block in order
        for reason, samples in sorted(drops[stage][block].samples.items())
        for sample in samples.items()
    ]
