"""dvc.yaml names everything a stage depends on, its flags fit the functions, and every stage has its parameters."""

import ast
import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import get_type_hints

import pytest

from stages.files import read_yaml

ROOT = Path(__file__).parents[1]
PIPELINE = read_yaml(ROOT / "dvc.yaml")["stages"]
# Surroundings of every stage that do not decide what it makes.
EVERYWHERE = {"crawl2chat/__init__.py", "crawl2chat/errors.py", "crawl2chat/parameters.py", "crawl2chat/tracking.py"}


@cache
def imports(file: str) -> frozenset[str]:
    """The project's own modules that a file imports, anywhere in it, as paths."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: import by full names"
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                path = "/".join(parts[:end])
                found |= {option for option in (f"{path}.py", f"{path}/__init__.py") if (ROOT / option).is_file()}
    return frozenset(path for path in found if path.startswith("crawl2chat"))


def needed(stage: str) -> set[str]:
    """Every module of crawl2chat that a stage imports, directly or by way of others."""
    todo, seen = [f"stages/{stage}.py"], set()
    while todo:
        for path in imports(todo.pop()) - seen:
            seen.add(path)
            todo.append(path)
    return {path for path in seen - EVERYWHERE if not is_empty(path)}


def is_empty(path: str) -> bool:
    """A module with a docstring and nothing else, as packages have."""
    return all(isinstance(node, ast.Expr) for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body)


@pytest.mark.parametrize("stage", PIPELINE)
def test_code_that_a_stage_imports_is_a_dependency(stage: str) -> None:
    deps = PIPELINE[stage]["deps"]
    uncovered = [
        path for path in sorted(needed(stage)) if not any(path == dep or path.startswith(dep + "/") for dep in deps)
    ]
    assert not uncovered


@pytest.mark.parametrize("stage", PIPELINE)
def test_the_command_fits_the_function(stage: str) -> None:
    function = getattr(importlib.import_module(f"stages.{stage}"), stage)
    hints = get_type_hints(function)
    paths = [name for name in inspect.signature(function).parameters if hints[name] is Path and name != "work"]
    flags = re.findall(r"--([a-z-]+) ", PIPELINE[stage]["cmd"])
    assert sorted(flags) == sorted(name.replace("_", "-") for name in paths)


@pytest.mark.parametrize("stage", PIPELINE)
def test_inputs_are_dependencies_and_outs_are_outs(stage: str) -> None:
    entry = PIPELINE[stage]
    made = {
        path
        for kind in ("outs", "plots", "metrics")
        for item in entry.get(kind, [])
        for path in ([item] if isinstance(item, str) else item)
    }
    for flag, path in re.findall(r"--([a-z-]+) (\S+)", entry["cmd"]):
        if flag == "out" or flag.startswith("out-"):
            assert path in made
        elif stage != "report":  # it depends on the single files of metrics/ and plots/
            assert path in entry["deps"]
    assert f"metrics/{stage}.json" in made


@pytest.mark.parametrize("stage", PIPELINE)
def test_the_parameters_of_params_yaml_are_valid(stage: str) -> None:
    from stages.runner import read_parameters, validate

    section, seed = read_parameters(stage, ROOT, list(PIPELINE))
    hints = get_type_hints(getattr(importlib.import_module(f"stages.{stage}"), stage))
    assert isinstance(seed, int)
    if "params" in hints:
        validate(stage, hints["params"], section)


@pytest.mark.parametrize("profile", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_profiles_are_valid_over_the_parameters(profile: Path, tmp_path: Path) -> None:
    from flows.overrides import overlay
    from stages.runner import read_parameters, validate

    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    overlay(tmp_path / "params.yaml", read_yaml(profile))
    for stage in PIPELINE:
        section, _ = read_parameters(stage, tmp_path, list(PIPELINE))
        hints = get_type_hints(getattr(importlib.import_module(f"stages.{stage}"), stage))
        if "params" in hints:
            validate(stage, hints["params"], section)


def test_floors_import_only_downwards() -> None:
    below = {"crawl2chat": ("stages", "flows"), "stages": ("flows",)}
    for floor, above in below.items():
        for file in sorted((ROOT / floor).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
                upward = [name for name in names if name.split(".")[0] in above]
                assert not upward, f"{file.relative_to(ROOT)} imports {upward[0]}"


def test_dvc_walks_the_whole_graph(command, tmp_path: Path) -> None:
    """`dvc repro --dry --allow-missing` in a fresh copy: every stage is reached, every file of code is there."""
    from flows.workspace import prepare

    prepare(ROOT, tmp_path, ROOT / "profiles" / "smoke.yaml", None, {})
    # Of a stage that has to run, DVC wants to see the dependencies, even when it only says what it would do.
    for entry in PIPELINE.values():
        for dep in entry["deps"]:
            if not (tmp_path / dep).exists() and "$" not in dep:
                (tmp_path / dep).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / dep).write_text("placeholder")
    done = command(tmp_path, "dvc", "repro", "--dry", "--allow-missing")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"Running stage '(\w+)'", done.stdout) == list(PIPELINE)


def test_the_committed_run_is_one_of_this_pipeline() -> None:
    if not (ROOT / "dvc.lock").exists():
        pytest.skip("no run is committed yet")
    lock = read_yaml(ROOT / "dvc.lock")["stages"]
    assert list(PIPELINE) == sorted(lock, key=list(PIPELINE).index)
    for stage, entry in lock.items():
        assert " ".join(entry["cmd"].split()) == " ".join(
            PIPELINE[stage]["cmd"]
            .replace("${crawl.inputs}", "inputs/crawl")
            .replace("${pretrain.init_from}", "inputs/model")
            .replace("${tokenizer.ranks}", "inputs/ranks")
            .split()
        )
