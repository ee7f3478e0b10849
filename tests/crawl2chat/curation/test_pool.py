"""Worker processes: shards are done, a worker that dies is noticed, and a shard that kills twice is a sentence."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from crawl2chat.curation.pool import WatchedExecutor
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
    with pytest.raises(UserError, match="killed twice .exit code -9. in shard 1, .*lower execution.workers"):
        run(tmp_path, Step(tmp_path, kills="always"))
    assert {path.name for path in tmp_path.glob("done-*")} == ALL - {"done-1"}
    assert run(tmp_path, Step(tmp_path)) == ALL


def test_an_error_in_a_worker_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Shard two holds nothing; mend it."):
        run(tmp_path, Step(tmp_path, fails=True))
