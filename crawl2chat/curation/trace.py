"""What happened to a page: from its record in the crawl to its tokens, step by step.

`python -m crawl2chat.curation.trace <url | document id | text snippet | train:<token>> [--root .]`

In: what the curation stages left in data/, kept and removed. Out: on the terminal, where the page was read, which block
dropped it, with reason, measured value and limit, or that it passed; of a near-duplicate its cluster and the twin that
stayed; of a kept page its row in the corpus and its tokens. Files are read as streams: nothing needs an index.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crawl2chat.curation.addresses import bare
from crawl2chat.curation.execution import lines_of
from crawl2chat.curation.limits import Limit, limits
from crawl2chat.curation.records import kind_of
from crawl2chat.errors import UserError
from crawl2chat.tokens.corpus import read
from crawl2chat.tokens.shards import Entry, chance, split_of

Document = dict[str, Any]
MOST = 20  # candidates that are listed
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Line:
    """One line of a story: the step, whether the page passed it (None: it was only looked at), and what is to be said."""

    step: str
    passed: bool | None
    text: str


@dataclass(frozen=True)
class Candidate:
    """A document that a query may mean."""

    id: str
    url: str
    title: str
    exact: bool  # by id or URL, not by its text


class Project:
    """The folders and parameters of a run."""

    def __init__(self, root: Path):
        self.root, self.data = root, root / "data"
        if not (self.data / "extracted").is_dir():
            raise UserError(
                f"{root} holds no data/extracted; run `dvc repro extract`, or name the project with --root."
            )

    def parameters(self) -> dict[str, Any]:
        from ruamel.yaml import YAML

        return YAML(typ="safe").load((self.root / "params.yaml").read_text(encoding="utf-8"))

    def limits(self) -> list[Limit]:
        file = self.data / "removed" / "filter" / "rules.json"
        return limits(file) if file.exists() else []


# ---- which document


def find(project: Project, query: str) -> list[Candidate]:
    """The documents that a query may mean: by id or URL, else those whose text shows it."""
    split, _, token = query.partition(":")
    if split in SPLITS and token.isdigit():
        return [document_at(project, split, int(token))]
    found: dict[str, Candidate] = {}
    snippet = " ".join(query.split())
    # The text of the corpus is not that of the earlier stages: lines and personal data are gone.
    for document in (
        *_holding(project.data / "removed" / "extract", query),
        *_holding(project.data / "extracted", query),
        *_rows_holding(project.data / "corpus", snippet),
    ):
        metadata = document["metadata"]
        url = metadata.get("url") or ""
        names = document["id"], document["id"].strip("<>").removeprefix("urn:uuid:"), url
        exact = query in names or bool(url) and bare(url).rstrip("/") == bare(query).rstrip("/")
        if exact or snippet in " ".join(document.get("text", "").split()):
            found.setdefault(document["id"], Candidate(document["id"], url, metadata.get("title") or "", exact))
    exact_ones = [candidate for candidate in found.values() if candidate.exact]
    return exact_ones or list(found.values())


def _holding(folder: Path, query: str) -> Iterator[Document]:
    """Documents in whose line of JSON the query's longest word stands: the others are not even parsed."""
    import orjson

    words = bare(query).split()
    needle = max(words, key=len).strip('/"\\').encode() if words else b""
    for path in sorted(folder.rglob("*.jsonl.zst")):
        for line in lines_of(path):
            if needle in line:
                yield orjson.loads(line)


def _rows_holding(corpus: Path, snippet: str) -> Iterator[Document]:
    if corpus.is_dir():
        for key, url, title, text in read(corpus, "id", "url", "title", "text"):
            if snippet in " ".join(text.split()):
                yield {"id": key, "text": text, "metadata": {"url": url, "title": title}}


def _document(folder: Path, key: str) -> Document | None:
    return next((document for document in _holding(folder, key) if document["id"] == key), None)


# ---- its story


def story(project: Project, key: str) -> Iterator[Line]:
    """Every step of one document, until it is dropped or has become tokens."""
    removed = project.data / "removed"
    lost, text = _document(removed / "extract", key), _document(project.data / "extracted", key)
    if not (document := text or lost):
        return
    yield _read(document["metadata"])
    if not text:
        yield from _dropped(lost["metadata"], [])
        return
    yield Line("extract", True, f"{len(text['text']):,} characters of text" + _named(text["metadata"]))
    filtered, lost = _document(project.data / "filtered", key), _document(removed / "filter", key)
    if not (document := filtered or lost):
        yield Line("filter", None, "has not run on this document; `dvc repro filter`")
        return
    yield from _filters(document["metadata"], project.limits(), dropped=not filtered)
    if filtered:
        yield from _deduplication(project, key, filtered)


def _read(metadata: Document) -> Line:
    file, offset = metadata.get("file", ""), metadata.get("offset", -1)
    place = "record at byte" if kind_of(Path(file)) == "warc" else "line"
    where = f"{file}, {place} {offset:,}" if offset >= 0 else file
    return Line("read", True, f"data/crawl/pages/{where}  {metadata.get('url') or ''}".rstrip())


def _named(metadata: Document) -> str:
    parts = [f"“{metadata['title']}”" if metadata.get("title") else "", str(metadata.get("date") or "")[:10]]
    return "".join(f", {part}" for part in parts if part)


def _dropped(metadata: Document, known: Iterable[Limit]) -> Iterator[Line]:
    """Why the block dropped it: reason, value and the limit that was broken."""
    block, reason, value = (metadata.get(name) for name in ("block", "reason", "value"))
    broken = [limit for limit in known if limit.block == block and reason in limit.reasons]
    says = f"dropped: {reason}" + ("" if value is None else f", measured {_number(value)}")
    says += "".join(f" ({_range(limit)})" for limit in broken)
    if metadata.get("detail"):
        says += f", {metadata['detail']}"
    yield Line(str(block), False, says)


def _filters(metadata: Document, known: list[Limit], dropped: bool) -> Iterator[Line]:
    measured = {"language_score": metadata.get("language_score"), **metadata.get("measured", {})}
    for block in dict.fromkeys(limit.block for limit in known):
        if dropped and block == metadata["block"]:
            break
        values = [
            f"{limit.measure} {_number(measured[limit.measure])} ({_range(limit)})"
            for limit in known
            if limit.block == block and measured.get(limit.measure) is not None
        ]
        language = [metadata.get("language", "")] if block == "language" else []
        yield Line(block, True, ", ".join(language + values))
    if dropped:
        yield from _dropped(metadata, known)


def _deduplication(project: Project, key: str, filtered: Document) -> Iterator[Line]:
    removed = project.data / "removed" / "deduplicate"
    lost, row = _document(removed, key), _row(project.data / "corpus", key)
    gone = lost["metadata"] if lost else {}
    if gone.get("block") == "minhash":
        twin = _document(project.data / "filtered", gone["kept"])
        alike = f", {similarity(filtered['text'], twin['text']):.0%} of runs of five words shared" if twin else ""
        yield Line(
            "minhash",
            False,
            f"dropped: near-duplicate in cluster {gone['value']} of {gone['minhash_cluster_size']}; "
            f"{gone['kept']} stays ({gone['kept_url']}{alike})",
        )
        return
    if not gone and not row:
        yield Line("deduplicate", None, "has not run on this document; `dvc repro deduplicate`")
        return
    cluster, size = (
        (row["cluster"], row["cluster_size"])
        if row
        else (gone.get("minhash_cluster_id", -1), gone.get("minhash_cluster_size", 1))
    )
    yield Line("minhash", True, f"stays for the {size} of cluster {cluster}" if cluster >= 0 else "no near-duplicate")
    count = row["personal"] if row else sum(gone.get("personal", {}).values())
    yield Line("personal", True, f"{count} spans replaced by placeholders" if count else "nothing to replace")
    if gone.get("block") in ("contamination", "spans"):
        what = "its lines are cut" if row else "dropped"
        yield Line(
            "contamination", bool(row), f"{what}: shows item {gone['value']} of {gone.get('evaluation_set', '')}"
        )
    elif gone.get("block") == "schema":
        yield from _dropped(gone, [])
    else:
        yield Line("contamination", True, "shows no evaluation item")
    if row:
        yield Line(
            "corpus",
            True,
            f"data/corpus/{row['file_name']}, row {row['row']:,}: {row['words']:,} words, sha256 {row['sha256'][:16]}…",
        )
        yield _tokens(project, key, row["text"])


def similarity(first: str, second: str, n: int = 5) -> float:
    """Jaccard similarity of the runs of `n` words."""
    runs = []
    for text in (first, second):
        words = text.lower().split()
        runs.append({tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))})
    return len(runs[0] & runs[1]) / len(runs[0] | runs[1])


def _row(corpus: Path, key: str) -> Document | None:
    columns = ("id", "text", "words", "sha256", "cluster", "cluster_size", "personal")
    for path in sorted(corpus.glob("documents-*.parquet")):
        for number, values in enumerate(rows_of(path, columns)):
            if values[0] == key:
                return dict(zip(columns, values, strict=True)) | {"file_name": path.name, "row": number}
    return None


def rows_of(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    from crawl2chat.tokens.corpus import rows

    return rows([path], columns)


# ---- its tokens


def order(project: Project, split: str) -> list[str]:
    """The ids of a split's documents in the order of its tokens, as `tokens/shards.py` put them."""
    parameters = project.parameters()
    seed, share = parameters["seed"], (parameters.get("tokenize") or {}).get("val_share", 0.02)
    entries = (
        Entry(key, key if cluster < 0 else f"cluster {cluster}", "")
        for key, cluster in read(project.data / "corpus", "id", "cluster")
    )
    ids = (entry.id for entry in entries if split_of(entry, seed, share) == split)
    return [key for _, key in sorted((chance(seed, "order", key), key) for key in ids)]


def _bounds(project: Project, split: str) -> np.ndarray:
    """Where each document of a split begins, and at the end where the last one ends."""
    tokens = project.data / "tokens"
    meta = json.loads((tokens / "meta.json").read_text())
    return np.append(np.load(tokens / f"{split}.idx.npy"), meta[split]["tokens"])


def _tokens(project: Project, key: str, text: str) -> Line:
    if not (project.data / "tokens" / "meta.json").exists():
        return Line("tokens", None, "not encoded yet; `dvc repro tokenize`")
    for split in SPLITS:
        ids, bounds = order(project, split), _bounds(project, split)
        if key in ids and len(ids) + 1 == len(bounds):
            place = ids.index(key)
            start, end = int(bounds[place]), int(bounds[place + 1])
            if _decoded(project, split, start, end) in (text, None):
                return Line(
                    "tokens",
                    True,
                    f"data/tokens/{split}.bin, tokens {start:,} to {end - 1:,} (document {place:,} of {len(ids):,})",
                )
    return Line("tokens", None, "data/tokens are those of another corpus; `dvc repro tokenize`")


def _decoded(project: Project, split: str, start: int, end: int) -> str | None:
    """The text that the tokens stand for, without the bos before it; None where there is no tokenizer to ask."""
    from crawl2chat.tokens.tokenizer import Tokenizer

    if not (project.root / "models" / "tokenizer").is_dir():
        return None
    meta = json.loads((project.data / "tokens" / "meta.json").read_text())
    ids = np.memmap(project.data / "tokens" / f"{split}.bin", meta["dtype"], "r")[start + 1 : end]
    return Tokenizer.load(project.root / "models" / "tokenizer").decode(ids.tolist())


def document_at(project: Project, split: str, token: int) -> Candidate:
    """The document that a token of a split belongs to."""
    if not (project.data / "tokens" / "meta.json").exists():
        raise UserError("There are no data/tokens yet; run `dvc repro tokenize`.")
    bounds = _bounds(project, split)
    if token >= bounds[-1]:
        raise UserError(f"{split} has {int(bounds[-1]):,} tokens, numbered from 0; {token:,} is none of them.")
    key = order(project, split)[int(np.searchsorted(bounds, token, "right")) - 1]
    return Candidate(key, "", "", True)


# ---- the terminal


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _range(limit: Limit) -> str:
    bounds = [f"at least {_number(limit.least)}"] if limit.least is not None else []
    bounds += [f"at most {_number(limit.most)}"] if limit.most is not None else []
    return " and ".join(bounds)


def show(lines: Iterable[Line], color: bool) -> Iterator[str]:
    marks = {True: ("✓", "32"), False: ("✗", "31"), None: ("·", "33")}
    for line in lines:
        mark, code = marks[line.passed]
        shown = f"\033[{code}m{mark}\033[0m" if color else mark
        yield f"  {shown} {line.step:<14} {line.text}"


def main(arguments: list[str] | None = None) -> int:
    """Tell the story of the page that the query means; 1 where it means none or too many."""
    parser = argparse.ArgumentParser(prog="python -m crawl2chat.curation.trace", description="What happened to a page.")
    parser.add_argument("query", help="URL, document id, a piece of its text, or train:<token>, val:<token>")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    options = parser.parse_args(arguments)
    try:
        project = Project(options.root)
        found = find(project, options.query)
        if not found:
            raise UserError(f"Nothing in {project.data} has the URL or the id {options.query!r}, or shows this text.")
        if len(found) > 1:
            print(f"{len(found)} documents match; ask for one by its id:")
            for candidate in found[:MOST]:
                print(f"  {candidate.id}  {candidate.url}  {candidate.title[:60]}".rstrip())
            if len(found) > MOST:
                print(f"  … and {len(found) - MOST} more")
            return 1
        print(found[0].id)
        for line in show(story(project, found[0].id), sys.stdout.isatty()):
            print(line)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
