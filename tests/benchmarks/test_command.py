"""How a benchmark ends."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import command

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("module", "remedy"), [("transformers", "`make develop`"), ("trl", "`pip install trl`")])
def test_a_contestant_that_is_not_installed_is_named_with_what_installs_it(module: str, remedy: str) -> None:
    def main() -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    with pytest.raises(SystemExit, match=f"compares with {module}, which is not installed: {remedy}"):
        command(main)


def test_a_module_of_our_own_that_is_missing_is_a_defect() -> None:
    with pytest.raises(ModuleNotFoundError):
        command(lambda: importlib.import_module("crawl2chat.nowhere"))


def test_every_benchmark_ends_this_way() -> None:
    programs = [path for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text()]
    assert programs and not [path.name for path in programs if "\n    command(" not in path.read_text()]


def test_a_folder_that_is_not_there_is_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.curation", "--data", "nowhere"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("The folder nowhere does not exist") and done.stderr.count("\n") == 1
