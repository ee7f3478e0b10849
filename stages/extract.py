"""Stage extract: URL filter, archive records to main text. Every record ends as a document or with a reason."""

from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from crawl2chat.curation.addresses import AddressParams
from crawl2chat.curation.execution import ExecutionParams
from crawl2chat.curation.extraction import Extractor
from crawl2chat.errors import UserError
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker


class ExtractParams(Params):
    """Section `extract` of params.yaml."""

    extractor: Extractor = "resiliparse"
    timeout: PositiveFloat = 10.0  # seconds for one page
    max_megabytes: PositiveFloat = 32.0  # a record larger than this after decompression is dropped
    max_html_megabytes: PositiveFloat = 5.0  # a page larger than this is dropped before it is parsed
    max_depth: PositiveInt = 2_000  # a page with more open tags than this is too: parsers are quadratic in it
    # Documents that came as text are cut into parts of this size; 0 leaves them whole.
    part_characters: NonNegativeInt = 0
    addresses: AddressParams = AddressParams()
    execution: ExecutionParams = ExecutionParams()


def extract(
    pages: Path,
    blocklists: Path,
    truth: Path,
    out: Path,
    out_removed: Path,
    params: ExtractParams,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Read every file below `pages`, keep main text in `out`, everything else with its reason in `out_removed`.

    `blocklists` holds one's own lists of domains and URLs.
    """
    from crawl2chat.curation import blocks, execution, score
    from crawl2chat.curation.addresses import AddressFilter, build_lists
    from crawl2chat.curation.extraction import CANARY
    from crawl2chat.curation.extraction import extract as main_text
    from crawl2chat.curation.records import ORDINARY, kind_of

    if not pages.is_dir():
        raise UserError(f"The folder {pages.name} does not exist; run the stage crawl first.")
    if not any(kind_of(path) for path in pages.rglob("*") if path.is_file()):
        raise UserError(f"No readable file in {pages.name}: it needs WARC, ARC, JSONL, Parquet, text or HTML files.")
    if "canary sings" not in main_text(CANARY, params.extractor):
        raise UserError(
            f"The extractor '{params.extractor}' finds no text in a plain test page; reinstall its package."
        )

    lists = build_lists(work / "lists", blocklists, params.addresses.integrated_lists)
    addresses = AddressFilter(params.addresses, lists)
    shards, removed = work / "documents", work / "removed"
    pipeline = [
        blocks.Records(
            pages, removed, int(params.max_megabytes * 2**20), int(params.max_html_megabytes * 2**20), params.max_depth
        ),
        blocks.Filter("address", blocks.AddressJudge(addresses), removed),
        blocks.Extract(params.extractor, params.timeout, params.part_characters, removed),
        blocks.writer(shards),
    ]
    statistics = execution.execute("extract", pipeline, work, params.execution)
    drops = execution.drop_counts(statistics)
    tracker.table("blocks", execution.blocks_table(statistics))
    kept = int(statistics["extract"].get("forwarded", 0))
    execution.require_documents(kept, "extract", drops)
    execution.publish(shards, out)
    execution.publish(removed, out_removed)

    manifest = score.truth_of(truth)
    lost = drops.pop("read", {})
    gone = score.ids_in(manifest, *(out_removed / block for block in drops))
    arrived = gone | score.ids_in(manifest, out)
    scored = [(d["id"], d["text"]) for d in execution.documents_in(out)] if manifest else []
    tracker.table(
        "extracted",
        [
            {"url": d["metadata"].get("url", ""), "text": d["text"][:2000]}
            for d in islice(execution.documents_in(out), 20)
        ],
    )
    return {
        "records": int(statistics["read"]["total"]),
        "documents": kept,
        "added_parts": int(statistics["extract"].get("added_parts", 0)),
        "ordinary": {reason: n for reason, n in lost.items() if reason in ORDINARY},
        "unreadable": {reason: n for reason, n in lost.items() if reason not in ORDINARY},
        "dropped": drops,
        "ms_per_document": execution.milliseconds(statistics),
        **score.extraction_f1(scored, manifest),
        **score.extraction_by_form(scored, manifest),
        **{f"address_{k}": v for k, v in score.dropping(gone, arrived, manifest, "extract").items()},
    }
