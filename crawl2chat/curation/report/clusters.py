"""Clusters of near-duplicates: how many of which size, and the biggest with text."""

from collections import Counter
from pathlib import Path

from crawl2chat.curation.documents import documents_in
from crawl2chat.curation.report.inputs import Folders, ReportParams, Row
from crawl2chat.curation.report.summaries import Sample
from crawl2chat.curation.similarity import shared_runs
from crawl2chat.page import clip
from crawl2chat.tokens.corpus import read


def cluster_sizes(removed: Path) -> list[Row]:
    """How many clusters of duplicates have which size. Of a cluster of n pages n − 1 were dropped, and each says so."""
    dropped = Counter(document["metadata"]["minhash_cluster_size"] for document in documents_in(removed / "minhash"))
    return [{"size": size, "clusters": round(count / (size - 1))} for size, count in sorted(dropped.items())]


def biggest_clusters(folders: Folders, params: ReportParams) -> list[Row]:
    """The largest clusters: the twin that stayed and some copies, and how many runs of five words they share."""
    minhash = folders.removed["deduplicate"] / "minhash"
    sizes: dict[int, int] = {}
    for document in documents_in(minhash):
        sizes[document["metadata"]["minhash_cluster_id"]] = document["metadata"]["minhash_cluster_size"]
        if len(sizes) > 1_000 + params.clusters:
            sizes = largest(sizes, params.clusters)
    sizes = largest(sizes, params.clusters)
    copies = {cluster: Sample(params.samples) for cluster in sizes}
    for document in documents_in(minhash):
        if (cluster := document["metadata"]["minhash_cluster_id"]) in copies:
            copies[cluster].add(document["id"], document)
    rows = read(folders.corpus, "cluster", "url", "text")
    twins = {cluster: (url, text) for cluster, url, text in rows if cluster in sizes}
    found = []
    for cluster, size in sizes.items():
        url, text = twins.get(cluster, ("", ""))  # the twin may have been dropped later, for showing an evaluation item
        found.append(page_of(cluster, size, "kept", url, text, text, params.characters))
        for copy in copies[cluster].items():
            url = copy["metadata"].get("url", "")
            found.append(page_of(cluster, size, "dropped", url, copy["text"], text, params.characters))
    return found


def page_of(cluster: int, size: int, fate: str, url: str, text: str, twin: str, characters: int) -> Row:
    shared = round(shared_runs(text, twin), 3) if twin else None
    page = {"cluster": cluster, "size": size, "fate": fate, "url": url}
    return page | {"shared": shared, "text": clip(text, characters)}


def largest(sizes: dict[int, int], most: int) -> dict[int, int]:
    return dict(sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))[:most])
