"""Near-duplicates by MinHash: datatrove's four steps, with clusters that can be traced.

In: shards of documents. Out: for each shard the files from which the last step knows what to remove. Two documents with
5-gram similarity s meet with probability 1 - (1 - s^hashes)^buckets: 56/77/92/98.8 % at .70/.75/.80/.85 for 14 × 8.
Source: Broder 1997, Penedo et al. 2024.
"""

import json
import sqlite3
import sys
from contextlib import closing, redirect_stderr
from io import StringIO
from pathlib import Path

from pydantic import PositiveInt

from crawl2chat.curation.execution import ExecutionParams, execute
from crawl2chat.parameters import Params


class MinhashParams(Params):
    """The curve of similarity against detection, and what counts as the same word."""

    n_grams: PositiveInt = 5
    buckets: PositiveInt = 14
    hashes: PositiveInt = 8
    ignore_numbers: bool = True  # all numbers are one word; False where pages differ in their numbers alone


def find(documents: Path, work: Path, params: MinhashParams, execution: ExecutionParams) -> Path:
    """Run signatures, buckets and clusters over `documents`; returns the folder that `removal` reads."""
    from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets, MinhashDedupCluster

    from crawl2chat.curation import blocks

    config = config_of(params)
    signatures, pairs, clusters = (work / name for name in ("signatures", "pairs", "clusters"))
    execute("signatures", [blocks.reader(documents), blocks.Signatures(str(signatures), config)], work, execution)
    buckets = MinhashDedupBuckets(str(signatures), str(pairs), config=config)
    # On one machine, processes for these steps would take longer to start than to work.
    here = execution.executor == "local"
    alone = execution.model_copy(update={"workers": 1}) if here else execution
    execute("buckets", [buckets], work, alone, params.buckets)
    cluster = MinhashDedupCluster(str(pairs), str(clusters), config, save_cluster_id=True, save_cluster_size=True)
    with redirect_stderr(sys.stderr if sys.stderr.isatty() else StringIO()):  # datatrove's progress bar
        execute("clusters", [cluster], work, execution, 1)
    # The last step passes shards without a removal by and forgets their clusters: give every shard its three files.
    for shard in range(execution.tasks):
        for kind in ("remove", "clusters", "sizes"):
            (clusters / f"{shard:06d}.{kind}").touch()
    return clusters


def twins(documents: Path, clusters: Path, work: Path, execution: ExecutionParams) -> Path:
    """A database of the document that stays of each cluster: cluster, id, url; what `removal` looks twins up in."""
    from crawl2chat.curation import blocks

    lines, database = work / "twins.jsonl", work / "twins.sqlite"
    execute("twins", [blocks.reader(documents), blocks.Twins(clusters, lines)], work, execution)
    database.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE twins (cluster INTEGER PRIMARY KEY, id TEXT, url TEXT)")
        for path in sorted(lines.glob("*.jsonl")):
            with path.open() as file:
                connection.executemany("INSERT INTO twins VALUES (?, ?, ?)", map(json.loads, file))
    return database


def removal(clusters: Path, twins: Path, removed: Path):
    """The fourth step as a block: one document of each cluster stays."""
    from datatrove.pipeline.dedup.minhash import MinhashDedupFilter

    from crawl2chat.curation import blocks

    out = blocks.DuplicateWriter(removed / "minhash", twins)
    return MinhashDedupFilter(str(clusters), out, load_cluster_ids=True, load_cluster_sizes=True)


def config_of(params: MinhashParams):
    """The parameters in datatrove's form."""
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.text import TextNormConfig

    return MinhashConfig(
        n_grams=params.n_grams,
        num_buckets=params.buckets,
        hashes_per_bucket=params.hashes,
        seed=1,
        norm_config=TextNormConfig(norm_numbers=params.ignore_numbers),
    )
