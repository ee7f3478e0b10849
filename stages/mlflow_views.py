"""How MLflow's page opens: on runs of training rather than on traces, with the columns that matter.

In: the address of MLflow, experiments and runs. Out: links. The columns are a view that is shared under a name, which
MLflow keeps as a tag of the experiment.
"""

import json
from typing import Any
from urllib.parse import quote

# Beside who and what; the numbers that stand in front in every experiment (stages/mlflow_names.py).
COLUMNS = ("loss", "val_loss", "bpb", "accuracy", "arithmetic", "talk", "refusals", "reward", "gold", "kl")
VIEW = "columns"
TAG = f"mlflow.sharedViewState.{VIEW}"
# Without it MLflow 3 opens an experiment on its traces, of which there are none.
KIND = "workflowType=machine_learning"
STATE = {
    "searchFilter": "",
    "orderByKey": "attributes.start_time",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
    "selectedColumns": ["attributes.`Source`", "attributes.`User`", *(f"metrics.`{name}`" for name in COLUMNS)],
    "runsExpanded": {},
    "runsPinned": [],
    "runsHidden": [],
    "runsHiddenMode": "FIRST_10_RUNS",
    "runsVisibilityMap": {},
    "viewMaximized": False,
    "runListHidden": False,
    "isAccordionReordered": False,
    "useGroupedValuesInCharts": True,
    "hideEmptyCharts": True,
    "groupBy": None,
    "groupsExpanded": {},
    "autoRefreshEnabled": False,
}


def share_view(client: Any, experiment: Any) -> None:
    """Keep the view with an experiment that does not have it yet, or has an older one."""
    state = json.dumps(STATE)
    if experiment.tags.get(TAG) != state:
        client.set_experiment_tag(experiment.experiment_id, TAG, state)


def experiment_link(address: str, experiment: str) -> str:
    """The runs of an experiment, in this view."""
    return f"{address}/#/experiments/{experiment}/runs?viewStateShareKey={VIEW}&{KIND}"


def run_link(address: str, experiment: str, run: str) -> str:
    return f"{address}/#/experiments/{experiment}/runs/{run}?{KIND}"


def comparison_link(address: str, experiments: list[str], runs: list[str]) -> str:
    """Runs side by side: their parameters, those that differ marked, and their numbers."""
    chosen = [quote(json.dumps(ids, separators=(",", ":"))) for ids in (runs, sorted(set(experiments)))]
    return f"{address}/#/compare-runs?runs={chosen[0]}&experiments={chosen[1]}&{KIND}"


def latest_comparison(client: Any, address: str, name: str, most: int = 2) -> str:
    """The last runs of an experiment that succeeded, compared; empty where there are not two."""
    experiment = client.get_experiment_by_name(name)
    runs = experiment and client.search_runs(
        [experiment.experiment_id], "attributes.status = 'FINISHED'", max_results=most, order_by=["start_time DESC"]
    )
    if not runs or len(runs) < 2:
        return ""
    return comparison_link(address, [experiment.experiment_id], [run.info.run_id for run in runs])
