"""Which stages a change of code makes stale, asked of DVC itself.

`python -m benchmarks.reruns [--project <checkout>] [--table]`

Appends a comment to each file of crawl2chat/ and stages/ in turn, in a copy whose stages only carry their code
dependencies, and takes from `dvc status` the stages that are stale. A stage is marked needlessly if it does not import
the file, directly or by way of others; that is found here from the syntax trees, apart from the tool that wrote
dvc.yaml. Out: with --table a line a file, then one line of JSON: modules, stages_marked, stages_marked_needlessly,
worst_module.
"""

import argparse
import ast
import contextlib
import io
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import command
from benchmarks.measure import show
from stages.files import read_yaml

FLOORS = ("crawl2chat", "stages")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--project", type=Path, default=Path(__file__).parents[1], help="the checkout to measure")
    parser.add_argument("--table", action="store_true", help="also a line for each file")
    options = parser.parse_args()
    stages = list(read_yaml(options.project / "dvc.yaml")["stages"])
    with tempfile.TemporaryDirectory() as folder:
        marked = stale_stages(options.project.resolve(), Path(folder).resolve())
    needing = {stage: needed(options.project.resolve(), f"stages/{stage}.py") for stage in stages}
    needless = {file: [stage for stage in found if file not in needing[stage]] for file, found in marked.items()}
    if options.table:
        for file, found in marked.items():
            print(f"{file:<45} {len(found):>2} stale, {len(needless[file]):>2} needlessly: {' '.join(needless[file])}")
    worst = max(marked, key=lambda file: (len(needless[file]), len(marked[file])))
    show(
        {
            "modules": len(marked),
            "stages_marked": sum(map(len, marked.values())),
            "stages_marked_needlessly": sum(map(len, needless.values())),
            "worst_module": f"{worst}: {len(marked[worst])} stages",
        }
    )


def stale_stages(project: Path, folder: Path) -> dict[str, list[str]]:
    """File of code → the stages that `dvc status` calls stale after a comment at its end."""
    from dvc.repo import Repo

    for floor in FLOORS:
        shutil.copytree(project / floor, folder / floor, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "dvc.yaml").write_text(skeleton(project))
    for words in (["init", "--no-scm"], ["repro"]):
        subprocess.run([sys.executable, "-m", "dvc", *words, "--quiet"], cwd=folder, check=True)
    found = {}
    with contextlib.chdir(folder):  # DVC names stages relative to where it is
        for file in sorted(path for floor in FLOORS for path in (folder / floor).rglob("*") if path.is_file()):
            before = file.read_bytes()
            file.write_bytes(before + b"\n# a comment\n")
            with Repo() as repo:
                found[file.relative_to(folder).as_posix()] = list(repo.status())
            file.write_bytes(before)
    return found


def skeleton(project: Path) -> str:
    """dvc.yaml with nothing of each stage but the code that it depends on."""
    from ruamel.yaml import YAML

    entries: dict[str, Any] = {}
    for stage, entry in read_yaml(project / "dvc.yaml")["stages"].items():
        entries[stage] = {"cmd": "true", "deps": [dep for dep in entry["deps"] if dep.split("/")[0] in FLOORS]}
    stream = io.StringIO()
    YAML().dump({"stages": entries}, stream)
    return stream.getvalue()


def needed(project: Path, start: str) -> set[str]:
    """Every file that decides what a module does: what it imports, and what these name beside them."""
    todo, seen = [start], {start}
    while todo:
        file = todo.pop()
        more = (imported(project, file) if file.endswith(".py") else set()) | mentioned(project, file)
        todo += more - seen
        seen |= more
    return seen


@cache
def imported(project: Path, file: str) -> frozenset[str]:
    """The project's own modules that a file imports, anywhere in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse((project / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    parts = {tuple(name.split(".")[:end]) for name in names for end in range(1, name.count(".") + 2)}
    folders = {"/".join(part) for part in parts}
    paths = {path for folder in folders for path in (f"{folder}.py", f"{folder}/__init__.py")}
    return frozenset(path for path in paths if path.startswith(FLOORS) and (project / path).is_file())


@cache
def mentioned(project: Path, file: str) -> frozenset[str]:
    """The project's files that are no modules and whose name, or the quoted part of it before the dot, stands in a
    file."""
    text = (project / file).read_text(encoding="utf-8")
    beside = [
        path for floor in FLOORS for path in (project / floor).rglob("*") if path.suffix not in ("", ".py", ".pyc")
    ]
    named = [path for path in beside if path.name in text or f'"{path.stem}"' in text]
    return frozenset(path.relative_to(project).as_posix() for path in named)


if __name__ == "__main__":
    command(main)
