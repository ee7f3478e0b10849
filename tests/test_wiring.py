"""dvc.yaml names everything a stage depends on, its flags fit the functions, and every stage has its parameters."""

import ast
import importlib
import inspect
import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import get_type_hints

import pytest

from stages import deps, reference
from stages.files import read_yaml

ROOT = Path(__file__).parents[1]
PIPELINE = read_yaml(ROOT / "dvc.yaml")["stages"]
ALL_OUTS = [
    path
    for entry in PIPELINE.values()
    for item in [*entry["outs"], *entry.get("plots", [])]
    for path in ([item] if isinstance(item, str) else item)
]
# Each floor, and the floors that it may import from.
FLOORS = {"flows": ("stages", "crawl2chat"), "stages": ("crawl2chat",), "crawl2chat": ()}


def test_code_that_a_stage_imports_is_its_dependency_and_no_other() -> None:
    """`python -m stages.deps --write` mends it."""
    assert deps.rewritten(ROOT) == (ROOT / "dvc.yaml").read_text(encoding="utf-8")


def test_the_tool_sees_imports_inside_functions_and_files_beside_modules() -> None:
    assert "crawl2chat/chat/conversation.py" in deps.code_of(ROOT, "sft")
    assert "crawl2chat/page.css" in deps.code_of(ROOT, "report")


def test_every_file_of_code_is_reached_by_a_stage_or_a_program_of_its_own() -> None:
    """A template or a kernel that no module names by a constant would be a hidden input."""
    reached = {file for stage in PIPELINE for file in deps.code_of(ROOT, stage)}
    beside = {
        path.relative_to(ROOT).as_posix()
        for floor in ("crawl2chat", "stages")
        for path in (ROOT / floor).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert not beside - reached


@pytest.mark.parametrize("stage", PIPELINE)
def test_every_path_among_the_parameters_is_a_dependency(stage: str) -> None:
    """A string that names something in the project is a path: what lies there decides what the stage makes."""
    section = read_yaml(ROOT / "params.yaml")[stage] or {}
    texts = {key: value for key, value in section.items() if isinstance(value, str) and value not in ("", *FLOORS)}
    paths = [key for key, value in texts.items() if (ROOT / value).exists()]
    used = [dep for entry in PIPELINE.values() for dep in entry["deps"]]
    assert not [key for key in paths if f"${{{stage}.{key}}}" not in used]


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
    from stages.settings import read_parameters, validate

    section, seed = read_parameters(stage, ROOT, list(PIPELINE))
    hints = get_type_hints(getattr(importlib.import_module(f"stages.{stage}"), stage))
    assert isinstance(seed, int)
    if "params" in hints:
        validate(stage, hints["params"], section)


@pytest.mark.parametrize("stage", PIPELINE)
def test_a_value_stands_in_params_yaml_or_in_the_code_and_not_in_both(stage: str) -> None:
    model = get_type_hints(getattr(importlib.import_module(f"stages.{stage}"), stage)).get("params")
    section = read_yaml(ROOT / "params.yaml")[stage] or {}
    for dial in reference.dials(model) if model else ():
        *parents, key = dial.name.split(".")
        values = section
        for parent in parents:
            values = values.get(parent) or {}
        assert dial.required == (key in values), dial.name


def test_the_page_of_parameters_is_that_of_the_code() -> None:
    """`python -m stages.reference --write` makes it."""
    assert (ROOT / reference.PAGE).read_text(encoding="utf-8") == reference.page(ROOT)


@pytest.mark.parametrize("profile", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_profiles_are_valid_over_the_parameters(profile: Path, tmp_path: Path) -> None:
    from flows.overrides import overlay
    from stages.settings import read_parameters, validate

    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    overlay(tmp_path / "params.yaml", read_yaml(profile))
    for stage in PIPELINE:
        section, _ = read_parameters(stage, tmp_path, list(PIPELINE))
        hints = get_type_hints(getattr(importlib.import_module(f"stages.{stage}"), stage))
        if "params" in hints:
            validate(stage, hints["params"], section)


def imports(file: Path) -> set[str]:
    """The modules of this project that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: import by full names"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.split(".")[0] in FLOORS}


def test_floors_import_only_downwards() -> None:
    for floor, below in FLOORS.items():
        for file in sorted((ROOT / floor).rglob("*.py")):
            upward = [name for name in imports(file) if name.split(".")[0] not in (floor, *below)]
            assert not upward, f"{file.relative_to(ROOT)} imports {upward[0]}"


def test_packages_form_no_circle() -> None:
    """Packages and single modules of the library can be put in an order in which each imports earlier ones."""
    library = ROOT / "crawl2chat"
    graph: dict[str, set[str]] = {}
    for file in library.rglob("*.py"):
        own = file.relative_to(library).with_suffix("").parts[0]
        others = {name.split(".")[1] for name in imports(file) if name.startswith("crawl2chat.")}
        graph.setdefault(own, set()).update(other for other in others - {own} if is_part(library, other))
    list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_modules_of_a_package_form_no_circle() -> None:
    files = {module_name(file): file for floor in FLOORS for file in (ROOT / floor).rglob("*.py")}
    graph = {
        name: {other for other in imports(file) if other in files and other != name} for name, file in files.items()
    }
    list(TopologicalSorter(graph).static_order())


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def is_part(library: Path, name: str) -> bool:
    return (library / name).is_dir() or (library / f"{name}.py").is_file()


PIPELINE_WORDS = re.compile(
    r"\bdvc (repro|exp|status|pull)|\bdvc\.(yaml|lock)|params\.yaml|machine\.yaml"
    r"|\b(data|models|plots|metrics)/[a-z]+|the (stage \w+|\w+ stage)\b|python -m (stages|flows)"
)


def test_no_library_module_knows_the_pipeline() -> None:
    """Building blocks name no stage, parameters file, folder of the pipeline or command of the floors above."""
    known = []
    for file in sorted((ROOT / "crawl2chat").rglob("*.py")):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if found := PIPELINE_WORDS.search(line):
                known.append(f"{file.relative_to(ROOT)}:{number}: {found[0]}")
    assert not known


def test_dvc_walks_the_whole_graph(command, tmp_path: Path) -> None:
    """`dvc repro --dry --allow-missing` in a fresh copy: every stage is reached, every file of code is there."""
    from flows.overrides import layers_of
    from flows.workspace import prepare

    prepare(ROOT, tmp_path, layers_of(ROOT, "smoke", {}), None)
    # Of a stage that has to run, DVC wants to see the dependencies, even when it only says what it would do.
    for entry in PIPELINE.values():
        for dep in entry["deps"]:
            if not (tmp_path / dep).exists() and "$" not in dep:
                (tmp_path / dep).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / dep).write_text("placeholder")
    done = command(tmp_path, "dvc", "repro", "--dry", "--allow-missing")
    assert done.returncode == 0, done.stderr
    assert re.findall(r"Running stage '(\w+)'", done.stdout) == list(PIPELINE)


def test_every_plot_has_axes_a_title_and_a_template_that_is_there() -> None:
    for plot in read_yaml(ROOT / "dvc.yaml")["plots"]:
        if isinstance(plot, str):
            continue  # a picture
        ((name, drawn),) = plot.items()
        assert drawn.keys() >= {"x", "y", "title", "x_label", "y_label", "template"}, name
        assert (ROOT / ".dvc" / "plots" / f"{drawn['template']}.json").exists(), name
        files = {file for axis in (drawn["x"], drawn["y"]) if isinstance(axis, dict) for file in axis}
        assert files and all(any(file.startswith(out) for out in ALL_OUTS) for file in files), name


def test_every_model_is_an_artifact_by_name() -> None:
    artifacts = {each["path"] for each in read_yaml(ROOT / "dvc.yaml")["artifacts"].values()}
    models = {out for out in ALL_OUTS if out.startswith("models/") and not out.endswith(".sqlite")}
    # The second judge of RLHF is a part of one stage's rule, not a model to hand on.
    assert artifacts == models - {"models/reward_validation"}


def test_the_committed_run_is_one_of_this_pipeline() -> None:
    if not (ROOT / "dvc.lock").exists():
        pytest.skip("no run is committed yet")
    lock = read_yaml(ROOT / "dvc.lock")["stages"]
    assert list(PIPELINE) == sorted(lock, key=list(PIPELINE).index)
    params = read_yaml(ROOT / "params.yaml")
    for stage, entry in lock.items():
        cmd = re.sub(r"\$\{(\w+)\.(\w+)\}", lambda match: params[match[1]][match[2]], PIPELINE[stage]["cmd"])
        assert entry["cmd"].split() == cmd.split()


def test_what_ran_before_comes_back_from_the_run_cache() -> None:
    """DVC keeps no run that has an out without a cache, unless the out is a metric or a plot; what it calls metrics are
    the headlines alone."""
    for stage, entry in PIPELINE.items():
        assert all(isinstance(out, str) for out in entry["outs"]) and f"metrics/{stage}.json" in entry["outs"]
        assert all(path.startswith("metrics/headline/") for item in entry.get("metrics", []) for path in item)
