"""What happened to a page: from its record in the crawl to its row in the corpus, step by step.

In: what the three steps of curation kept and removed, and a URL, a document's id or a piece of its text. Out: lines
that tell where the page was read, which block dropped it, with reason, measured value and limit, or that it passed; of
a near-duplicate its cluster and the twin that stayed. Files are read as streams: nothing needs an index.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crawl2chat.curation.addresses import bare
from crawl2chat.curation.documents import lines_of
from crawl2chat.curation.limits import Limit, limits
from crawl2chat.curation.reading.files import kind_of
from crawl2chat.curation.report.inputs import Folders
from crawl2chat.curation.similarity import shared_runs
from crawl2chat.tokens.corpus import read, rows

Document = dict[str, Any]
COLUMNS = ("id", "text", "words", "sha256", "cluster", "cluster_size", "personal")


@dataclass(frozen=True)
class Line:
    """One line of a story."""

    step: str
    # Whether the page passed the step; None where the step says nothing about it.
    passed: bool | None
    text: str


@dataclass(frozen=True)
class Candidate:
    """A document that a query may mean."""

    id: str
    url: str
    title: str
    # By id or URL, not by its text.
    exact: bool


# ---- which document


def find(folders: Folders, query: str) -> list[Candidate]:
    """The documents that a query may mean: by id or URL, else those whose text shows it."""
    found: dict[str, Candidate] = {}
    snippet = " ".join(query.split())
    # The text of the corpus is not that of the earlier stages: lines and personal data are gone.
    for document in (
        *documents_holding(folders.removed["extract"], query),
        *documents_holding(folders.extracted, query),
        *rows_holding(folders.corpus, snippet),
    ):
        metadata = document["metadata"]
        url = metadata.get("url") or ""
        names = document["id"], document["id"].strip("<>").removeprefix("urn:uuid:"), url
        exact = query in names or bool(url) and bare(url).rstrip("/") == bare(query).rstrip("/")
        if exact or snippet in " ".join(document.get("text", "").split()):
            found.setdefault(document["id"], Candidate(document["id"], url, metadata.get("title") or "", exact))
    exact_ones = [candidate for candidate in found.values() if candidate.exact]
    return exact_ones or list(found.values())


def documents_holding(folder: Path, query: str) -> Iterator[Document]:
    """Documents in whose line of JSON the query's longest word stands: the others are not even parsed."""
    import orjson

    words = bare(query).split()
    needle = max(words, key=len).strip('/"\\').encode() if words else b""
    for path in sorted(folder.rglob("*.jsonl.zst")):
        for line in lines_of(path):
            if needle in line:
                yield orjson.loads(line)


def rows_holding(corpus: Path, snippet: str) -> Iterator[Document]:
    """Rows of the corpus whose text shows the snippet, in the form of documents."""
    if corpus.is_dir():
        for key, url, title, text in read(corpus, "id", "url", "title", "text"):
            if snippet in " ".join(text.split()):
                yield {"id": key, "text": text, "metadata": {"url": url, "title": title}}


def document_with(folder: Path, key: str) -> Document | None:
    return next((document for document in documents_holding(folder, key) if document["id"] == key), None)


def row_with(corpus: Path, key: str) -> Document | None:
    """The row of a document, with its file and its number in it."""
    for path in sorted(corpus.glob("documents-*.parquet")):
        for number, values in enumerate(rows([path], COLUMNS)):
            if values[0] == key:
                return dict(zip(COLUMNS, values, strict=True)) | {"path": path, "row": number}
    return None


# ---- its story


def story(folders: Folders, pages: Path, key: str, in_tokens: Callable[[str, str], Line]) -> Iterator[Line]:
    """Every step of one document, until it is dropped; `in_tokens` gives the last line of one that was kept."""
    dropped, text = document_with(folders.removed["extract"], key), document_with(folders.extracted, key)
    if not (document := text or dropped):
        return
    yield read_line(pages, document["metadata"])
    if not text:
        yield dropped_line(dropped["metadata"], [])
        return
    yield Line("extract", True, f"{len(text['text']):,} characters of text" + title_and_date(text["metadata"]))
    filtered, dropped = document_with(folders.filtered, key), document_with(folders.removed["filter"], key)
    if not (document := filtered or dropped):
        yield Line("filter", None, "has not run on this document")
        return
    rules = folders.removed["filter"] / "rules.json"
    yield from filter_lines(document["metadata"], limits(rules) if rules.exists() else [], dropped=not filtered)
    if filtered:
        yield from deduplication_lines(folders, key, filtered, in_tokens)


def read_line(pages: Path, metadata: Document) -> Line:
    file, offset = metadata.get("file", ""), metadata.get("offset", -1)
    place = "record at byte" if kind_of(Path(file)) == "warc" else "line"
    where = f"{file}, {place} {offset:,}" if offset >= 0 else file
    return Line("read", True, f"{pages}/{where}  {metadata.get('url') or ''}".rstrip())


def title_and_date(metadata: Document) -> str:
    parts = [f"“{metadata['title']}”" if metadata.get("title") else "", str(metadata.get("date") or "")[:10]]
    return "".join(f", {part}" for part in parts if part)


def dropped_line(metadata: Document, known: Iterable[Limit]) -> Line:
    """Why the block dropped it: reason, value and the limit that was broken."""
    block, reason, value = (metadata.get(name) for name in ("block", "reason", "value"))
    broken = [limit for limit in known if limit.block == block and reason in limit.reasons]
    text = f"dropped: {reason}" + ("" if value is None else f", measured {number_text(value)}")
    text += "".join(f" ({allowed(limit)})" for limit in broken)
    return Line(str(block), False, text + (f", {metadata['detail']}" if metadata.get("detail") else ""))


def filter_lines(metadata: Document, known: list[Limit], dropped: bool) -> Iterator[Line]:
    """What each filter measured, up to the one that dropped the document."""
    measured = {"language_score": metadata.get("language_score"), **metadata.get("measured", {})}
    for block in dict.fromkeys(limit.block for limit in known):
        if dropped and block == metadata["block"]:
            break
        values = [
            f"{limit.measure} {number_text(measured[limit.measure])} ({allowed(limit)})"
            for limit in known
            if limit.block == block and measured.get(limit.measure) is not None
        ]
        language = [metadata.get("language", "")] if block == "language" else []
        yield Line(block, True, ", ".join(language + values))
    if dropped:
        yield dropped_line(metadata, known)


def deduplication_lines(
    folders: Folders, key: str, filtered: Document, in_tokens: Callable[[str, str], Line]
) -> Iterator[Line]:
    """Near-duplicates, personal data, evaluation items, and the row of the corpus."""
    dropped, row = document_with(folders.removed["deduplicate"], key), row_with(folders.corpus, key)
    why = dropped["metadata"] if dropped else {}
    if why.get("block") == "minhash":
        twin = document_with(folders.filtered, why["kept"])
        alike = f", {shared_runs(filtered['text'], twin['text']):.0%} of runs of five words shared" if twin else ""
        cluster = f"near-duplicate in cluster {why['value']} of {why['minhash_cluster_size']}"
        yield Line("minhash", False, f"dropped: {cluster}; {why['kept']} stays ({why['kept_url']}{alike})")
        return
    if not why and not row:
        yield Line("deduplicate", None, "has not run on this document")
        return
    cluster = row["cluster"] if row else why.get("minhash_cluster_id", -1)
    size = row["cluster_size"] if row else why.get("minhash_cluster_size", 1)
    yield Line("minhash", True, f"stays for the {size} of cluster {cluster}" if cluster >= 0 else "no near-duplicate")
    count = row["personal"] if row else sum(why.get("personal", {}).values())
    yield Line("personal", True, f"{count} spans replaced by placeholders" if count else "nothing to replace")
    if why.get("block") in ("contamination", "spans"):
        fate = "its lines are cut" if row else "dropped"
        item = f"item {why['value']} of {why.get('evaluation_set', '')}"
        yield Line("contamination", bool(row), f"{fate}: shows {item}")
    elif why.get("block") == "schema":
        yield dropped_line(why, [])
    else:
        yield Line("contamination", True, "shows no evaluation item")
    if row:
        place = f"{row['path']}, row {row['row']:,}"
        yield Line("corpus", True, f"{place}: {row['words']:,} words, sha256 {row['sha256'][:16]}…")
        yield in_tokens(key, row["text"])


def number_text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def allowed(limit: Limit) -> str:
    """A limit in words: at least, at most, or both."""
    bounds = [f"at least {number_text(limit.least)}"] if limit.least is not None else []
    bounds += [f"at most {number_text(limit.most)}"] if limit.most is not None else []
    return " and ".join(bounds)
