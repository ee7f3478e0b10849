"""From a model back to the WARC files it learnt from, and from a file to the models it reached, along dvc.lock.

    python -m flows.lineage models/chat                          # or data/crawl/pages/x.warc.gz, or any other path
    python -m flows.lineage models/chat --json --svg lineage.svg --openlineage http://host:5000/api/v1/lineage

In: dvc.lock, the files in the folder or in DVC's cache, MLflow's runs. Out: every stage on the way with its hashes,
each compared with what lies on disk, its run in MLflow and its commit; the crawl's files with how many of their
documents came into the corpus. OpenLineage: one RunEvent a stage. Exit status 1 where a hash differs.
"""

import argparse
import json
import logging
import sys
import urllib.request
import uuid
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crawl2chat.errors import UserError
from crawl2chat.lineage import Step, after, before, draw
from flows.dag import open_project
from flows.mlflow_links import PipelineRun, reader
from stages.hashes import md5
from stages.lineage import read_steps
from stages.program import program

PAGES, CORPUS, MODELS = "data/crawl/pages", "data/corpus", "models/"
PRODUCER = "urn:crawl2chat"
SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
FACET = "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet"

# By its full name: as a program this module is called __main__.
logger = logging.getLogger("flows.lineage")


@dataclass
class Visited:
    """A stage on the way: its hashes, what lies on disk under them, and the run that made them."""

    stage: str
    reads: dict[str, str]
    writes: dict[str, str]
    # Path → verified, in the cache, missing, changed.
    found: dict[str, str] = field(default_factory=dict)
    mlflow_run: str = ""
    commit: str = ""
    ended: str = ""


@dataclass
class Lineage:
    path: str
    made_by: list[Visited]
    reached: list[Visited]
    # Files of the crawl → documents of each in the corpus; None where there is no corpus to look into.
    files: dict[str, int | None]

    @property
    def models(self) -> list[str]:
        return [path for one in self.reached for path in one.writes if path.startswith(MODELS)]

    @property
    def changed(self) -> list[str]:
        steps = [*self.made_by, *self.reached]
        return sorted({path for one in steps for path, state in one.found.items() if state == "changed"})


def trace(root: Path, path: str) -> Lineage:
    """Everything about a path of the project; UserError where no stage has read or written it."""
    steps = read_steps(root / "dvc.lock")
    if not steps:
        raise UserError(f"{root} has no dvc.lock; run `dvc repro` first.")
    first, later = before(steps, path), after(steps, path)
    if not first and not later:
        raise UserError(f"no stage of dvc.lock has read or written {path}; name a path such as models/chat.")
    if not (root / path).exists() and not any(path in (*step.reads, *step.writes) for step in steps):
        raise UserError(f"{path} is not there; `dvc checkout` brings back what a stage has made.")
    visit = Visitor(root)
    files = corpus_counts(root, path if path.startswith(PAGES + "/") else "") if first else {}
    return Lineage(path, [visit(step) for step in first], [visit(step) for step in later], files)


def corpus_counts(root: Path, only: str) -> dict[str, int | None]:
    """The files of the crawl, or one of them, with how many of their documents are in the corpus."""
    from crawl2chat.tokens.corpus import read

    files = [only] if only else [f.relative_to(root).as_posix() for f in (root / PAGES).rglob("*") if f.is_file()]
    if not (root / CORPUS).is_dir():
        return dict.fromkeys(sorted(files))
    counts = Counter(f"{PAGES}/{file}" for (file,) in read(root / CORPUS, "file"))
    return {file: counts[file] for file in sorted(files)}


class Visitor:
    """Looks up what DVC and MLflow know about the steps of a project; reads every file once."""

    def __init__(self, root: Path) -> None:
        self.root, self.links, self.found = root, PipelineRun(root), {}
        try:
            self.links.client = reader(root)
        except UserError as error:
            logger.warning(f"without runs and commits: {error}")

    def __call__(self, step: Step) -> Visited:
        seen = Visited(step.name, step.reads, step.writes, {path: self.state(path, step) for path in step.writes})
        run_id = self.links.find(step.name)
        if run_id:
            run = self.links.client.get_run(run_id)
            seen.mlflow_run, seen.commit = run_id, run.data.tags.get("git.commit", "")
            seen.ended = datetime.fromtimestamp((run.info.end_time or run.info.start_time) / 1000, UTC).isoformat()
        return seen

    def state(self, path: str, step: Step) -> str:
        """What lies on disk where dvc.lock has a hash."""
        if path not in self.found:
            digest, place = step.writes[path], self.root / path
            same = place.exists() and md5(place) == digest
            self.found[path] = "verified" if same else "changed" if place.exists() else self.cached(digest)
        return self.found[path]

    def cached(self, digest: str) -> str:
        with open_project(self.root) as repo:
            place = Path(repo.cache.local_cache_dir) / "files" / "md5" / digest[:2] / digest[2:]
        return "in the cache" if place.exists() else "missing"


# ---- what it looks like


def text(lineage: Lineage) -> str:
    """For a terminal."""
    lines = [lineage.path]
    for title, steps in (("made by", lineage.made_by), ("reached", lineage.reached)):
        lines += [title] if steps else []
        for one in steps:
            run = f"run {one.mlflow_run[:8]}" if one.mlflow_run else "no run"
            lines.append(f"  {one.stage:<16}{run:<14}commit {one.commit[:8] or '–'}")
            lines += [f"    {path:<26}{one.writes[path][:12]}  {state}" for path, state in one.found.items()]
    lines += ["from these files of the crawl"] if lineage.files else []
    lines += [
        f"  {file}" + ("" if count is None else f": {count:,} documents in {CORPUS}")
        for file, count in lineage.files.items()
    ]
    lines += ["models it reached", *(f"  {path}" for path in lineage.models)] if lineage.models else []
    return "\n".join(lines)


# ---- for other tools


def events(lineage: Lineage, namespace: str) -> list[dict[str, Any]]:
    """OpenLineage: one RunEvent for each stage, with its data sets by hash."""

    def sets(paths: dict[str, str]) -> list[dict[str, Any]]:
        facets = {path: {"_producer": PRODUCER, "_schemaURL": FACET, "datasetVersion": paths[path]} for path in paths}
        return [{"namespace": namespace, "name": path, "facets": {"version": facets[path]}} for path in paths]

    return [
        {
            "eventType": "COMPLETE",
            "eventTime": one.ended or datetime.now(UTC).isoformat(),
            "run": {"runId": run_id(one), "facets": {}},
            "job": {"namespace": namespace, "name": one.stage, "facets": {}},
            "inputs": sets(one.reads),
            "outputs": sets(one.writes),
            "producer": PRODUCER,
            "schemaURL": SCHEMA,
        }
        for one in [*lineage.made_by, *lineage.reached]
    ]


def run_id(one: Visited) -> str:
    """MLflow's run as a UUID; without one, a UUID of what the stage made."""
    made = json.dumps(one.writes, sort_keys=True)
    return str(uuid.UUID(one.mlflow_run) if one.mlflow_run else uuid.uuid5(uuid.NAMESPACE_URL, made))


def send(address: str, lineage: Lineage, namespace: str) -> int:
    """Post every event; UserError where the address does not take one."""
    sent = events(lineage, namespace)
    for event in sent:
        body = json.dumps(event).encode()
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10):
                pass
        except OSError as error:
            raise UserError(f"{address} did not take the event of {event['job']['name']} ({error}).") from None
    return len(sent)


@program
def main(arguments: list[str]) -> int:
    """The command line; 1 where something is missing or a hash differs."""
    parser = argparse.ArgumentParser(prog="python -m flows.lineage", description="What came from what.")
    parser.add_argument("path", nargs="?", default="models/chat", help="a path of the project")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project or a workspace")
    parser.add_argument("--json", action="store_true", help="JSON instead of text")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also draw a picture")
    parser.add_argument("--openlineage", default="", metavar="URL", help="also send OpenLineage events there")
    options = parser.parse_args(arguments)
    if options.openlineage and not options.openlineage.startswith(("http://", "https://")):
        raise UserError(f"{options.openlineage} is no address; write one such as http://host:5000/api/v1/lineage.")
    root, path = options.root.resolve(), Path(options.path).as_posix()
    found = trace(root, path)
    shown = asdict(found) | {"models": found.models}
    print(json.dumps(shown, indent=2) if options.json else text(found))
    if options.svg:
        marked = [one.stage for one in (*found.made_by, *found.reached)]
        options.svg.write_text(draw(read_steps(root / "dvc.lock"), marked), encoding="utf-8")
    if options.openlineage:
        logger.info(f"{send(options.openlineage, found, root.name)} events sent")
    if found.changed:
        raise UserError(f"{', '.join(found.changed)}: not what dvc.lock says; `dvc status` tells why.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
