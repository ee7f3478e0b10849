"""datatrove's MinHash with words split faster, and the blocks that keep track of who stays of a cluster."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from datatrove.data import Document
from datatrove.pipeline.dedup.minhash import MinhashDedupSignature
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.text import simplify_text

from crawl2chat.curation.blocks import SHARD, Block, Removed
from crawl2chat.curation.drop import Drop


class Signatures(MinhashDedupSignature):
    """MinHash signatures over words between white space.

    The text is simplified before, so that spaCy's words, which take 85 % of this step's time, would differ only in
    contractions.
    """

    def get_shingles(self, text: str) -> np.ndarray:
        words = simplify_text(text, self.config.norm_config).split()
        n = self.config.n_grams
        runs = [" ".join(words[i : i + n]) for i in range(max(1, len(words) - n + 1))] if words else []
        return np.fromiter(map(self._hash_func, runs), np.uint64, len(runs)).reshape(-1, 1)


class Twins(Block):
    """Writes which document of each cluster stays: a line of cluster, id and url each. Lets everything pass."""

    def __init__(self, clusters: Path, out: Path):
        super().__init__("twins")
        self.clusters, self.out = clusters, out

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        clusters = np.fromfile(self.clusters / f"{rank:06d}.clusters", "<u4").reshape(-1, 2)
        removed = np.fromfile(self.clusters / f"{rank:06d}.remove", "<u4")
        kept = {int(place): int(cluster) for place, cluster in clusters[~np.isin(clusters[:, 0], removed)]}
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / f"{rank:05d}.jsonl").open("w") as file:
            for place, document in enumerate(data):
                if place in kept:
                    row = [kept[place], document.id, document.metadata.get("url", "")]
                    file.write(json.dumps(row) + "\n")
                yield document


class DuplicateWriter(JsonlWriter):
    """Writes what MinHash removes, with its cluster (`value`), the cluster's size, and the twin that stays."""

    def __init__(self, removed: Removed, twins: Path):
        super().__init__(str(removed.folder / "minhash"), SHARD, compression="zstd")
        self.removed, self.twins, self.database = removed, twins, None

    def write(self, document: Document, rank: int = 0, **more: Any) -> None:
        cluster = document.metadata["minhash_cluster_id"]
        self.database = self.database or sqlite3.connect(f"file:{self.twins}?immutable=1", uri=True)
        row = self.database.execute("SELECT id, url FROM twins WHERE cluster = ?", [cluster]).fetchone()
        document.metadata |= self.removed.marks("minhash", Drop("near_duplicate", cluster))
        document.metadata |= {"kept": row[0], "kept_url": row[1]}
        super().write(document, rank, **more)
