"""Stage crawl: everything the pipeline starts from, by kind: the embedded tiny web, or a person's own files."""

from pathlib import Path
from typing import Any, Literal

from crawl2chat.curation.sources import CollectParams
from crawl2chat.parameters import Params
from crawl2chat.tinyweb.pages import PageParams
from crawl2chat.tinyweb.site import WebParams
from crawl2chat.tinyweb.world import WorldParams

HEADLINE = {"crawl": {"documents": "pages"}}


class CrawlParams(Params):
    """Section `crawl` of params.yaml."""

    source: Literal["tinyweb", "files"]
    inputs: str  # the folder that `files` reads; dvc.yaml hands it to the stage
    collect: CollectParams
    world: WorldParams
    pages: PageParams
    web: WebParams


def crawl(inputs: Path, out: Path, params: CrawlParams, seed: int, work: Path | None = None) -> dict[str, Any]:
    """Fill `out` with pages/, chat/, preferences/, verifiable/, tasks/ and truth/."""
    from crawl2chat.curation import sources

    out.mkdir(parents=True, exist_ok=True)
    if params.source == "tinyweb":
        from crawl2chat.tinyweb.site import generate
        from crawl2chat.tinyweb.world import build_world

        counts = generate(build_world(seed, params.world), params.pages, out, params.web, seed)
        for kind in sources.OTHERS:
            sources.about(out / kind, "none")
        tasks = sum(len(path.read_text().splitlines()) for path in (out / "tasks").glob("*.jsonl"))
        return {**counts, "tasks": tasks}
    counts = sources.collect(inputs, out, params.collect, seed, work)
    tasks = _write_tasks(out, seed)
    sources.about(out / "truth", "none")
    return {**counts, "tasks": tasks}


def _write_tasks(out: Path, seed: int) -> int:
    """The verifiable tasks of `out`/verifiable in the common schema, one file a skill."""
    from crawl2chat.curation import sources
    from crawl2chat.evaluation.datasets import read_task_sets
    from crawl2chat.tasks import write_tasks

    sources.about(out / "tasks", "tasks")
    if (out / "verifiable" / "about.json").exists():
        return 0
    tasks = read_task_sets(out / "verifiable", seed)
    write_tasks(out / "tasks", tasks)
    return len(tasks)
