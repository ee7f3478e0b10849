"""Has a snapshot of the crawl drifted from an earlier one? Languages, domains, lengths and quality, tested by name.

    python -m flows.drift workspaces/october workspaces/november [--json]

In: two projects, workspaces or trials with data/corpus, or two corpora. Out: a line for each measure that has drifted,
and exit status 1 where there is one; in a flow a task with the state Steady or Drifted. The contract and its tests
stand in crawl2chat/curation/drift.py.
"""

# A deployment's entry point has to be a flow, so Prefect is imported at the top here as in flows/pipeline.py.
import argparse
import json
import sys
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, State

from crawl2chat.curation.drift import compare, table_of, told
from crawl2chat.errors import UserError
from flows.states import in_a_sentence
from stages.program import program

CORPUS = Path("data") / "corpus"


def measured(earlier: Path, later: Path) -> list[dict[str, Any]]:
    """The rows of the contract; UserError for a folder without a corpus."""
    tables = []
    for folder in (earlier, later):
        if not folder.is_dir():
            raise UserError(f"{folder} is not there; name a project, a workspace or a corpus.")
        tables.append(table_of(folder / CORPUS if (folder / CORPUS).is_dir() else folder))
    return compare(*tables)


@task(task_run_name="drift of {later.name}", cache_policy=None, persist_result=False)
def check_drift(earlier: Path, later: Path) -> State:
    """The contract as a state: Steady, or Drifted with what has."""
    rows = measured(earlier, later)
    create_table_artifact(rows, key="drift", description=f"{later.name} against {earlier.name}")
    found = told(rows)
    return Completed(name="Drifted" if found else "Steady", message="; ".join(found) or "within the contract")


@flow(name="drift")
@in_a_sentence
def drift(earlier: Path, later: Path) -> State:
    """Compare two snapshots.

    Args:
        earlier: a project, workspace or corpus.
        later: another one.
    """
    return check_drift(earlier, later, return_state=True)


@program
def main(arguments: list[str]) -> int:
    """The command line, without Prefect; 1 where something has drifted or cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m flows.drift", description="Compare two snapshots of a crawl.")
    parser.add_argument("earlier", type=Path, help="a project, workspace or corpus")
    parser.add_argument("later", type=Path, help="another one")
    parser.add_argument("--json", action="store_true", help="every measure as JSON")
    options = parser.parse_args(arguments)
    rows = measured(options.earlier, options.later)
    found = told(rows)
    print(json.dumps(rows, indent=2) if options.json else "\n".join(found) or f"{len(rows)} measures, none has drifted")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
