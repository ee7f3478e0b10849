"""Which code a stage depends on: the modules that it imports, directly or by way of others, and the files beside them.

    python -m stages.deps            # which stages' code dependencies in dvc.yaml differ from their imports
    python -m stages.deps --write    # put them right

In: the imports anywhere in a module, also inside functions. Out: in dvc.yaml, behind each stage's data, the list of its
code under a comment of its own. A test compares the two.
"""

import ast
import re
import sys
import textwrap
from functools import cache
from modulefinder import ModuleFinder
from pathlib import Path

from stages.files import check_or_write

# What surrounds every stage and does not decide what it makes.
SURROUNDINGS = {
    "crawl2chat/errors.py",
    "crawl2chat/logs.py",
    "crawl2chat/machine.py",
    "crawl2chat/parameters.py",
    "crawl2chat/secrets.py",
    "crawl2chat/tracking.py",
}
MARK = "# code, by `python -m stages.deps --write`"
# A stage's dependencies: its name, then its data, then perhaps its code.
ENTRY = re.compile(
    r"^  (\w+):\n(?:    .*\n|\n)*?    deps: \[([^\]#]*?),?\s*(?:" + re.escape(MARK) + r"[^\]]*)?\]", re.M
)


def code_of(root: Path, stage: str) -> list[str]:
    """Every file of code that decides what a stage makes, relative to `root`, in the order of their names."""
    finder = ModuleFinder(path=[str(root)])
    finder.run_script(str(root / "stages" / f"{stage}.py"))
    modules = {Path(module.__file__).resolve() for module in finder.modules.values() if module.__file__}
    files = {file for module in modules if not is_empty(module) for file in (module, *files_named_in(module))}
    return sorted({file.relative_to(root.resolve()).as_posix() for file in files} - SURROUNDINGS)


@cache
def is_empty(module: Path) -> bool:
    """Whether a module does nothing, as most packages' `__init__.py`, or belongs to the runner."""
    statements = ast.parse(module.read_text(encoding="utf-8")).body
    return module.parts[-2:] == ("stages", "__init__.py") or all(isinstance(each, ast.Expr) for each in statements)


@cache
def files_named_in(source: Path) -> frozenset[Path]:
    """Files that are no modules, named in a source beside which they lie: templates, style sheets, C++, and what those
    include."""
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".py":
        constants = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
        names = [value for value in constants if isinstance(value, str)]
    else:
        names = re.findall(r'\binclude "(.+?)"', text)  # C++ and Jinja alike
    named = {source.parent / name for name in names if re.fullmatch(r"[\w./-]+\.\w+", name)}
    files = {file.resolve() for file in named if file.suffix != ".py" and file.is_file()}
    return frozenset(files.union(*map(files_named_in, files)))


def rewritten(root: Path) -> str:
    """dvc.yaml with the code of every stage as it is now."""

    def entry(match: re.Match[str]) -> str:
        stage, data = match[1], match[2]
        head = match[0][: match.start(2) - match.start()]
        lines = textwrap.wrap(", ".join(code_of(root, stage)), 114, break_long_words=False, break_on_hyphens=False)
        return head + data.rstrip() + f",\n      {MARK}\n" + textwrap.indent("\n".join(lines), "      ") + "]"

    return ENTRY.sub(entry, (root / "dvc.yaml").read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(check_or_write(Path("dvc.yaml"), rewritten(Path.cwd()), sys.argv[1:]))
