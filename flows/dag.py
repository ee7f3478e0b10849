"""The pipeline's graph, read from dvc.yaml through DVC itself: nothing about stages is written down twice."""

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

from crawl2chat.errors import UserError


@dataclass(frozen=True)
class Dag:
    """Stage → the stages whose outs it reads, in an order in which they can run."""

    upstream: dict[str, tuple[str, ...]]

    def within(self, wanted: list[str]) -> "Dag":
        """Only the wanted stages, with the edges among them; everything when none is named."""
        unknown = [stage for stage in wanted if stage not in self.upstream]
        if unknown:
            raise UserError(f"no stage is called {unknown[0]!r}; the stages are {', '.join(self.upstream)}.")
        kept = {
            stage: tuple(dep for dep in deps if not wanted or dep in wanted)
            for stage, deps in self.upstream.items()
            if not wanted or stage in wanted
        }
        return Dag(kept)


def read_dag(root: Path) -> Dag:
    """The graph of the project in `root`. Edges of DVC's graph lead from a stage to what it depends on."""
    import networkx
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        graph = repo.index.graph
        written = {stage.name: number for number, stage in enumerate(repo.index.stages)}
        # Among stages that could run next, the one that dvc.yaml has first.
        order = networkx.lexicographical_topological_sort(graph.reverse(), key=lambda stage: written[stage.name])
        upstream = {stage.name: tuple(dep.name for dep in graph.successors(stage)) for stage in order}
    return Dag({stage: tuple(sorted(deps, key=written.get)) for stage, deps in upstream.items()})


def stale_stages(root: Path, dag: Dag, restore: bool) -> frozenset[str]:
    """Stages that DVC would run or take from its cache, and all that come after them; found in this process.

    restore: put outs that dvc.lock names and the cache has in their places first; what lies there is overwritten.
    """
    from dvc.exceptions import CheckoutError
    from dvc.repo import Repo

    for tool in ("dvc", "dvc_data"):  # what has never run has no hash to be put in place: no news
        logging.getLogger(tool).setLevel(logging.CRITICAL)
    with Repo(str(root)) as repo:
        if restore:
            with contextlib.suppress(CheckoutError):  # what is in no cache has a stale stage
                repo.checkout(force=True)
        changed = {target.rpartition(":")[2] for target in repo.status()}
    stale: set[str] = set()
    for stage, before in dag.upstream.items():
        if stage in changed or stale & set(before):
            stale.add(stage)
    return frozenset(stale)
