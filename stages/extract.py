"""Stage extract: URL filter, archive records to main text. Every record ends as a document or with a reason."""

from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt

from crawl2chat.curation.addresses import AddressParams
from crawl2chat.curation.extraction import Extractor
from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker

HEADLINE = {"extract": {"documents": "documents", "f1": "f1"}}


class ExtractParams(Params):
    """Section `extract` of params.yaml."""

    extractor: Extractor
    # Seconds for one page.
    timeout: PositiveFloat
    # A record larger than this after decompression is dropped.
    max_megabytes: PositiveFloat
    # A page larger than this is dropped before it is parsed.
    max_html_megabytes: PositiveFloat
    # So is a page with more open tags than this: parsers are quadratic in it.
    max_depth: PositiveInt
    # Documents that came as text are cut into parts of this size; 0 leaves them whole.
    part_characters: NonNegativeInt
    addresses: AddressParams
    # Shards, to which files are dealt in turn.
    tasks: PositiveInt


def extract(
    pages: Path,
    blocklists: Path,
    truth: Path,
    out: Path,
    out_removed: Path,
    params: ExtractParams,
    machine: Machine,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Read every file below `pages`, keep main text in `out`, everything else with its reason in `out_removed`.

    `blocklists` holds one's own lists of domains and URLs.
    """
    from crawl2chat.curation.addresses import AddressFilter, build_lists
    from crawl2chat.curation.blocks import Filter, Removed, writer
    from crawl2chat.curation.documents import documents_in, publish
    from crawl2chat.curation.execution import execute
    from crawl2chat.curation.extraction import CANARY
    from crawl2chat.curation.extraction import extract as main_text
    from crawl2chat.curation.extraction_score import extraction_by_form, extraction_f1
    from crawl2chat.curation.pages import Extract, Records, judge_address
    from crawl2chat.curation.reading.files import kind_of
    from crawl2chat.curation.reading.records import ORDINARY
    from crawl2chat.curation.score import dropping, ids_in, truth_of
    from crawl2chat.curation.statistics import drop_counts, require_documents, track

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
    shards, removed = work / "documents", Removed(work / "removed", "extract")
    max_bytes, max_html = int(params.max_megabytes * 2**20), int(params.max_html_megabytes * 2**20)
    pipeline = [
        Records(pages, removed, max_bytes, max_html, params.max_depth),
        Filter("address", partial(judge_address, addresses=addresses), removed),
        Extract(params.extractor, params.timeout, params.part_characters, removed),
        writer(shards),
    ]
    statistics = execute("extract", pipeline, work, machine, params.tasks)
    drops = drop_counts(statistics)
    track(statistics, tracker)
    kept = int(statistics["extract"].get("forwarded", 0))
    require_documents(kept, drops)
    publish(shards, out)
    publish(removed.folder, out_removed)

    manifest = truth_of(truth)
    lost = drops.pop("read", {})
    dropped = ids_in(manifest, *(out_removed / block for block in drops))
    arrived = dropped | ids_in(manifest, out)
    texts = [(d["id"], d["text"]) for d in documents_in(out)] if manifest else []
    samples = [{"url": d["metadata"].get("url", ""), "text": d["text"][:2000]} for d in islice(documents_in(out), 20)]
    tracker.table("extracted", samples)
    return {
        "records": int(statistics["read"]["total"]),
        "documents": kept,
        "added_parts": int(statistics["extract"].get("added_parts", 0)),
        "ordinary": {reason: n for reason, n in lost.items() if reason in ORDINARY},
        "unreadable": {reason: n for reason, n in lost.items() if reason not in ORDINARY},
        "dropped": drops,
        **extraction_f1(texts, manifest),
        **extraction_by_form(texts, manifest),
        **{f"address_{k}": v for k, v in dropping(dropped, arrived, manifest, "extract").items()},
    }
