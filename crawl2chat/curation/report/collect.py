"""The report of curation: what was dropped where and why, what is left, and how near the limits it came, as tables.

In: the folders of the three steps of curation, and the scores against the truth where there is one. Out: the tables
`waterfall`, `reasons`, `precision_recall`, `duplicate_recall`, `histograms`, `cluster_sizes`, `languages`, `domains`,
`lengths`, `duplicate_clusters` and `dropped_samples`.
"""

import json

from crawl2chat.curation.documents import documents_in
from crawl2chat.curation.limits import limits
from crawl2chat.curation.report import tables
from crawl2chat.curation.report.clusters import biggest_clusters, cluster_sizes
from crawl2chat.curation.report.inputs import Folders, ReportParams, Row
from crawl2chat.curation.report.summaries import (
    EXTRACT,
    MEASURED,
    Census,
    Sample,
    Size,
    read_extracted,
    read_removed,
    values_of,
)
from crawl2chat.tokens.corpus import read

# The blocks in the order in which documents meet them. Those of the step filter follow `rules.json`.
DEDUPLICATE = ("minhash", "personal", "contamination", "schema")


def collect(folders: Folders, params: ReportParams, scores: Row) -> dict[str, list[Row]]:
    """All tables by name. `scores` are the metrics of deduplication, with precision and recall where there is truth."""
    census, kept = Census(), Sample(MEASURED)
    extracted, pages = read_extracted(folders.extracted)
    filtered, corpus = Size(), Size()
    for document in documents_in(folders.filtered):
        filtered.add(document["text"])
        kept.add(document["id"], values_of(document))
    rules = folders.removed["filter"] / "rules.json"
    orders = {"extract": EXTRACT, "filter": (*json.loads(rules.read_text()),), "deduplicate": DEDUPLICATE}
    drops = {
        stage: {block: read_removed(folders.removed[stage] / block, census, params) for block in order}
        for stage, order in orders.items()
    }
    for domain, language, text in read(folders.corpus, "domain", "language", "text"):
        corpus.add(text)
        census.add(language, domain, text, kept=True)
    found = limits(rules)
    return {
        "waterfall": [
            *tables.page_rows(drops["extract"], pages),
            {"stage": "extract", "block": "extract", **extracted.row()},
            *tables.after_blocks("filter", orders["filter"], extracted, drops["filter"], filtered),
            *tables.after_blocks("deduplicate", DEDUPLICATE, filtered, drops["deduplicate"], corpus),
        ],
        "reasons": tables.reason_rows(orders, drops),
        "precision_recall": tables.score_rows(folders, orders, scores),
        "histograms": tables.histogram_rows(found, kept.items(), drops["filter"]),
        "duplicate_recall": tables.similarity_rows(scores),
        "cluster_sizes": cluster_sizes(folders.removed["deduplicate"]),
        "languages": census.rows("language", census.languages),
        "domains": census.rows("domain", census.domains)[: params.domains],
        "lengths": census.length_rows(),
        "duplicate_clusters": biggest_clusters(folders, params),
        "dropped_samples": tables.sample_rows(orders, drops, found),
    }
