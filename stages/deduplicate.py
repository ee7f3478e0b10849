"""Stage deduplicate: near-duplicates, personal data, evaluation items; then the validated Parquet corpus and the report."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from crawl2chat.curation.contamination import ContaminationParams
from crawl2chat.curation.duplicates import MinhashParams
from crawl2chat.curation.execution import ExecutionParams
from crawl2chat.curation.report import ReportParams
from crawl2chat.errors import UserError
from crawl2chat.parameters import Params, Share
from crawl2chat.tracking import Tracker


class DeduplicateParams(Params):
    """Section `deduplicate` of params.yaml."""

    minhash: MinhashParams = MinhashParams()
    personal: bool = True  # replace personal data
    contamination: ContaminationParams = ContaminationParams()
    max_invalid: Share = 0.001  # share of rows that may break the schema before the stage fails
    report: ReportParams = ReportParams()
    execution: ExecutionParams = ExecutionParams()


def deduplicate(
    filtered: Path,
    tasks: Path,
    chat: Path,
    preferences: Path,
    truth: Path,
    extracted: Path,
    removed_extract: Path,
    removed_filter: Path,
    out: Path,
    out_removed: Path,
    out_report: Path,
    params: DeduplicateParams,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Write `documents-*.parquet` to `out`, what was dropped to `out_removed`, the report of curation to `out_report`."""
    from datatrove.data import Document

    from crawl2chat.curation import blocks, contamination, corpus, duplicates, evaluation_sets, execution, report, score
    from crawl2chat.curation.quality import Drop

    if not any(filtered.glob("*.jsonl.zst")):
        raise UserError(f"The folder {filtered.name} holds no documents; run the stage filter first.")
    shards, removed = work / "documents", work / "removed"
    clusters = duplicates.find(filtered, work, params.minhash, params.execution)
    kept = duplicates.twins(filtered, clusters, work, params.execution)
    items = evaluation_sets.evaluation_items(tasks, chat, preferences)
    overlap = contamination.Overlap(items, params.contamination.n_grams, params.contamination.least_words)
    pipeline = [
        blocks.reader(filtered),
        duplicates.removal(clusters, kept, removed),
        *([blocks.Personal()] if params.personal else []),
        blocks.Decontaminate(overlap, params.contamination.remove, removed),
        blocks.writer(shards),
    ]
    statistics = execution.execute("remove", pipeline, work, params.execution)
    drops = execution.drop_counts(statistics)
    tracker.table("blocks", execution.blocks_table(statistics))
    execution.require_documents(int(statistics["contamination"].get("forwarded", 0)), "deduplicate", drops)

    out.mkdir(parents=True)
    invalid = 0
    examples: list[dict[str, Any]] = []
    rejected, failures = blocks.Block("schema", removed), work / "invalid.jsonl"
    with failures.open("w", encoding="utf-8") as file:

        def reject(document: dict[str, Any], broken: list[dict[str, Any]], rank: int) -> None:
            nonlocal invalid
            invalid += 1
            examples.extend(broken if len(examples) < 100 else [])
            file.writelines(json.dumps(failure, sort_keys=True) + "\n" for failure in broken)
            first = broken[0]
            rejected.drop(Document(**document), Drop(f"{first['column']}: {first['check']}", first["value"]), rank)

        written = corpus.write(sorted(shards.glob("*.jsonl.zst")), out, work / "ids.sqlite", reject)
    rejected.close()
    tracker.table("invalid_rows", examples)
    if invalid > params.max_invalid * (written + invalid):
        first = examples[0]
        raise UserError(
            f"deduplicate: {invalid} of {written + invalid} rows break the corpus schema, first '{first['id']}' in column "
            f"'{first['column']}' ({first['check']}: {first['value']!r}); all of them are in {failures}: "
            "mend the source or raise deduplicate.max_invalid."
        )
    execution.publish(removed, out_removed)
    shutil.copyfile(failures, out_removed / "invalid.jsonl")
    metrics = {
        "documents": written,
        "invalid": invalid,
        "duplicates": int(statistics.get("MinHash stage 4", {}).get("dropped", 0)),
        "personal": execution.counts(statistics, "personal", "replaced_"),
        "personal_documents": int(statistics.get("personal", {}).get("documents", 0)),
        "contaminated": drops.get("contamination", {}).get("evaluation_item", 0),
        "contaminated_cut": int(statistics["contamination"].get("cut", 0)),
        "contaminated_by_set": execution.counts(statistics, "contamination", "shown_"),
        "evaluation_items": len(items),
        "evaluation_items_by_set": dict(sorted(Counter(item.set for item in items).items())),
        "ms_per_document": execution.milliseconds(statistics),
    }
    metrics |= score.deduplication(filtered, out, out_removed, score.truth_of(truth), params.minhash)
    gone = {"extract": removed_extract, "filter": removed_filter, "deduplicate": out_removed}
    tables = report.collect(report.Folders(extracted, filtered, out, gone, truth), params.report, metrics)
    report.write(tables, out_report)
    for name, rows in tables.items():
        tracker.table(name, rows)
    return metrics
