"""The curation stages one after the other on a tiny crawl: scores, traces, and the same bytes however they are run."""

import json
import re
from pathlib import Path

import polars as pl
import pytest
from curation_toys import ALONE, DEDUPLICATE, EXTRACT, curate, digest, jsonl, tiny_crawl

from crawl2chat.curation.contamination import ContaminationParams
from crawl2chat.curation.documents import documents_in
from crawl2chat.curation.personal import KINDS
from crawl2chat.curation.report import chapter
from crawl2chat.errors import UserError
from crawl2chat.tracking import Tracker
from stages.deduplicate import deduplicate
from stages.extract import extract
from stages.settings import tuned

OUTS = ("extracted", "filtered", "corpus", "removed", "report")


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_crawl(tmp_path_factory.mktemp("crawl"))


@pytest.fixture(scope="module")
def curated(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("curated")
    return out, curate(crawl, out)


def test_duplicates_are_found_and_can_be_traced_to_their_twin(curated: tuple[Path, dict]) -> None:
    out, metrics = curated
    scores = metrics["deduplicate"]
    assert scores["duplicate_recall"] == 1.0 and scores["duplicate_precision"] > 0.6
    corpus = pl.read_parquet(out / "corpus" / "*.parquet")
    assert corpus["line_punctuation"].is_between(0, 1).all()
    clusters = dict(corpus.filter(pl.col("cluster") >= 0).select("cluster", "cluster_size").iter_rows())
    gone = [d["metadata"] for d in documents_in(out / "removed" / "deduplicate" / "minhash")]
    assert gone and {d["reason"] for d in gone} == {"near_duplicate"}
    assert all(d["minhash_cluster_id"] == d["value"] for d in gone)
    contaminated = {
        d["metadata"].get("minhash_cluster_id"): d["id"]
        for d in documents_in(out / "removed" / "deduplicate" / "contamination")
    }
    assert {d["value"] for d in gone} <= set(clusters) | set(contaminated)
    twins = dict(corpus.filter(pl.col("cluster") >= 0).select("cluster", "id").iter_rows()) | contaminated
    assert all(twins[d["value"]] == d["kept"] and d["kept_url"] for d in gone)
    assert all(d["minhash_cluster_size"] >= 2 for d in gone)


def test_personal_data_and_evaluation_items_are_gone(curated: tuple[Path, dict]) -> None:
    out, metrics = curated
    scores = metrics["deduplicate"]
    assert scores["pii_recall"] == 1.0 and scores["pii_recall_n"] > 0 and scores["pii_clean_touched"] == 0
    assert scores["contaminated_recall"] == 1.0 and scores["contaminated"] >= 1
    assert sum(scores["personal"].values()) >= scores["pii_recall_n"] and set(scores["personal"]) <= set(KINDS)
    assert scores["contaminated_by_set"] == {"word_problem": scores["contaminated"]}
    assert scores["evaluation_items_by_set"] == {"word_problem": 3}
    text = " ".join(pl.read_parquet(out / "corpus" / "*.parquet")["text"])
    assert not re.search(r"\w@\w", text) and "[email]" in text or scores["pii_recall_n"] < 3
    assert "Old Dan takes 2" not in text


def test_spans_are_cut_where_documents_are_to_stay(curated: tuple[Path, dict], crawl: Path, tmp_path: Path) -> None:
    """One's own chat data are evaluation sets too: a part of them is held out."""
    document = next(d for d in documents_in(curated[0] / "filtered") if d["text"].count("\n") > 2)
    line = document["text"].split("\n")[1]
    said = {"messages": [{"role": "user", "content": line}, {"role": "assistant", "content": "Yes."}]}
    jsonl(tmp_path / "chat" / "own.jsonl", said)
    params = DEDUPLICATE.model_copy(update={"contamination": tuned(ContaminationParams, remove="span")})
    (tmp_path / "work").mkdir()
    metrics = deduplicate(
        curated[0] / "filtered",
        crawl / "tasks",
        tmp_path / "chat",
        crawl / "preferences",
        crawl / "truth",
        tmp_path / "out",
        tmp_path / "removed",
        params,
        ALONE,
        Tracker(),
        tmp_path / "work",
    )
    assert metrics["contaminated"] == 0 < metrics["contaminated_by_set"]["chat"] <= metrics["contaminated_cut"]
    assert metrics["documents"] > curated[1]["deduplicate"]["documents"]
    cut = {d["id"]: d for d in documents_in(tmp_path / "removed" / "spans")}
    assert cut[document["id"]]["metadata"]["reason"] == "evaluation_span"
    corpus = pl.read_parquet(tmp_path / "out" / "*.parquet")
    text = corpus.filter(pl.col("id") == document["id"])["text"].item()
    assert line not in text and document["text"].split("\n")[0] in text
    assert not corpus["text"].str.contains("Old Dan takes 2").any()


def test_corpus_rows_are_complete(curated: tuple[Path, dict]) -> None:
    out, metrics = curated
    corpus = pl.read_parquet(out / "corpus" / "*.parquet")
    assert corpus.height == metrics["deduplicate"]["documents"] > 30
    assert corpus["id"].is_unique().all() and (corpus["words"] > 0).all() and (corpus["language"] == "en").all()
    assert (corpus["line_punctuation"] >= 0.12).all() and (corpus["mean_word_length"] >= 3).all()
    assert corpus["quality"].is_null().all()  # no classifier was asked for
    assert (corpus["domain"] != "").all() and corpus["date"].str.contains(r"^\d{4}-\d\d-\d\d$").all()
    assert (out / "removed" / "deduplicate" / "invalid.jsonl").read_text() == ""


def test_the_report_tells_what_the_stages_did(curated: tuple[Path, dict]) -> None:
    out, metrics = curated
    tables, figures = chapter.read(out / "report")
    left = {row["block"]: row["documents"] for row in tables["waterfall"]}
    for stage, block in {"extract": "extract", "filter": "fineweb", "deduplicate": "schema"}.items():
        assert left[block] == metrics[stage]["documents"]
    dropped = {(row["block"], row["reason"]): row["documents"] for row in tables["reasons"]}
    for block, reasons in metrics["filter"]["dropped"].items():
        assert all(dropped[block, reason] == count for reason, count in reasons.items())
    precision = {row["of"]: row for row in tables["precision_recall"] if row["measure"] == "precision"}
    assert precision["minhash"]["value"] == pytest.approx(metrics["deduplicate"]["duplicate_precision"])
    assert all(row["low"] <= row["value"] <= row["high"] and row["n"] for row in precision.values())
    assert {"gopher", "language", "repetition"} <= precision.keys()
    sizes = [next(row["bytes"] for row in tables["waterfall"] if row["block"] == b) for b in ("read", "extract")]
    assert sizes[0] > 1.5 * sizes[1]  # HTML is more than its text
    assert set(figures) >= {"waterfall", "reasons", "precision_recall", "histograms", "duplicate_recall"}


def test_same_bytes_with_two_workers(crawl: Path, curated: tuple[Path, dict], tmp_path: Path) -> None:
    curate(crawl, tmp_path, workers=2)
    assert digest(*(tmp_path / name for name in OUTS)) == digest(*(curated[0] / name for name in OUTS))


def test_killed_between_shards_it_redoes_only_the_rest(crawl: Path, curated: tuple[Path, dict], tmp_path: Path) -> None:
    """One shard lost its marker and left half a file; the others are not touched, the out is the same."""
    work = tmp_path / "work"
    work.mkdir()

    def run() -> None:
        extract(
            crawl / "pages",
            crawl / "blocklists",
            crawl / "truth",
            tmp_path / "out",
            tmp_path / "removed",
            EXTRACT,
            ALONE,
            Tracker(),
            work,
        )

    run()
    first = digest(tmp_path / "out")
    (work / "extract" / "logs" / "completions" / "00001").unlink()
    (work / "documents" / "00001.jsonl.zst").write_bytes(b"half a shard")
    untouched = (work / "documents" / "00000.jsonl.zst").stat().st_mtime_ns
    run()
    assert digest(tmp_path / "out") == first == digest(curated[0] / "extracted")
    assert (work / "documents" / "00000.jsonl.zst").stat().st_mtime_ns == untouched


def test_too_many_invalid_rows_stop_the_stage(
    curated: tuple[Path, dict], crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crawl2chat.curation import corpus

    real = corpus.row
    monkeypatch.setattr(corpus, "row", lambda document: real(document) | {"date": "yesterday"})
    (tmp_path / "work").mkdir()
    with pytest.raises(UserError, match=r"\d+ of \d+ rows break the corpus schema.*column 'date'"):
        deduplicate(
            curated[0] / "filtered",
            crawl / "tasks",
            crawl / "chat",
            crawl / "preferences",
            crawl / "truth",
            tmp_path / "out",
            tmp_path / "removed",
            DEDUPLICATE,
            ALONE,
            Tracker(),
            tmp_path / "work",
        )
    failures = [json.loads(line) for line in (tmp_path / "work" / "invalid.jsonl").read_text().splitlines()]
    assert {(f["column"], f["check"], f["value"]) for f in failures} == {("date", "calendar_date", "yesterday")}


def test_metrics_are_json(curated: tuple[Path, dict]) -> None:
    assert json.loads(json.dumps(curated[1]))["deduplicate"]["documents"] == curated[1]["deduplicate"]["documents"]
