"""dvc.lock as the steps of a lineage: what every stage read and wrote, by hash; code, metrics and times left out."""

from pathlib import Path

from crawl2chat.lineage import Step, ordered
from stages.files import read_yaml

# Folders of code, and what is told elsewhere.
LEFT_OUT = ("crawl2chat", "stages", "metrics")


def read_steps(lock: Path) -> list[Step]:
    """The stages of a dvc.lock in an order in which they can run; none where there is no such file."""
    stages = read_yaml(lock).get("stages", {}) if lock.exists() else {}

    def kept(entries: list[dict[str, str]]) -> dict[str, str]:
        return {entry["path"]: entry.get("md5", "") for entry in entries if entry["path"].split("/")[0] not in LEFT_OUT}

    return ordered([Step(name, kept(one.get("deps", [])), kept(one.get("outs", []))) for name, one in stages.items()])
