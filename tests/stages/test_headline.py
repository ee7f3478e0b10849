"""The headline of a run: few numbers, few names, and none that the input cannot tell."""

import importlib
from pathlib import Path

import pytest

from stages.files import read_yaml
from stages.headline import number_at, path_of, rows_of

ROOT = Path(__file__).parents[2]
PIPELINE = read_yaml(ROOT / "dvc.yaml")["stages"]


def headline_of(stage: str) -> dict[str, dict[str, str]]:
    return getattr(importlib.import_module(f"stages.{stage}"), "HEADLINE", {})


def test_dvc_metrics_show_stays_readable() -> None:
    rows = [names for stage in PIPELINE for names in headline_of(stage).values()]
    assert sum(map(len, rows)) <= 60
    assert len({name for names in rows for name in names}) <= 15


@pytest.mark.parametrize("stage", PIPELINE)
def test_the_headline_of_a_stage_is_what_dvc_calls_its_metrics(stage: str) -> None:
    declared = [path for item in PIPELINE[stage].get("metrics", []) for path in item]
    assert declared == [str(path_of(row)) for row in headline_of(stage)]


def test_what_the_input_cannot_tell_is_left_out() -> None:
    assert rows_of("filter", {"documents": 3, "precision": None}) == {"filter": {"documents": 3}}
    assert rows_of("evaluate", {"chat": {"val_bpb": 0.5}})["evaluate_chat"] == {"bpb": 0.5}


def test_only_numbers_are_numbers() -> None:
    metrics = {"a": {"b": 2}, "text": "x", "flag": True}
    assert [number_at(metrics, key) for key in ("a.b", "a", "a.b.c", "text", "flag", "none")] == [2] + [None] * 5
