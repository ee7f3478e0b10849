"""Worker processes: shards are done, a worker that dies is noticed, and a shard that kills twice is a sentence."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crawl2chat.curation.engines.local import WatchedExecutor
from crawl2chat.errors import UserError


class Step:
    """Notes its shard; kills its process in shard 1, once or always; raises in shard 2 if told so."""

    def __init__(self, folder: Path, kills: str = "", fails: bool = False):
        self.folder, self.kills, self.fails = folder, kills, fails

    def __call__(self, data: Any, rank: int = 0, world_size: int = 1) -> None:
        killed = self.folder / "killed"
        if rank == 1 and self.kills and (self.kills == "always" or not killed.exists()):
            killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if rank == 2 and self.fails:
            raise UserError("Shard two holds nothing; mend it.")
        (self.folder / f"done-{rank}").touch()


def run(folder: Path, step: Step) -> set[str]:
    WatchedExecutor([step], tasks=4, workers=2, logging_dir=str(folder / "logs")).run()
    return {path.name for path in folder.glob("done-*")}


ALL = {f"done-{rank}" for rank in range(4)}


def test_a_worker_that_dies_costs_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, Step(tmp_path, kills="once")) == ALL
    assert (tmp_path / "killed").exists() and len(list((tmp_path / "logs/completions").iterdir())) == 4


def test_a_shard_that_always_kills_ends_the_stage_and_the_others_are_kept(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="killed twice .exit code -9. in shard 1, .*lower the number of workers"):
        run(tmp_path, Step(tmp_path, kills="always"))
    assert {path.name for path in tmp_path.glob("done-*")} == ALL - {"done-1"}
    assert run(tmp_path, Step(tmp_path)) == ALL


def test_an_error_in_a_worker_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Shard two holds nothing; mend it."):
        run(tmp_path, Step(tmp_path, fails=True))


SLEEPER = """
import sys, time
from pathlib import Path
from crawl2chat.curation.execution import follow_parent
from crawl2chat.curation.engines.local import WatchedExecutor
from crawl2chat.curation.blocks import Removed
from crawl2chat.curation.pages import Extract
from datatrove.data import Document

def feed(data=None, rank=0, world_size=1):
    yield Document("<html><body><p>Some text.</p></body></html>", str(rank), metadata={"kind": "html"})
    (Path(sys.argv[1]) / f"started-{rank}").touch()
    time.sleep(600)

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    blocks = [follow_parent, feed, Extract("resiliparse", 10.0, 0, Removed(folder / "removed", "extract"))]
    WatchedExecutor(blocks, tasks=2, workers=2, logging_dir=str(folder / "logs")).run()
"""


def session(leader: int) -> list[str]:
    """The command lines of all processes of a session that still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            command = (path.parent / "cmdline").read_text().replace("\\0", " ")
        except OSError:
            continue
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(command)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")
def test_nothing_outlives_a_killed_stage(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    stage = subprocess.Popen([sys.executable, tmp_path / "sleeper.py", tmp_path], start_new_session=True)

    def wait_for(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, session(stage.pid)
            time.sleep(0.1)

    wait_for(lambda: len(list(tmp_path.glob("started-*"))) == 2)
    assert len(session(stage.pid)) > 2
    stage.kill()
    stage.wait()
    wait_for(lambda: not session(stage.pid))
