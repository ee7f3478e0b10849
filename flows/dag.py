"""The pipeline's graph, read from dvc.yaml through DVC itself: nothing about stages is written down twice."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@contextlib.contextmanager
def open_project(root: Path, git: bool = False) -> Iterator[Any]:
    """DVC's view of the project in `root`; UserError where DVC does not know it.

    git: as `dvc repro` opens it, which wants a git checkout unless it is told to do without.
    """
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo(str(root), config={} if git else {"core": {"no_scm": True}}) as project:
            yield project
    except NotDvcRepoError:
        raise UserError(f"{root} has no .dvc folder: DVC does not know it; clone the project whole.") from None
    except SCMError:
        raise UserError(
            f"{root} is no git checkout: leave out --here, or let DVC do without git: "
            "`dvc config --local core.no_scm true`."
        ) from None
    except DvcException as error:  # dvc.yaml or .dvc/config cannot be read
        raise UserError(f"DVC does not take {root}: {error}") from None


def read_dag(root: Path) -> Dag:
    """The graph of the project in `root`."""
    with open_project(root) as repo:
        return dag_of(repo)


def dag_of(repo: Any) -> Dag:
    """The graph as DVC has it: its edges lead from a stage to what it depends on."""
    import networkx

    graph = repo.index.graph
    written = {stage.name: number for number, stage in enumerate(repo.index.stages)}
    # Among stages that could run next, the one that dvc.yaml has first.
    order = networkx.lexicographical_topological_sort(graph.reverse(), key=lambda stage: written[stage.name])
    upstream = {stage.name: tuple(dep.name for dep in graph.successors(stage)) for stage in order}
    return Dag({stage: tuple(sorted(deps, key=written.get)) for stage, deps in upstream.items()})


def read_state(root: Path, stages: list[str], restore: bool) -> tuple[Dag, frozenset[str]]:
    """The graph of these stages, or of all; and the stale ones: what DVC would run or take from its cache, and all that
    comes after it, found in this process.

    restore: put outs that dvc.lock names and the cache has in their places first; what lies there is overwritten.
    """
    from dvc.exceptions import CheckoutError

    for tool in ("dvc", "dvc_data"):  # what has never run has no hash to be put in place: no news
        logging.getLogger(tool).setLevel(logging.CRITICAL)
    with open_project(root) as repo:
        dag = dag_of(repo).within(stages)
        if restore:
            with contextlib.suppress(CheckoutError):  # what is in no cache has a stale stage
                repo.checkout(force=True)
        changed = {target.rpartition(":")[2] for target in repo.status()}
    stale: set[str] = set()
    for stage, before in dag.upstream.items():
        if stage in changed or stale & set(before):
            stale.add(stage)
    return dag, frozenset(stale)
