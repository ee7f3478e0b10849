"""The same pipeline on other input, beside the demo and without touching it: `make real DATA=<folder>`.

    python -m flows.workspace real --inputs <folder|file|pattern|list|address> [--set pretrain.depth=4]

In: this project's code, dvc.yaml, params.yaml and machine.yaml; profiles/<name>.yaml, laid over the parameters; a
folder of input files, or whatever else names some. Out: workspaces/<name>/ with its own data, models, metrics, report,
DVC cache and MLflow store; a table of results and the count of records that could not be read. Run again, it repeats
only what a change touches.
"""

import argparse
import glob
import logging
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError
from flows.overrides import check, layers_of, overlay, read_settings
from flows.stage_process import environment
from stages.files import remove
from stages.program import program

# What a workspace takes from the project as it is today.
CODE = ("crawl2chat", "stages", "dvc.yaml", "params.yaml", ".dvcignore")

# By its full name: as a program this module is called __main__.
logger = logging.getLogger("flows.workspace")


def prepare(project: Path, folder: Path, layers: list[dict[str, Any]], inputs: str | None) -> None:
    """Make `folder` a project of its own: today's code, `layers` over its parameters, the user's input."""
    folder.mkdir(parents=True, exist_ok=True)
    copy(project, folder, CODE)
    (folder / "metrics").mkdir(exist_ok=True)
    remove(folder / "inputs")
    (folder / "inputs").mkdir()
    for source in (project / "inputs").iterdir():
        if not (inputs and source.name == "crawl"):
            (folder / "inputs" / source.name).symlink_to(source.resolve())
    if inputs:
        link_inputs(inputs, folder / "inputs" / "crawl")
    link_machine(project, folder)
    overlay(folder / "params.yaml", *layers)
    make_repository(project, folder)


def copy(project: Path, folder: Path, names: Sequence[str]) -> None:
    """Files and folders of the project as they are today, where it has them."""
    for name in names:
        mirror(project / name, folder / name)


def mirror(source: Path, target: Path) -> None:
    """Make `target` the same as `source`; files that are the same already stay, and with them their bytecode."""
    if source.is_dir():
        target.mkdir(exist_ok=True)
        names = {path.name for path in source.iterdir()} - {"__pycache__"}
        for stale in {path.name for path in target.iterdir()} - names - {"__pycache__"}:
            remove(target / stale)
        for name in names:
            mirror(source / name, target / name)
    elif source.exists():
        there = target.stat() if target.exists() else None
        here = source.stat()
        if not there or (there.st_size, there.st_mtime_ns) != (here.st_size, here.st_mtime_ns):
            remove(target)
            shutil.copy2(source, target)


def make_repository(project: Path, folder: Path) -> None:
    """DVC in `folder`, with the project's settings and a cache of its own."""
    if not (folder / ".dvc").exists():
        (folder / ".dvc").mkdir()
        shutil.copy2(project / ".dvc" / "config", folder / ".dvc" / "config")
        # The folder is no part of the project's git history.
        (folder / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")


def link_machine(project: Path, folder: Path) -> None:
    """The project's machine.yaml in `folder` too; a folder may have one of its own where the project has none."""
    target = folder / "machine.yaml"
    if (project / "machine.yaml").exists():
        remove(target)
        try:
            target.symlink_to((project / "machine.yaml").resolve())
        except OSError:  # a file system without links
            shutil.copy2(project / "machine.yaml", target)
    elif target.is_symlink():
        remove(target)


def link_inputs(inputs: str, target: Path) -> None:
    """The folder `target` with the files that `inputs` names: links, so that dvc.lock names no path of this machine and
    DVC hashes what is behind them; an address becomes a list of one line."""
    path = Path(inputs).expanduser()
    if path.is_dir():
        target.symlink_to(path.resolve(), target_is_directory=True)
        return
    target.mkdir()
    if "://" in inputs:
        (target / "data.paths").write_text(inputs + "\n")
        return
    files, root = ([path], path.parent) if path.is_file() else matches(inputs)
    for file in files:
        link = target / file.relative_to(root)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.resolve())


def matches(pattern: str) -> tuple[list[Path], Path]:
    """The files that fit a pattern, and the folder before its first wildcard."""
    pattern = str(Path(pattern).expanduser())
    root = Path(pattern.split("*")[0].split("[")[0].rpartition("/")[0] or (pattern[0] == "/" and "/" or "."))
    return [path for path in sorted(map(Path, glob.glob(pattern, recursive=True))) if path.is_file()], root


def reproduce(folder: Path, stages: list[str] | None = None) -> int:
    """`dvc repro` in the workspace; its exit status."""
    return subprocess.call([sys.executable, "-m", "dvc", "repro", *(stages or [])], cwd=folder, env=environment())


@program
def main(arguments: list[str]) -> int:
    """The command line; 0, or 1 when the input is missing or a stage failed."""
    parser = argparse.ArgumentParser(prog="python -m flows.workspace", description="Run the pipeline on other input.")
    parser.add_argument("profile", help="a file of profiles/, without .yaml")
    parser.add_argument(
        "--inputs",
        default="",
        help="a folder with WARC files, text, chats …; a file, a pattern, a *.paths list, an s3:// or https:// address",
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values for params.yaml")
    options = parser.parse_args(arguments)
    project = Path.cwd()
    folder = project / "workspaces" / options.profile
    chosen = layers_of(project, options.profile, read_settings(options.set))
    inputs = check_inputs(options.profile, options.inputs)
    check(project, chosen)
    prepare(project, folder, chosen, inputs)
    logger.info(f"workspace: {folder.relative_to(project)}")
    if reproduce(folder):
        return 1
    return subprocess.call([sys.executable, "-m", "flows.summary", "--root", str(folder)])


def check_inputs(profile: str, inputs: str) -> str:
    """`inputs` as it is, or UserError when it names nothing to read. Only the profile `real` must have some."""
    if not inputs:
        if profile == "real":
            raise UserError(
                "name the folder with your files: make real DATA=<folder>; docs/own-data.md says what may be in it."
            )
        return ""
    path = Path(inputs).expanduser()
    if "://" in inputs or path.is_file():
        return inputs
    if not path.is_dir():
        if "*" not in inputs and "[" not in inputs:
            raise UserError(f"{inputs} is not a folder or file; docs/own-data.md says how to lay out your files.")
        if not matches(inputs)[0]:
            raise UserError(f"the pattern {inputs} matches no file.")
    elif not any(file.is_file() for file in path.rglob("*")):
        raise UserError(f"{inputs} is empty; docs/own-data.md says what may be in it.")
    return inputs


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
