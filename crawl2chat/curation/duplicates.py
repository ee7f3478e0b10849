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
from typing import TYPE_CHECKING, Any

from pydantic import PositiveInt

from crawl2chat.curation.execution import execute
from crawl2chat.machine import Machine
from crawl2chat.parameters import Params

if TYPE_CHECKING:
    from crawl2chat.curation.blocks import Removed


class MinhashParams(Params):
    """The curve of similarity against detection, and what counts as the same word."""

    n_grams: PositiveInt
    buckets: PositiveInt
    hashes: PositiveInt
    # All numbers are one word; False where pages differ in their numbers alone.
    ignore_numbers: bool


def find(documents: Path, work: Path, params: MinhashParams, machine: Machine, tasks: int) -> Path:
    """Run signatures, buckets and clusters over `documents`; returns the folder that `removal` reads."""
    from datatrove.pipeline.dedup.minhash import MinhashDedupBuckets, MinhashDedupCluster

    from crawl2chat.curation.blocks import reader
    from crawl2chat.curation.minhash import Signatures

    config = config_of(params)
    signatures, pairs, clusters = (work / name for name in ("signatures", "pairs", "clusters"))
    execute("signatures", [reader(documents), Signatures(str(signatures), config)], work, machine, tasks)
    buckets = MinhashDedupBuckets(str(signatures), str(pairs), config=config)
    # On one machine, processes for these steps would take longer to start than to work.
    alone = machine.model_copy(update={"workers": 1}) if machine.executor == "local" else machine
    execute("buckets", [buckets], work, alone, params.buckets)
    cluster = MinhashDedupCluster(str(pairs), str(clusters), config, save_cluster_id=True, save_cluster_size=True)
    with redirect_stderr(sys.stderr if sys.stderr.isatty() else StringIO()):  # datatrove's progress bar
        execute("clusters", [cluster], work, machine, 1)
    # The last step passes shards without a removal by and forgets their clusters: give every shard its three files.
    for shard in range(tasks):
        for kind in ("remove", "clusters", "sizes"):
            (clusters / f"{shard:06d}.{kind}").touch()
    return clusters


def twins(documents: Path, clusters: Path, work: Path, machine: Machine, tasks: int) -> Path:
    """A database of the document that stays of each cluster: cluster, id, url; what `removal` looks twins up in."""
    from crawl2chat.curation.blocks import reader
    from crawl2chat.curation.minhash import Twins

    lines, database = work / "twins.jsonl", work / "twins.sqlite"
    execute("twins", [reader(documents), Twins(clusters, lines)], work, machine, tasks)
    database.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE twins (cluster INTEGER PRIMARY KEY, id TEXT, url TEXT)")
        for path in sorted(lines.glob("*.jsonl")):
            with path.open() as file:
                connection.executemany("INSERT INTO twins VALUES (?, ?, ?)", map(json.loads, file))
    return database


def removal(clusters: Path, twins: Path, removed: "Removed") -> Any:
    """The fourth step as a block: one document of each cluster stays."""
    from datatrove.pipeline.dedup.minhash import MinhashDedupFilter

    from crawl2chat.curation.minhash import DuplicateWriter

    out = DuplicateWriter(removed, twins)
    return MinhashDedupFilter(str(clusters), out, load_cluster_ids=True, load_cluster_sizes=True)


def config_of(params: MinhashParams) -> Any:
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
