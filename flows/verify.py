"""Whether two runs made the same bytes, and where they part.

    python -m flows.verify                       # this folder's run and the one that its last commit has
    python -m flows.verify <run>                 # this folder's run and another
    python -m flows.verify <run> <run>

In: two runs, each a folder with a dvc.lock, a dvc.lock, or a git revision. Out: the outs that differ, stage by stage in
the order of the pipeline, and for each stage whether its inputs differed already or the same inputs gave other bytes;
exit status 1 when any differ.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError
from stages.files import parse_yaml, read_yaml
from stages.program import program

Lock = dict[str, Any]


def read_lock(run: str) -> Lock:
    """Stage → its entry in the dvc.lock of a folder, of a file, or of a git revision."""
    path = Path(run)
    if path.is_dir():
        path = path / "dvc.lock"
        if not path.exists():
            raise UserError(f"{run} has no dvc.lock: nothing has run there; `dvc repro` in it, or name another run.")
    if path.is_file():
        return read_yaml(path).get("stages", {})
    try:
        done = subprocess.run(["git", "show", f"{run}:./dvc.lock"], capture_output=True, text=True)
    except OSError:
        raise UserError(f"{run} is no folder or file, and without git it can be no revision.") from None
    if done.returncode:
        raise UserError(f"{run} is no folder or file, and no git revision that has a dvc.lock.")
    return parse_yaml(done.stdout, f"dvc.lock of {run}").get("stages", {})


def hashes(entry: dict[str, Any], kind: str) -> dict[str, str]:
    """Path → hash of a stage's outs or deps."""
    return {each["path"]: each.get("md5", "") for each in entry.get(kind, [])}


def differences(ours: Lock, theirs: Lock) -> list[tuple[str, list[str], str]]:
    """(stage, its outs that differ, why) in the order of the pipeline; empty when both runs made the same bytes."""
    found = []
    for stage in [*ours, *(stage for stage in theirs if stage not in ours)]:
        a, b = ours.get(stage), theirs.get(stage)
        if not a or not b:
            found.append((stage, [], "only one of the runs has this stage"))
            continue
        outs = parted(hashes(a, "outs"), hashes(b, "outs"))
        if outs:
            causes = parted(hashes(a, "deps"), hashes(b, "deps"))
            causes += ["parameters"] if a.get("params") != b.get("params") else []
            causes += ["the command"] if a.get("cmd") != b.get("cmd") else []
            why = f"its inputs differ: {', '.join(causes)}" if causes else "the same inputs gave other bytes"
            found.append((stage, outs, why))
    return found


def parted(a: dict[str, str], b: dict[str, str]) -> list[str]:
    """Keys whose values differ, or that only one has."""
    return [key for key in {**a, **b} if a.get(key) != b.get(key)]


@program
def main(arguments: list[str]) -> int:
    """The command line; 0 when the runs agree, else 1."""
    parser = argparse.ArgumentParser(prog="python -m flows.verify", description="Compare the bytes of two runs.")
    parser.add_argument("runs", nargs="*", help="a folder, a dvc.lock or a git revision; this folder and HEAD if none")
    options = parser.parse_args(arguments)
    if len(options.runs) > 2:
        raise UserError("name one run or two.")
    a, b = (*options.runs, *[".", "HEAD"][: 2 - len(options.runs)]) if options.runs else (".", "HEAD")
    ours, theirs = read_lock(a), read_lock(b)
    found = differences(ours, theirs)
    for stage, outs, why in found:
        print(f"{stage}: {why}")
        for out in outs:
            print(f"    {out}")
    total = sum(len(entry.get("outs", [])) for entry in ours.values())
    print(
        f"{sum(len(outs) for _, outs, _ in found)} of {total} outs differ"
        if found
        else f"all {total} outs are the same"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
