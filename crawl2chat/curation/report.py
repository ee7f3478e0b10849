"""The report of curation: what was dropped where and why, what is left, and how near the limits it came, as tables.

In: the folders of the three curation stages, as they are on disk, and the scores against the truth where there is one.
Out: tables (`waterfall`, `reasons`, `precision_recall`, `duplicate_recall`, `histograms`, `cluster_sizes`,
`languages`, `domains`, `lengths`) as CSV that `dvc plots` can draw, `duplicate_clusters` and `dropped_samples` as JSONL, a drawing of each, and
one page of them all. Documents are streamed and what is remembered of them is bounded: samples, counts, the largest
clusters. The same folders give the same bytes; times are in the metrics.
"""

import csv
import hashlib
import heapq
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from pydantic import Field

from crawl2chat.curation import score
from crawl2chat.curation.execution import documents_in
from crawl2chat.curation.extraction import title_of
from crawl2chat.curation.limits import Limit, limits
from crawl2chat.curation.records import ORDINARY
from crawl2chat.jsonl import write_jsonl
from crawl2chat.page import clip
from crawl2chat.parameters import Params

Row = dict[str, Any]
# The blocks in the order in which documents meet them. Those of the stage filter follow `rules.json`.
EXTRACT, DEDUPLICATE = ("read", "address", "extract"), ("minhash", "personal", "contamination", "schema")
REWRITES = ("c4", "personal")  # these change texts that they keep
BYTES_PER_TOKEN = 4.0  # of English, roughly; the final report knows the tokenizer's own
DOMAINS_IN_MEMORY = 200_000  # beyond that the rarest are forgotten: the frequent ones are not among them
BINS = 30
MEASURED = 2_000  # documents, kept or of one reason, whose values make a histogram
NAMES = {"pages": "pages found", "read": "readable", "extract": "main text", "schema": "valid rows"}
LISTS = ("duplicate_clusters", "dropped_samples")  # tables with texts: JSONL, not CSV


class ReportParams(Params):
    """How much the report of curation shows."""

    samples: int = Field(5, ge=0)  # dropped documents of each reason
    clusters: int = Field(20, ge=0)  # of the biggest clusters of duplicates, with text
    domains: int = Field(30, ge=1)
    characters: int = Field(500, ge=20)  # of a text, at most


@dataclass(frozen=True)
class Folders:
    """What the stages wrote. `removed` is by stage; `truth` may hold none."""

    extracted: Path
    filtered: Path
    corpus: Path
    removed: dict[str, Path]
    truth: Path


def collect(folders: Folders, params: ReportParams, scores: Row) -> dict[str, list[Row]]:
    """All tables by name. `scores` are the metrics of deduplication, with precision and recall where there is truth."""
    census, kept = Census(), Sample(MEASURED)
    extracted, pages = read_extracted(folders.extracted)
    filtered, corpus = Size(), Size()
    for document in documents_in(folders.filtered):
        filtered.add(document["text"])
        kept.add(document["id"], values_of(document))
    rules = folders.removed["filter"] / "rules.json"
    orders = {"extract": EXTRACT, "filter": (*json.loads(rules.read_text()),), "deduplicate": DEDUPLICATE}
    gone = {
        stage: {block: read_removed(folders.removed[stage] / block, census, params) for block in order}
        for stage, order in orders.items()
    }
    for row in corpus_rows(folders.corpus, "domain", "language", "text"):
        corpus.add(row["text"])
        census.add(row["language"], row["domain"], row["text"], kept=True)
    found = limits(rules)
    return {
        "waterfall": [
            *page_rows(gone["extract"], pages),
            {"stage": "extract", "block": "extract", **extracted.row()},
            *after_blocks("filter", orders["filter"], extracted, gone["filter"], filtered),
            *after_blocks("deduplicate", DEDUPLICATE, filtered, gone["deduplicate"], corpus),
        ],
        "reasons": reason_rows(orders, gone),
        "precision_recall": score_rows(folders, orders, scores),
        "histograms": histogram_rows(found, kept.items(), gone["filter"]),
        "duplicate_recall": similarity_rows(scores),
        "cluster_sizes": cluster_sizes(folders.removed["deduplicate"]),
        "languages": census.rows("language", census.languages),
        "domains": census.rows("domain", census.domains)[: params.domains],
        "lengths": census.length_rows(),
        "duplicate_clusters": biggest_clusters(folders, params),
        "dropped_samples": sample_rows(orders, gone, found),
    }


def write(tables: dict[str, list[Row]], out: Path) -> None:
    """Tables, drawings and the page that shows them, into a new folder."""
    from crawl2chat.curation.charts import draw
    from crawl2chat.page import environment

    out.mkdir(parents=True)
    for name, rows in tables.items():
        if name in LISTS:
            write_jsonl(out / f"{name}.jsonl", rows)
        elif rows:
            with (out / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    charts = draw(tables, NAMES)
    for name, svg in charts.items():
        (out / f"{name}.svg").write_text(svg, encoding="utf-8")
    template = environment(Path(__file__).parent).get_template("page.html.jinja")
    page = template.render(shown(tables, charts, BYTES_PER_TOKEN))
    (out / "index.html").write_text(page, encoding="utf-8")


def shown(tables: dict[str, list[Row]], figures: dict[str, str], bytes_per_token: float) -> dict[str, Any]:
    """What chapter.html.jinja shows."""

    def grouped(name: str, *keys: str) -> list[tuple[tuple[Any, ...], list[Row]]]:
        by_key = groupby(tables.get(name, []), key=lambda row: tuple(row[key] for key in keys))
        return [(key, list(rows)) for key, rows in by_key]

    return {
        "waterfall": in_tokens(tables.get("waterfall", []), bytes_per_token),
        "figures": figures,
        "names": NAMES,
        "bytes_per_token": bytes_per_token,
        "clusters": grouped("duplicate_clusters", "cluster", "size"),
        "dropped": grouped("dropped_samples", "block", "reason"),
    }


def in_tokens(waterfall: list[Row], bytes_per_token: float) -> list[Row]:
    """The waterfall with the tokens that its texts would be; a page's HTML never becomes any."""
    return [
        row | {"tokens": None if row["words"] is None else round(row["bytes"] / bytes_per_token)} for row in waterfall
    ]


def read(folder: Path) -> tuple[dict[str, list[Row]], dict[str, str]]:
    """The tables and the figures that `write` wrote, for a page that shows them among other things; empty without them."""
    tables: dict[str, list[Row]] = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            tables[path.stem] = [{key: number(text) for key, text in row.items()} for row in csv.DictReader(file)]
    for name in LISTS if tables else ():
        lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").split("\n")
        tables[name] = [json.loads(line) for line in lines if line]
    figures = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.svg"))}
    return tables, figures


def number(text: str) -> Any:
    """A cell of a CSV as it was before it was written."""
    if not text:
        return None
    try:
        return float(text) if re.search(r"[.e]", text) else int(text)
    except ValueError:
        return text


# ---- what is remembered of documents


@dataclass
class Size:
    """How much text: documents, bytes in UTF-8, words between white space."""

    documents: int = 0
    bytes: int = 0
    words: int = 0

    def add(self, text: str) -> None:
        self.documents += 1
        self.bytes += size_of(text)
        self.words += len(text.split())

    def __add__(self, other: "Size") -> "Size":
        return Size(self.documents + other.documents, self.bytes + other.bytes, self.words + other.words)

    def __sub__(self, other: "Size") -> "Size":
        return Size(self.documents - other.documents, self.bytes - other.bytes, self.words - other.words)

    def row(self) -> Row:
        tokens = round(self.bytes / BYTES_PER_TOKEN)
        return {"documents": self.documents, "bytes": self.bytes, "words": self.words, "tokens_estimated": tokens}


def size_of(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


class Sample:
    """A uniform sample of at most `size` items that depends on their keys alone: those whose hashes are the smallest."""

    def __init__(self, size: int):
        self.size, self.seen = size, 0
        self.heap: list[tuple[int, int, Any]] = []  # the largest hash first, negated

    def add(self, key: str, item: Any) -> None:
        self.seen += 1
        rank = -int.from_bytes(hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        if len(self.heap) < self.size:
            heapq.heappush(self.heap, (rank, self.seen, item))
        elif self.heap and rank > self.heap[0][0]:
            heapq.heapreplace(self.heap, (rank, self.seen, item))

    def items(self) -> list[Any]:
        return [item for *_, item in sorted(self.heap, key=lambda entry: (-entry[0], entry[1]))]


@dataclass
class Removed:
    """What one block dropped: how much of what, and for each reason how often, some values, a few samples."""

    size: Size = field(default_factory=Size)
    page_bytes: int = 0
    reasons: Counter = field(default_factory=Counter)
    values: dict[str, Sample] = field(default_factory=lambda: defaultdict(lambda: Sample(MEASURED)))
    samples: dict[str, Sample] = field(default_factory=dict)


class Census:
    """Languages, domains and lengths of the texts that were kept, and of those that were dropped."""

    def __init__(self) -> None:
        self.languages: Counter[tuple[str, bool]] = Counter()
        self.domains: Counter[tuple[str, bool]] = Counter()
        self.lengths: Counter[tuple[int, bool]] = Counter()

    def add(self, language: str, domain: str, text: str, kept: bool) -> None:
        if language:  # what is dropped before anyone asks has none
            self.languages[language, kept] += 1
        if domain:
            self.domains[domain, kept] += 1
        if text:
            self.lengths[len(text.split()).bit_length(), kept] += 1
        if len(self.domains) > DOMAINS_IN_MEMORY:
            self.domains = Counter(dict(self.domains.most_common(DOMAINS_IN_MEMORY // 2)))

    def rows(self, name: str, counts: Counter) -> list[Row]:
        """Kept and dropped documents by `name`, the most frequent first."""
        found = [
            {name: key, "kept": counts[key, True], "dropped": counts[key, False]}
            for key in sorted({key for key, _ in counts})
        ]
        return sorted(found, key=lambda row: (-row["kept"] - row["dropped"], row[name]))

    def length_rows(self) -> list[Row]:
        """Documents by number of words, in bins that double."""
        longest = max((bits for bits, _ in self.lengths), default=-1)
        return [
            {
                "words_from": 2 ** (bits - 1) if bits else 0,
                "words_to": 2**bits,
                "kept": self.lengths[bits, True],
                "dropped": self.lengths[bits, False],
            }
            for bits in range(longest + 1)
        ]


# ---- reading, document by document


def corpus_rows(folder: Path, *columns: str) -> Iterator[Row]:
    import pyarrow.parquet

    for path in sorted(folder.glob("*.parquet")):
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(1_000, columns=list(columns)):
            yield from batch.to_pylist()


def read_extracted(folder: Path) -> tuple[Size, Size]:
    """Size of the main texts, and of the pages they came from."""
    size, pages, last = Size(), Size(), None
    for document in documents_in(folder):
        size.add(document["text"])
        metadata = document["metadata"]
        record = metadata.get("file"), metadata.get("offset")
        if record != last:  # the parts of a long text follow each other
            pages += Size(1, metadata.get("page_bytes", 0))
        last = record
    return size, pages


def values_of(document: Row) -> dict[str, float]:
    """What the filters measured on a document, and how sure its language is."""
    metadata = document["metadata"]
    return {"language_score": metadata.get("language_score"), **metadata.get("measured", {})}


def read_removed(folder: Path, census: Census, params: ReportParams) -> Removed:
    """What a block dropped."""
    removed = Removed()
    for document in documents_in(folder):
        metadata, text = document["metadata"], document.get("text", "")
        reason, value = metadata["reason"], metadata.get("value")
        removed.size.add(text)
        removed.page_bytes += metadata.get("page_bytes", 0)
        removed.reasons[reason] += 1
        removed.values[reason].add(document["id"], values_of(document))
        if folder.name == "address":  # still HTML
            text = title_of(text)
        removed.samples.setdefault(reason, Sample(params.samples)).add(
            document["id"],
            {
                "value": value,
                "detail": metadata.get("detail"),
                "url": metadata.get("url", ""),
                "id": document["id"],
                "text": clip(text, params.characters),
            },
        )
        if folder.name not in EXTRACT:
            census.add(metadata.get("language", ""), metadata.get("domain", ""), text, kept=False)
    return removed


# ---- tables


def page_rows(gone: dict[str, Removed], pages: Size) -> list[Row]:
    """From records to pages that an extractor sees. Bytes are of HTML here: there is no main text to count yet."""
    ordinary = sum(count for reason, count in gone["read"].reasons.items() if reason in ORDINARY)
    to_extract = pages + Size(gone["extract"].size.documents, gone["extract"].page_bytes)
    readable = to_extract + Size(gone["address"].size.documents, gone["address"].page_bytes)
    attempted = readable.documents + gone["read"].size.documents - ordinary

    def row(block: str, count: int, size: int | None) -> Row:
        return {
            "stage": "extract",
            "block": block,
            "documents": count,
            "bytes": size,
            "words": None,
            "tokens_estimated": None,
        }

    return [
        row("pages", attempted, None),
        row("read", readable.documents, readable.bytes or None),
        row("address", to_extract.documents, to_extract.bytes or None),
    ]


def after_blocks(stage: str, order: tuple[str, ...], before: Size, gone: dict[str, Removed], after: Size) -> list[Row]:
    """What is left after each block. Before a block that rewrites, counted from the stage's start; then from its end."""
    rows, rewritten, left = [], False, before
    for place, block in enumerate(order):
        rewritten = rewritten or block in REWRITES
        left = sum((gone[later].size for later in order[place + 1 :]), after) if rewritten else left - gone[block].size
        rows.append({"stage": stage, "block": block, **left.row()})
    return rows


def reason_rows(orders: dict[str, tuple[str, ...]], gone: dict[str, dict[str, Removed]]) -> list[Row]:
    """How many were dropped for which reason, in the order of the blocks."""
    return [
        {"stage": stage, "block": block, "reason": reason, "documents": count}
        for stage, order in orders.items()
        for block in order
        for reason, count in sorted(gone[stage][block].reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def score_rows(folders: Folders, orders: dict[str, tuple[str, ...]], scores: Row) -> list[Row]:
    """Was it right to drop, by block; was found what should be, by kind of defect. Empty without truth."""
    truth = score.truth_of(folders.truth)
    if not truth:
        return []
    rows: list[Row] = []

    def add(stage: str, measure: str, of: str, value: float | None, n: int) -> None:
        if value is not None and n:
            shared = score.share("value", round(value * n), n)
            interval = {"n": n, "low": round(shared["value_low"], 6), "high": round(shared["value_high"], 6)}
            rows.append({"stage": stage, "measure": measure, "of": of, "value": round(value, 6), **interval})

    for stage, out in (("extract", folders.extracted), ("filter", folders.filtered)):
        removed = folders.removed[stage]
        blocks = [path for path in sorted(removed.iterdir()) if path.is_dir() and path.name != "read"]
        right = score.precision_by_reason(chain.from_iterable(map(documents_in, blocks)), truth)
        for block in orders[stage]:
            if found := right["precision_by_block"].get(block):
                add(stage, "precision", block, found["precision"], found["n"])
        gone = score.ids_in(truth, *blocks)
        scored = score.dropping(gone, gone | score.ids_in(truth, out), truth, stage)
        for defect, found in scored["recall_by_defect"].items():
            add(stage, "recall", defect, found["recall"], found["n"])
    for measure, of, key in (
        ("precision", "minhash", "duplicate_precision"),
        ("precision", "contamination", "contaminated_precision"),
        ("recall", "near duplicates (similarity ≥ 0.8)", "duplicate_recall"),
        ("recall", "contaminated", "contaminated_recall"),
    ):
        add("deduplicate", measure, of, scores[key], scores[f"{key}_n"])
    for kind, found in scores["pii_recall_by_kind"].items():
        add("deduplicate", "recall", f"personal data: {kind}", found["recall"], found["n"])
    return rows


def similarity_rows(scores: Row) -> list[Row]:
    """Of pairs of a page and its copy, how many MinHash found, by similarity, against what its curve promises."""
    bands = scores.get("duplicate_recall_by_similarity", {})
    return [
        {"similarity_from": float(band)}
        | {key: round(bands[band][key], 6) for key in ("found", "low", "high", "expected", "n")}
        for band in sorted(bands)
    ]


def histogram_rows(found: list[Limit], kept: list[dict[str, float]], gone: dict[str, Removed]) -> list[Row]:
    """For each limit that dropped something: values of kept and of dropped documents in bins, and where the limit is."""
    rows: list[Row] = []
    for limit in found:
        removed = gone[limit.block]
        samples = [removed.values[reason] for reason in limit.reasons if reason in removed.values]
        dropped = [values[limit.measure] for sample in samples for values in sample.items()]
        if not dropped:
            continue
        stayed = [values[limit.measure] for values in kept if values.get(limit.measure) is not None]
        common = {
            "block": limit.block,
            "measure": limit.measure,
            "least": limit.least,
            "most": limit.most,
            "kept_measured": len(stayed),
            "dropped_measured": len(dropped),
        }
        rows += [common | row for row in bins(stayed, dropped, limit)]
    return rows


def bins(kept: list[float], dropped: list[float], limit: Limit) -> Iterator[Row]:
    """Both counted in the same bins, one of which begins at the limit; values that run into hundreds get bins that grow."""
    import numpy as np

    low, high = min(*kept, *dropped), max(*kept, *dropped)
    start = next((line for line in (limit.least, limit.most) if line is not None and low <= line <= high), low)
    if high > 100:
        edges = np.unique(np.floor([start, *np.geomspace(max(low, 1.0), high + 1.0, BINS + 1)]))
    else:
        step = (high - low) / BINS or 1.0
        edges = start + step * np.arange(np.floor((low - start) / step), np.floor((high - start) / step) + 2)
    edges[0] = min(edges[0], low)  # rounding may have left the outermost values outside
    counts = [np.histogram(part, edges)[0].tolist() for part in (kept, dropped)]
    for first, last, stays, goes in zip(edges[:-1].tolist(), edges[1:].tolist(), *counts, strict=True):
        yield {"from": round(first, 6), "to": round(last, 6), "kept": stays, "dropped": goes}


def cluster_sizes(removed: Path) -> list[Row]:
    """How many clusters of duplicates have which size. Of a cluster of n pages n − 1 were dropped, and each says so."""
    dropped = Counter(document["metadata"]["minhash_cluster_size"] for document in documents_in(removed / "minhash"))
    return [{"size": size, "clusters": round(count / (size - 1))} for size, count in sorted(dropped.items())]


def biggest_clusters(folders: Folders, params: ReportParams) -> list[Row]:
    """The largest clusters with the text of the twin that stayed and of some copies; what they share in runs of five words."""
    minhash = folders.removed["deduplicate"] / "minhash"
    sizes: dict[int, int] = {}
    for document in documents_in(minhash):
        sizes[document["metadata"]["minhash_cluster_id"]] = document["metadata"]["minhash_cluster_size"]
        if len(sizes) > 1_000 + params.clusters:
            sizes = largest(sizes, params.clusters)
    sizes = largest(sizes, params.clusters)
    copies = {cluster: Sample(params.samples) for cluster in sizes}
    for document in documents_in(minhash):
        if (cluster := document["metadata"]["minhash_cluster_id"]) in copies:
            copies[cluster].add(document["id"], document)
    twins = {
        row["cluster"]: (row["url"], row["text"])
        for row in corpus_rows(folders.corpus, "cluster", "url", "text")
        if row["cluster"] in sizes
    }
    found = []
    for cluster, size in sizes.items():
        url, text = twins.get(cluster, ("", ""))  # the twin may have been dropped later, for showing an evaluation item
        found.append(page_of(cluster, size, "kept", url, text, text, params.characters))
        for copy in copies[cluster].items():
            url = copy["metadata"].get("url", "")
            found.append(page_of(cluster, size, "dropped", url, copy["text"], text, params.characters))
    return found


def page_of(cluster: int, size: int, fate: str, url: str, text: str, twin: str, characters: int) -> Row:
    shared = round(shared_runs(text, twin), 3) if twin else None
    return {
        "cluster": cluster,
        "size": size,
        "fate": fate,
        "url": url,
        "shared": shared,
        "text": clip(text, characters),
    }


def largest(sizes: dict[int, int], most: int) -> dict[int, int]:
    return dict(sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))[:most])


def shared_runs(text: str, other: str, n: int = 5) -> float:
    """Jaccard similarity of the sets of runs of n words, which is what MinHash estimates."""
    one, two = (
        {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}
        for words in (text.lower().split(), other.lower().split())
    )
    return len(one & two) / len(one | two)


def sample_rows(
    orders: dict[str, tuple[str, ...]], gone: dict[str, dict[str, Removed]], found: list[Limit]
) -> list[Row]:
    """A few documents of every reason, drawn by their ids."""
    broken = {
        (limit.block, reason): limit.least if limit.most is None or number < len(limit.reasons) - 1 else limit.most
        for limit in found
        for number, reason in enumerate(limit.reasons)
    }
    return [
        {"stage": stage, "block": block, "reason": reason, "limit": broken.get((block, reason))} | sample
        for stage, order in orders.items()
        for block in order
        for reason, samples in sorted(gone[stage][block].samples.items())
        for sample in samples.items()
    ]
