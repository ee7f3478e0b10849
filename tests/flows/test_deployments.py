"""What Prefect's page offers: the same from `flows.serve` as for a work pool, each started with what its form sends."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from flows.serve import deployments
from stages.files import read_yaml

ROOT = Path(__file__).parents[2]
STAGES = list(read_yaml(ROOT / "dvc.yaml")["stages"])
OFFERED = {each.name: each for each in deployments("0 3 * * *", STAGES)}


def flow_of(name: str) -> Any:
    module, _, attribute = OFFERED[name].entrypoint.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("full run", {"stages": ["sft"], "profile": "smoke", "overrides": {"sft.epochs": 2}, "force": True}),
        ("nightly", {"here": False}),
        ("evaluate only", {"overrides": {"evaluate.facts": 10}}),
        ("sweep", {"measure": "sft.val_loss", "variants": {"short": {"sft.epochs": 1}}, "seeds": [1, 2]}),
        ("promote", {"rollback": True}),
    ],
)
def test_a_form_starts_its_flow(name: str, sent: dict[str, Any]) -> None:
    form = json.loads(OFFERED[name]._parameter_openapi_schema.model_dump_json())
    values = json.loads(json.dumps(OFFERED[name].parameters | sent))
    assert set(form["required"]) <= values.keys() <= form["properties"].keys()
    assert all(field["description"] for field in form["properties"].values())
    taken = flow_of(name).validate_parameters(values)
    assert {key: taken[key] for key in values} == values


def test_the_form_offers_the_stages_and_profiles_that_there_are() -> None:
    choices = OFFERED["full run"]._parameter_openapi_schema.model_dump()["definitions"]
    assert choices["Stage"]["enum"] == STAGES
    assert choices["Profile"]["enum"] == sorted(path.stem for path in (ROOT / "profiles").glob("*.yaml"))


def test_a_work_pool_gets_the_same_deployments() -> None:
    pooled = {each["name"]: each for each in read_yaml(ROOT / "prefect.yaml")["deployments"]}
    assert list(pooled) == list(OFFERED)
    for name, each in pooled.items():
        file, _, attribute = each["entrypoint"].partition(":")
        assert f"{file.removesuffix('.py').replace('/', '.')}.{attribute}" == OFFERED[name].entrypoint
        assert each.get("parameters", {}) == OFFERED[name].parameters
        assert [plan["cron"] for plan in each.get("schedules", [])] == [
            plan.schedule.cron for plan in OFFERED[name].schedules
        ]
