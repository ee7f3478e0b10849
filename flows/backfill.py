"""The pipeline over dated snapshots of a crawl, one after the other, each compared with the one before it.

    python -m flows.backfill --from 2026-10-01 --to 2026-11-30 [--snapshots inputs/snapshots] [--until deduplicate]

In: a folder of the project with a folder of crawl files for each date, named like 2026-10-01. Out: a trial for each
date below sweeps/backfill/ (flows/trials.py), and whether its corpus has drifted from the date before. A date that is
done is not run again; `--until report` makes models of every date, and the report of each shows its drift.
"""

# A deployment's entry point has to be a flow, so Prefect is imported at the top here as in flows/pipeline.py.
import argparse
import sys
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.states import Completed, State

from crawl2chat.curation.drift import told
from crawl2chat.errors import UserError
from flows.drift import CORPUS, check_drift, measured
from flows.mlflow_links import PipelineRun
from flows.overrides import check, nested, read_settings
from flows.prefect_server import server_address
from flows.states import in_a_sentence, message_of
from flows.trials import (
    Runner,
    Trial,
    chosen_stages,
    failure,
    obey_signals,
    prepare,
    run_as_task,
    run_stages,
    run_trials,
)
from stages.files import read_yaml, remove
from stages.program import program

PLACE = Path("sweeps") / "backfill"


def snapshots(root: Path, folder: Path, first: str, last: str) -> list[str]:
    """The dates in a folder from `first` to `last`, either of which may be empty; UserError where there are none."""
    for day in filter(None, (first, last)):
        if not is_date(day):
            raise UserError(f"{day!r} is no date; write it like 2026-11-30.")
    if folder.is_absolute() or not (root / folder).is_dir():
        raise UserError(f"{folder} is no folder of the project; put the snapshots there, one folder for each date.")
    dates = sorted(path.name for path in (root / folder).iterdir() if path.is_dir() and is_date(path.name))
    wanted = [day for day in dates if day >= first and (not last or day <= last)]
    if not wanted:
        raise UserError(f"{folder} has no snapshot between {first or 'the first'} and {last or 'the last'} day.")
    return wanted


def is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def trials(root: Path, folder: Path, dates: list[str], until: str, settings: dict[str, Any]) -> list[Trial]:
    """One for each date, which reads that date's files, and the corpus of the date before to compare with."""
    check(root, [nested(settings)])
    stages, made = chosen_stages(root, "", until), []
    for day in dates:
        given = settings | {"crawl.source": "files", "crawl.inputs": (folder / day).as_posix()}
        place = prepare(root, root / PLACE / day, stages, given)
        if made:
            reference = place / read_yaml(place / "params.yaml")["curation_report"]["reference"]
            remove(reference)
            reference.parent.mkdir(parents=True, exist_ok=True)
            reference.symlink_to(made[-1].folder / CORPUS)
        made.append(Trial(day, place, stages))
    return made


def run_dates(root: Path, made: list[Trial], run: Runner, look: Callable[[Path, Path], str]) -> dict[str, str]:
    """Run every date in turn; what `look` says of each against the one before. UserError where one failed."""
    with PipelineRun(root, name=f"backfill {made[0].name} to {made[-1].name}") as parent:
        failed = failure(run_trials(parent, made, 1, run))
        parent.end(failed)
    if failed:
        raise UserError(failed)
    return {later.name: look(earlier.folder, later.folder) for earlier, later in pairwise(made)}


@flow(name="backfill", log_prints=True)
@in_a_sentence
def backfill(
    first: str = "",
    last: str = "",
    folder: Path = Path("inputs/snapshots"),
    until: str = "deduplicate",
    overrides: dict[str, Any] | None = None,
    root: Path | None = None,
) -> State:
    """Run the pipeline on dated snapshots of a crawl.

    Args:
        first: the first day, such as 2026-10-01; the first there is when empty.
        last: the last day.
        folder: the folder of the project with a folder for each date.
        until: the last stage to run.
        overrides: values for params.yaml, such as {"pretrain.depth": 4}.
        root: the project's folder; the current one when empty.
    """
    root = (root or Path.cwd()).resolve()
    made = trials(root, folder, snapshots(root, folder, first, last), until, overrides or {})
    states = run_dates(root, made, run_as_task, as_state)
    drifted = [day for day, state in states.items() if state != "Steady"]
    return Completed(name="Drifted" if drifted else "Completed", message=f"{len(made)} dates; drifted: {drifted}")


def as_state(earlier: Path, later: Path) -> str:
    return check_drift(earlier, later, return_state=True).name


def in_words(earlier: Path, later: Path) -> str:
    return "; ".join(told(measured(earlier, later))) or "steady"


@program
def main(arguments: list[str]) -> int:
    """The command line; 1 when a date failed. Drift is told, and is no failure."""
    parser = argparse.ArgumentParser(prog="python -m flows.backfill", description="Run dated snapshots of a crawl.")
    parser.add_argument("--from", dest="first", default="", metavar="DATE", help="such as 2026-10-01")
    parser.add_argument("--to", dest="last", default="", metavar="DATE", help="such as 2026-11-30")
    parser.add_argument("--snapshots", type=Path, default=Path("inputs/snapshots"), help="a folder for each date")
    parser.add_argument("--until", default="deduplicate", metavar="STAGE", help="the last stage to run")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project or a workspace")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values for params.yaml")
    options = parser.parse_args(arguments)
    obey_signals()
    root, settings = options.root.resolve(), read_settings(options.set)
    dates = snapshots(root, options.snapshots, options.first, options.last)
    made = trials(root, options.snapshots, dates, options.until, settings)
    if server_address():
        given = (options.first, options.last, options.snapshots, options.until, settings, root)
        message_of(backfill(*given, return_state=True))
        return 0
    for day, found in run_dates(root, made, run_stages, in_words).items():
        print(f"{day}  {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
