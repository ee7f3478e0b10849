"""Stage filter: language, the quality rules of Gopher, C4 and FineWeb, and on demand a classifier.

What is dropped stays readable, with its reason.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import PositiveInt

from crawl2chat.curation.classifier import ClassifierParams
from crawl2chat.curation.language import LanguageParams
from crawl2chat.curation.quality import C4Params, FineWebParams, GopherParams
from crawl2chat.curation.repetition import RepetitionParams
from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker

HEADLINE = {"filter": {"documents": "documents", "precision": "precision", "recall": "recall"}}


class FilterParams(Params):
    """Section `filter` of params.yaml; the blocks run in this order."""

    language: LanguageParams
    repetition: RepetitionParams
    gopher: GopherParams
    c4: C4Params
    fineweb: FineWebParams
    classifier: ClassifierParams
    # Shards, to which files are dealt in turn.
    tasks: PositiveInt


def filter(  # noqa: A001 - a stage is called like its row in dvc.yaml
    extracted: Path,
    samples: Path,
    truth: Path,
    out: Path,
    out_removed: Path,
    params: FilterParams,
    machine: Machine,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Keep good documents in `out`, the others with block, reason and measured value in `out_removed`, with the rules.

    `samples` holds one's own good and bad texts for the classifier.
    """
    from crawl2chat.curation import classifier, judges
    from crawl2chat.curation.blocks import Filter, Removed, reader, writer
    from crawl2chat.curation.documents import documents_in, publish, samples_by_reason
    from crawl2chat.curation.execution import execute
    from crawl2chat.curation.score import dropping, ids_in, precision_by_reason, truth_of
    from crawl2chat.curation.statistics import drop_counts, require_documents, track

    if not any(extracted.glob("*.jsonl.zst")):
        raise UserError(f"The folder {extracted.name} holds no documents; run the stage extract first.")
    shards, removed = work / "documents", Removed(work / "removed", "filter")
    rules = {
        "language": partial(judges.judge_language, params=params.language),
        "repetition": partial(judges.judge_repetition, params=params.repetition),
        "gopher": partial(judges.judge_gopher, params=params.gopher),
        "c4": partial(judges.judge_c4, params=params.c4),
        "fineweb": partial(judges.judge_fineweb, params=params.fineweb),
    }
    scores: dict[str, Any] = {}
    if params.classifier.positive:
        model, scores["classifier"] = classifier.train(extracted, samples, params.classifier, work / "classifier")
        rules["classifier"] = partial(judges.judge_by_classifier, model=model, min_score=params.classifier.min_score)
        tracker.artifact(model, "classifier")
    pipeline = [reader(extracted), *(Filter(name, judge, removed) for name, judge in rules.items()), writer(shards)]
    statistics = execute("filter", pipeline, work, machine, params.tasks)
    drops = drop_counts(statistics)
    track(statistics, tracker)
    kept = int(statistics[next(reversed(rules))].get("forwarded", 0))
    require_documents(kept, drops)
    publish(shards, out)
    publish(removed.folder, out_removed)
    limits = params.model_dump(mode="json", include=set(rules))
    (out_removed / "rules.json").write_text(json.dumps(limits, indent=2) + "\n")

    manifest = truth_of(truth)
    dropped = ids_in(manifest, out_removed)
    arrived = dropped | ids_in(manifest, out)
    tracker.table("dropped", samples_by_reason(documents_in(out_removed)))
    return {
        "documents": kept,
        "dropped": drops,
        **scores,
        **dropping(dropped, arrived, manifest, "filter"),
        **precision_by_reason(documents_in(out_removed), manifest),
    }
