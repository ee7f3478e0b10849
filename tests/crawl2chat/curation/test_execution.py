"""Every executor gives the bytes of the local one; Slurm gets the array it should; work goes on where it was killed."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document

from crawl2chat.curation.blocks import Block, Removed, writer
from crawl2chat.curation.documents import documents_in
from crawl2chat.curation.drop import Drop
from crawl2chat.curation.engines import slurm
from crawl2chat.curation.execution import execute
from crawl2chat.errors import UserError
from crawl2chat.machine import Machine, RayParams, SlurmParams

ROOT = Path(__file__).parents[3]
# A cluster of one machine: sbatch runs every task of the array at once, so that the queue is always empty.
FAKES = {
    "sbatch": """
script="${@: -1}"; count=$(ls "$CLUSTER"/*.slurm 2>/dev/null | wc -l); cp "$script" "$CLUSTER/$count.slurm"
echo "$@" >> "$CLUSTER/sbatch.log"
for argument in "$@"; do case "$argument" in --export=*) export ${argument#--export=ALL,};; esac; done
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
for task in $(seq 0 $last); do SLURM_ARRAY_TASK_ID=$task SLURM_NODELIST=here bash "$script" >> "$CLUSTER/log" 2>&1; done
echo "Submitted batch job 7"
""",
    "srun": 'while [ "${1:0:1}" = - ]; do case "$1" in -n) shift;; esac; shift; done; exec "$@"',
    "scontrol": "echo here",
    "squeue": 'echo "$@" >> "$CLUSTER/squeue.log"',
    "scancel": 'echo "$@" >> "$CLUSTER/scancel.log"',
}


class Numbers(Block):
    """Ten documents a shard; every third is dropped."""

    def __init__(self, removed: Path):
        super().__init__("read", Removed(removed, "extract"))

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for number in range(10):
            self.stat_update("total")
            document = Document(f"Number {number} of shard {rank} of {world_size}.", f"{rank}-{number}")
            if number % 3:
                yield document
            else:
                self.drop(document, Drop("third", number), rank)
        self.close()


def run(work: Path, tasks: int = 3, **how: Any) -> dict[str, dict[str, float]]:
    pipeline = [Numbers(work / "removed"), writer(work / "documents")]
    return execute("numbers", pipeline, work, Machine(**how), tasks)


def shards(work: Path) -> dict[str, bytes]:
    return {p.relative_to(work).as_posix(): p.read_bytes() for p in sorted(work.rglob("*.zst"))}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("local")
    statistics = run(work, workers=1)
    assert statistics["read"]["total"] == 30 and statistics["read"]["dropped_third"] == 12
    assert [d["id"] for d in documents_in(work / "documents")][:3] == ["0-1", "0-2", "0-4"]
    return work


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cluster"
    folder.mkdir()
    for name, script in FAKES.items():
        path = folder / name
        path.write_text(f"#!/bin/bash\n{script}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("CLUSTER", str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{Path(__file__).parent}")
    monkeypatch.chdir(ROOT)
    return folder


def test_two_workers_give_the_bytes_of_one(local: Path, tmp_path: Path) -> None:
    statistics = run(tmp_path, workers=2)
    assert shards(tmp_path) == shards(local)
    assert statistics["read"]["total"] == 30 and statistics["read"]["dropped_third"] == 12


def test_a_ray_cluster_gives_the_bytes_of_one_process(
    local: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.chdir(ROOT)
    statistics = run(tmp_path, workers=2, executor="ray", ray=RayParams(mem_per_cpu_gb=0.1))
    assert shards(tmp_path) == shards(local)
    assert statistics["read"]["total"] == 30


def test_slurm_gets_a_job_array_whose_tasks_give_the_bytes_of_one_process(
    local: Path, tmp_path: Path, cluster: Path
) -> None:
    params = SlurmParams(partition="big", time="1:00:00", mem_per_cpu_gb=3, sbatch_args={"account": "me"})
    statistics = run(tmp_path / "work", workers=2, executor="slurm", slurm=params)
    script = (cluster / "0.slurm").read_text()
    job = "crawl2chat-numbers-work"
    for line in (
        "array=0-2%2",
        "partition=big",
        "time=1:00:00",
        "mem-per-cpu=3G",
        "cpus-per-task=1",
        "account=me",
        f"job-name={job}",
    ):
        assert f"#SBATCH --{line}\n" in script
    assert "launch_pickled_pipeline" in script and "numbers/logs/executor.pik" in script
    assert f"PATH={Path(sys.executable).parent}:" in script and f"cd {ROOT}\n" in script
    assert len(list(cluster.glob("*.slurm"))) == 1  # no second job for the statistics
    assert (cluster / "scancel.log").read_text() == f"--name {job}\n"  # what a killed run may have left
    assert shards(tmp_path / "work") == shards(local)
    assert statistics["read"]["total"] == 30 and statistics["read"]["dropped_third"] == 12


def test_slurm_gets_unfinished_shards_only(local: Path, tmp_path: Path, cluster: Path) -> None:
    """Two of three shards are done and stay as they are; more shards than an array may have become several arrays."""
    run(tmp_path, workers=1)
    (tmp_path / "numbers/logs/completions/00001").unlink()
    (tmp_path / "documents/00001.jsonl.zst").write_bytes(b"half a shard")
    before = (tmp_path / "documents/00002.jsonl.zst").stat().st_mtime_ns
    run(tmp_path, executor="slurm")
    assert "#SBATCH --array=0-0" in (cluster / "0.slurm").read_text()
    assert shards(tmp_path)["documents/00001.jsonl.zst"] == shards(local)["documents/00001.jsonl.zst"]
    assert (tmp_path / "documents/00002.jsonl.zst").stat().st_mtime_ns == before
    run(tmp_path / "more", executor="slurm", slurm=SlurmParams(max_array_size=2))
    assert "RUN_OFFSET=1" in (cluster / "sbatch.log").read_text()
    assert shards(tmp_path / "more") == shards(local)


def test_a_slurm_task_that_fails_is_named_with_its_log(tmp_path: Path, cluster: Path) -> None:
    (cluster / "srun").write_text("#!/bin/bash\nexit 1")
    with pytest.raises(RuntimeError, match=r"numbers: 3 of 3 shards did not finish; see .*logs and .*slurm_logs"):
        run(tmp_path, executor="slurm")


def test_a_job_that_slurm_refuses_is_told_in_a_sentence(tmp_path: Path, cluster: Path) -> None:
    (cluster / "sbatch").write_text("#!/bin/bash\necho 'invalid partition specified'; exit 1")
    with pytest.raises(UserError, match="sbatch .*invalid partition specified.*check the machine.s settings of slurm"):
        run(tmp_path, executor="slurm")


def test_without_slurm_or_ray_a_sentence_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="executor slurm needs the command sbatch"):
        run(tmp_path, executor="slurm")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"executor ray needs Ray; install it with `pip install crawl2chat\[ray\]`"):
        run(tmp_path, executor="ray")


def test_the_queue_is_waited_for(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (cluster / "squeue").write_text(
        '#!/bin/bash\necho x >> "$CLUSTER/asked"; [ $(wc -l < "$CLUSTER/asked") -lt 3 ] && echo 7 RUNNING || true'
    )
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    slurm.wait_until_gone("a job")
    assert pauses == [0.5, 0.75]


def test_workers_die_with_their_parent(tmp_path: Path) -> None:
    """Else a worker would go on writing the shard that the next run redoes."""
    code = (
        "import os, sys, time\nfrom pathlib import Path\n"
        "from crawl2chat.curation.execution import execute\nfrom crawl2chat.machine import Machine\n"
        "def wait(data, rank=0, world_size=1):\n    import os, sys, time; from pathlib import Path\n"
        "    Path(sys.argv[1], f'{rank}.pid').write_text(str(os.getpid())); time.sleep(60)\n"
        "execute('wait', [wait], Path(sys.argv[1]), Machine(workers=2), 2)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while len(found := [p for p in tmp_path.glob("*.pid") if p.read_text()]) < 2:
            assert time.monotonic() < deadline and parent.poll() is None
            time.sleep(0.05)
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 30
    workers = [int(path.read_text()) for path in found]
    while alive := [pid for pid in workers if running(pid)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
