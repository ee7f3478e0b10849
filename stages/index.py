"""Stage index: the corpus's passages in a full-text index, which the chat searches and export hands over."""

from pathlib import Path
from typing import Any

from pydantic import PositiveInt

from crawl2chat.parameters import Params

HEADLINE = {"index": {"documents": "pages", "recall": "found"}}


class IndexParams(Params):
    """Section `index` of params.yaml."""

    # Of a passage, at most.
    passage_characters: PositiveInt


def index(corpus: Path, tasks: Path, out: Path, params: IndexParams) -> dict[str, Any]:
    """Write the index to the file `out`; measure whether it finds what the tasks ask."""
    from crawl2chat.chat.search import Index, write_index
    from crawl2chat.evaluation.retrieval import retrieval
    from crawl2chat.tasks import read_tasks
    from crawl2chat.tokens.corpus import read

    counts = write_index(read(corpus, "id", "url", "title", "text"), out, params.passage_characters)
    return counts | {"bytes": out.stat().st_size} | retrieval(Index(out), read_tasks(tasks))
