"""The challenger of MLflow's registry against its champion: the alias moves only if the challenger is better.

    python -m flows.promote               # move the alias `champion`, or refuse with the reason (exit status 1)
    python -m flows.promote --rollback    # the champion before this one again

In: the registered model of the project's MLflow store, and what each version answered in the exam, question by
question: the artifact answers.jsonl of the run of `evaluate` that examined the version's chat model. The champion's
questions are the pinned evaluation. Out: the alias, and the reason as tags of both versions. The rule stands in
crawl2chat/evaluation/promotion.py.
"""

# A deployment's entry point has to be a flow, so Prefect is imported at the top here as in flows/pipeline.py.
import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.states import Completed, Failed, State

from crawl2chat.errors import UserError
from crawl2chat.evaluation.promotion import Decision, Scores, decide, scores
from crawl2chat.jsonl import read_jsonl
from flows.mlflow_links import reader
from flows.states import in_a_sentence
from stages.mlflow_writer import REGISTERED
from stages.program import program

CHAMPION, CHALLENGER = "champion", "challenger"
# Tag of a champion: the version whose place it took.
BEFORE = "promotion.before"
# What is examined, and what the exam's run keeps of it.
MODEL, ANSWERS = "models/chat", "evaluate/answers.jsonl"


def contest(client: Any) -> Decision:
    """Compare both versions and move the alias if the challenger is better."""
    champion, challenger = version(client, CHAMPION), version(client, CHALLENGER)
    if champion.version == challenger.version:
        return Decision(True, f"version {champion.version} is the champion and has no challenger.")
    latest = next(exams(client, challenger), None)
    if latest is None:
        return Decision(False, f"version {challenger.version} has not been examined; run `dvc repro evaluate`.")
    decisions = [decide(pinned, latest) for pinned in exams(client, champion)]
    if not decisions:
        return Decision(False, f"champion {champion.version} has no answers in MLflow to compare with; {BY_HAND}")
    decision = next((one for one in decisions if one.difference), decisions[0])
    note = f"{challenger.version} against {champion.version}: {decision.reason}"
    for each in (champion, challenger):
        client.set_model_version_tag(REGISTERED, each.version, "promotion", note)
    if decision.better:
        client.set_model_version_tag(REGISTERED, challenger.version, BEFORE, champion.version)
        client.set_registered_model_alias(REGISTERED, CHAMPION, challenger.version)
    return Decision(decision.better, f"version {note}", decision.difference)


BY_HAND = f"set the alias {CHAMPION} in MLflow by hand if it shall be replaced all the same."


def roll_back(client: Any) -> str:
    """Give the alias back to the version that had it before; called again, to the one before that."""
    now = version(client, CHAMPION)
    before = now.tags.get(BEFORE)
    if not before:
        raise UserError(f"version {now.version} was promoted over none: there is no champion to go back to.")
    client.set_registered_model_alias(REGISTERED, CHAMPION, before)
    return f"version {before} is the champion again, in place of version {now.version}."


def version(client: Any, alias: str) -> Any:
    """The version that an alias names."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(REGISTERED, alias)
    except MlflowException:
        raise UserError(
            f"the registry has no {REGISTERED} with the alias {alias}; `dvc repro export` makes one."
        ) from None


def exams(client: Any, registered: Any) -> Iterator[Scores]:
    """What a version answered, in each run of `evaluate` that examined its chat model, the latest first."""
    exported = client.get_run(registered.run_id).data.tags
    experiment = client.get_experiment_by_name("evaluate")
    if experiment is None or f"dvc.dep.{MODEL}" not in exported:
        return
    wanted = f"attributes.status = 'FINISHED' and tags.`dvc.dep.{MODEL}` = '{exported[f'dvc.dep.{MODEL}']}'"
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    for run in client.search_runs([experiment.experiment_id], wanted, order_by=["start_time DESC"]):
        if any(file.path == ANSWERS for file in client.list_artifacts(run.info.run_id, str(Path(ANSWERS).parent))):
            with tempfile.TemporaryDirectory() as folder:
                rows = read_jsonl(Path(client.download_artifacts(run.info.run_id, ANSWERS, folder)))
            yield scores(row for row in rows if row["model"] == Path(MODEL).name)


@flow(name="promote", log_prints=True)
@in_a_sentence
def promote(root: Path | None = None, rollback: bool = False) -> State:
    """Make the challenger the champion if it is better.

    Args:
        root: the project's folder; the current one when empty.
        rollback: give the alias back to the champion before this one instead.
    """
    client = reader(root or Path.cwd())
    if rollback:
        return Completed(name="Rolled back", message=roll_back(client))
    decision = contest(client)
    if not decision.better:
        return Failed(name="Refused", message=decision.reason)
    return Completed(name="Promoted" if decision.difference else "Kept", message=decision.reason)


@program
def main(arguments: list[str]) -> int:
    """The command line, without Prefect; 0, or 1 when the challenger is refused."""
    parser = argparse.ArgumentParser(prog="python -m flows.promote", description="Challenger against champion.")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project or a workspace")
    parser.add_argument("--rollback", action="store_true", help="the champion before this one again")
    options = parser.parse_args(arguments)
    client = reader(options.root)
    if options.rollback:
        print(roll_back(client))
        return 0
    decision = contest(client)
    if not decision.better:
        raise UserError(f"refused: {decision.reason}")
    print(decision.reason)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
