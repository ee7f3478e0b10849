"""Stage deduplicate: near-duplicates, personal data, evaluation items; then the validated Parquet corpus."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import PositiveInt

from crawl2chat.curation.contamination import ContaminationParams
from crawl2chat.curation.duplicates import MinhashParams
from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.parameters import Params, Share
from crawl2chat.tracking import Tracker

HEADLINE = {"deduplicate": {"documents": "documents", "precision": "duplicate_precision", "recall": "duplicate_recall"}}


class DeduplicateParams(Params):
    """Section `deduplicate` of params.yaml."""

    minhash: MinhashParams
    # Replace personal data.
    personal: bool
    contamination: ContaminationParams
    # Share of rows that may break the schema before the stage fails.
    max_invalid: Share
    # Shards, to which files are dealt in turn.
    tasks: PositiveInt


def deduplicate(
    filtered: Path,
    tasks: Path,
    chat: Path,
    preferences: Path,
    truth: Path,
    out: Path,
    out_removed: Path,
    params: DeduplicateParams,
    machine: Machine,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Write `documents-*.parquet` to `out`, what was dropped to `out_removed`."""
    from datatrove.data import Document

    from crawl2chat.curation import corpus, duplicates
    from crawl2chat.curation.blocks import Block, Removed, reader, writer
    from crawl2chat.curation.cleaning import Decontaminate, Personal
    from crawl2chat.curation.contamination import Overlap
    from crawl2chat.curation.deduplication_score import deduplication
    from crawl2chat.curation.documents import publish
    from crawl2chat.curation.drop import Drop
    from crawl2chat.curation.evaluation_sets import evaluation_items
    from crawl2chat.curation.execution import execute
    from crawl2chat.curation.score import truth_of
    from crawl2chat.curation.statistics import counts, drop_counts, require_documents, track

    if not any(filtered.glob("*.jsonl.zst")):
        raise UserError(f"The folder {filtered.name} holds no documents; run the stage filter first.")
    shards, removed = work / "documents", Removed(work / "removed", "deduplicate")
    clusters = duplicates.find(filtered, work, params.minhash, machine, params.tasks)
    kept = duplicates.twins(filtered, clusters, work, machine, params.tasks)
    items = evaluation_items(tasks, chat, preferences)
    overlap = Overlap(items, params.contamination.n_grams, params.contamination.least_words)
    pipeline = [
        reader(filtered),
        duplicates.removal(clusters, kept, removed),
        *([Personal()] if params.personal else []),
        Decontaminate(overlap, params.contamination.remove, removed),
        writer(shards),
    ]
    statistics = execute("remove", pipeline, work, machine, params.tasks)
    drops = drop_counts(statistics)
    track(statistics, tracker)
    require_documents(int(statistics["contamination"].get("forwarded", 0)), drops)

    out.mkdir(parents=True)
    invalid = 0
    examples: list[dict[str, Any]] = []
    rejected, failures = Block("schema", removed), work / "invalid.jsonl"
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
            f"deduplicate: {invalid} of {written + invalid} rows break the corpus schema, first '{first['id']}' in "
            f"column '{first['column']}' ({first['check']}: {first['value']!r}); all of them are in {failures}: "
            "mend the source or raise deduplicate.max_invalid."
        )
    publish(removed.folder, out_removed)
    shutil.copyfile(failures, out_removed / "invalid.jsonl")
    return {
        "documents": written,
        "invalid": invalid,
        "duplicates": int(statistics.get("MinHash stage 4", {}).get("dropped", 0)),
        "personal": counts(statistics, "personal", "replaced_"),
        "personal_documents": int(statistics.get("personal", {}).get("documents", 0)),
        "contaminated": drops.get("contamination", {}).get("evaluation_item", 0),
        "contaminated_cut": int(statistics["contamination"].get("cut", 0)),
        "contaminated_by_set": counts(statistics, "contamination", "shown_"),
        "evaluation_items": len(items),
        "evaluation_items_by_set": dict(sorted(Counter(item.set for item in items).items())),
        **deduplication(filtered, out, out_removed, truth_of(truth), params.minhash),
    }
