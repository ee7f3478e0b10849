"""Stage curation_report: what curation dropped where and why, and what is left, as tables, drawings and a page."""

import json
from pathlib import Path
from typing import Any

from crawl2chat.curation.report.inputs import ReportParams
from crawl2chat.tracking import Tracker


def curation_report(
    extracted: Path,
    filtered: Path,
    corpus: Path,
    removed_extract: Path,
    removed_filter: Path,
    removed_deduplicate: Path,
    truth: Path,
    scores: Path,
    reference: Path,
    out: Path,
    params: ReportParams,
    tracker: Tracker,
) -> dict[str, Any]:
    """Write the report to `out`. `scores` are the metrics of the stage deduplicate, `reference` an earlier corpus."""
    from crawl2chat.curation.drift import compare, table_of
    from crawl2chat.curation.report.collect import collect
    from crawl2chat.curation.report.inputs import Folders
    from crawl2chat.curation.report.write import write

    removed = {"extract": removed_extract, "filter": removed_filter, "deduplicate": removed_deduplicate}
    folders = Folders(extracted, filtered, corpus, removed, truth)
    tables = collect(folders, params, json.loads(scores.read_text(encoding="utf-8")))
    if any(reference.glob("documents-*.parquet")):
        tables["drift"] = compare(table_of(reference), table_of(corpus))
    write(tables, out)
    for name, rows in tables.items():
        tracker.table(name, rows)
    return {name: len(rows) for name, rows in tables.items()}
