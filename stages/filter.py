"""Stage filter: language, the quality rules of Gopher, C4 and FineWeb, and on demand a classifier.

What is dropped stays readable, with its reason.
"""

import json
from pathlib import Path
from typing import Any

from crawl2chat.curation.classifier import ClassifierParams
from crawl2chat.curation.execution import ExecutionParams
from crawl2chat.curation.language import LanguageParams
from crawl2chat.curation.quality import C4Params, FineWebParams, GopherParams, RepetitionParams
from crawl2chat.errors import UserError
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker


class FilterParams(Params):
    """Section `filter` of params.yaml; the blocks run in this order."""

    language: LanguageParams = LanguageParams()
    repetition: RepetitionParams = RepetitionParams()
    gopher: GopherParams = GopherParams()
    c4: C4Params = C4Params()
    fineweb: FineWebParams = FineWebParams()
    classifier: ClassifierParams = ClassifierParams()
    execution: ExecutionParams = ExecutionParams()


def filter(  # noqa: A001 - a stage is called like its row in dvc.yaml
    extracted: Path,
    samples: Path,
    truth: Path,
    out: Path,
    out_removed: Path,
    params: FilterParams,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Keep good documents in `out`, the others with block, reason and measured value in `out_removed`, with the rules.

    `samples` holds one's own good and bad texts for the classifier.
    """
    from crawl2chat.curation import blocks, classifier, execution, score

    if not any(extracted.glob("*.jsonl.zst")):
        raise UserError(f"The folder {extracted.name} holds no documents; run the stage extract first.")
    shards, removed = work / "documents", work / "removed"
    judges = {
        "language": blocks.LanguageJudge(params.language),
        "repetition": blocks.RepetitionJudge(params.repetition),
        "gopher": blocks.GopherJudge(params.gopher),
        "c4": blocks.C4Judge(params.c4),
        "fineweb": blocks.FineWebJudge(params.fineweb),
    }
    trained: dict[str, Any] = {}
    if params.classifier.positive:
        model, trained = classifier.train(extracted, samples, params.classifier, work / "classifier")
        judges["classifier"] = blocks.ClassifierJudge(model, params.classifier.min_score)
        tracker.artifact(model, "classifier")
    pipeline = [
        blocks.reader(extracted),
        *(blocks.Filter(name, judge, removed) for name, judge in judges.items()),
        blocks.writer(shards),
    ]
    statistics = execution.execute("filter", pipeline, work, params.execution)
    drops = execution.drop_counts(statistics)
    tracker.table("blocks", execution.blocks_table(statistics))
    kept = int(statistics[next(reversed(judges))].get("forwarded", 0))
    execution.require_documents(kept, "filter", drops)
    execution.publish(shards, out)
    execution.publish(removed, out_removed)
    judged_by = params.model_dump(mode="json", include=set(judges))
    (out_removed / "rules.json").write_text(json.dumps(judged_by, indent=2) + "\n")

    manifest = score.truth_of(truth)
    gone = score.ids_in(manifest, out_removed)
    arrived = gone | score.ids_in(manifest, out)
    tracker.table("dropped", execution.samples_by_reason(execution.documents_in(out_removed)))
    return {
        "documents": kept,
        "dropped": drops,
        **({"classifier": trained} if trained else {}),
        "ms_per_document": execution.milliseconds(statistics),
        **score.dropping(gone, arrived, manifest, "filter"),
        **score.precision_by_reason(execution.documents_in(out_removed), manifest),
    }
