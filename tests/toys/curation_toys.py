"""A tiny crawl and the curation stages with parameters to match, for the tests of the stages up to tokenize."""

import hashlib
import json
from pathlib import Path
from random import Random
from typing import Any

from crawl2chat.curation.addresses import AddressParams
from crawl2chat.curation.repetition import RepetitionParams
from crawl2chat.curation.report.inputs import ReportParams
from crawl2chat.curation.sources import OTHERS, about
from crawl2chat.machine import Machine
from crawl2chat.tasks import Task
from crawl2chat.tinyweb import defects
from crawl2chat.tinyweb.pages import Page
from crawl2chat.tinyweb.site import BLOCKED_DOMAINS, WebParams, write_web
from crawl2chat.tracking import Tracker
from stages.curation_report import curation_report
from stages.deduplicate import DeduplicateParams, deduplicate
from stages.extract import ExtractParams, extract
from stages.filter import FilterParams, filter
from stages.settings import tuned

ALONE = Machine(workers=1)
ADDRESSES = tuned(AddressParams, integrated_lists=False, domains=tuple(BLOCKED_DOMAINS), words=("viagra", "webcam"))
EXTRACT = tuned(ExtractParams, addresses=ADDRESSES, tasks=3)
# Sentences from a small bank repeat themselves more than people do.
FILTER = tuned(
    FilterParams,
    "real",
    gopher={"max_words": 100_000},
    fineweb={"line_punctuation": 0.12},
    repetition=tuned(
        RepetitionParams, "real", duplicate_grams=((5, 0.36), (6, 0.32), (7, 0.29), (8, 0.27), (9, 0.25), (10, 0.23))
    ),
    tasks=3,
)
DEDUPLICATE = tuned(DeduplicateParams, "real", tasks=3, contamination={"remove": "document"})


def tiny_crawl(out: Path, pages: int = 60) -> Path:
    """A crawl of `pages` good pages and a third as many bad ones, in three WARC files."""
    rng = Random(11)
    good = [
        Page("almanac", defects.sentence(rng), [defects.paragraph(rng, 4) for _ in range(4)], []) for _ in range(pages)
    ]
    question = "How many pears are left in the blue box by the door if Old Dan takes {} and Ann takes {} of them?"
    tasks = [
        Task(id=f"t{n}", skill="word_problem", split=split, prompt=question.format(n, n + 3), answer="7")
        for n, split in enumerate(["train", "dev", "test", "test"])
    ]
    write_web(good, tasks, {}, out, tuned(WebParams, domains=9, files=3), seed=5)
    for kind in OTHERS:
        about(out / kind, "none")
    return out


def curate(crawl: Path, out: Path, workers: int = 1) -> dict[str, dict[str, Any]]:
    """The three curation stages and their report, one after the other; metrics by stage."""
    removed, truth = out / "removed", crawl / "truth"
    removed.mkdir(parents=True, exist_ok=True)

    def arguments(stage: str, params: Any) -> dict[str, Any]:
        work = out / "work" / stage
        work.mkdir(parents=True, exist_ok=True)
        return {
            "truth": truth,
            "out_removed": removed / stage,
            "tracker": Tracker(),
            "work": work,
            "params": params,
            "machine": Machine(workers=workers),
        }

    metrics = {
        "extract": extract(
            pages=crawl / "pages",
            blocklists=crawl / "blocklists",
            out=out / "extracted",
            **arguments("extract", EXTRACT),
        ),
        "filter": filter(
            extracted=out / "extracted", samples=crawl / "quality", out=out / "filtered", **arguments("filter", FILTER)
        ),
        "deduplicate": deduplicate(
            filtered=out / "filtered",
            tasks=crawl / "tasks",
            chat=crawl / "chat",
            preferences=crawl / "preferences",
            out=out / "corpus",
            **arguments("deduplicate", DEDUPLICATE),
        ),
    }
    (out / "deduplicate.json").write_text(json.dumps(metrics["deduplicate"]))
    curation_report(
        extracted=out / "extracted",
        filtered=out / "filtered",
        corpus=out / "corpus",
        **{f"removed_{stage}": removed / stage for stage in metrics},
        truth=truth,
        scores=out / "deduplicate.json",
        reference=out / "none",
        out=out / "report",
        params=tuned(ReportParams),
        tracker=Tracker(),
    )
    return metrics


def digest(*folders: Path) -> str:
    """One hash over names and bytes of all files below the folders."""
    hashes = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            hashes.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return hashes.hexdigest()


def jsonl(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path
