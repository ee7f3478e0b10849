"""Scores against the truth: known numbers for drops, duplicates, personal data and extraction."""

import pytest

from crawl2chat.curation import deduplication_score, extraction_score, score
from crawl2chat.curation.duplicates import MinhashParams
from stages.settings import tuned


def row(expected: str = "keep", stage: str | None = None, **more) -> dict:
    return {
        "expected": expected,
        "stage": stage,
        "defects": [],
        "intensity": None,
        "cluster": None,
        "similarity": None,
        "personal": [],
        "lookalikes": [],
        "contaminants": [],
        "text": "",
    } | more


def test_drops_are_scored_by_defect_intensity_and_reason() -> None:
    truth = {
        "a": row("drop", "filter", defects=["list_bullets"], intensity=0.9),
        "b": row("drop", "filter", defects=["list_directory"], intensity=1.0),
        "mild": row("keep", None, defects=["list_bullets"], intensity=0.1),
        "good": row(),
        "other": row("drop", "deduplicate", defects=["mirror"], intensity=0.0),
    }
    metrics = score.dropping({"a", "mild", "other"}, set(truth), truth, "filter")
    assert metrics["precision"] == pytest.approx(2 / 3) and metrics["recall"] == 0.5
    assert metrics["recall_by_defect"] == {"list": {"recall": 0.5, "n": 2}}
    assert metrics["precision_by_defect"] == {"list": {"precision": 0.5, "n": 2}}
    assert metrics["dropped_by_intensity"]["list"] == {
        "0.9": {"dropped": 1.0, "n": 1},
        "1": {"dropped": 0.0, "n": 1},
        "mild": {"dropped": 1.0, "n": 1},
    }
    documents = [
        {"id": key, "metadata": {"block": "fineweb", "reason": reason}}
        for key, reason in (("a", "short_lines"), ("mild", "short_lines"), ("other", "new_lines"))
    ]
    reasons = score.precision_by_reason(documents, truth)
    assert reasons["precision_by_block"] == {"fineweb": {"precision": pytest.approx(2 / 3), "n": 3}}
    assert reasons["precision_by_reason"]["fineweb/short_lines"] == {"precision": 0.5, "n": 2}
    assert score.precision_by_reason(documents, {}) == {}


def test_found_pairs_stand_beside_the_minhash_curve() -> None:
    truth = {}
    for cluster, similarity in enumerate((0.75, 0.75, 0.95)):
        truth[f"o{cluster}"] = row(cluster=cluster)
        truth[f"c{cluster}"] = row("drop", "deduplicate", cluster=cluster, similarity=similarity)
    metrics = deduplication_score.duplicates({"c0", "o2"}, set(truth), truth, tuned(MinhashParams, "real"))
    table = metrics["duplicate_recall_by_similarity"]
    assert table["0.7"]["found"] == 0.5 and table["0.7"]["n"] == 2
    assert table["0.7"]["expected"] == pytest.approx(0.77, abs=0.005)  # 1 - (1 - .75^8)^14
    assert table["0.9"]["found"] == 1.0 and metrics["duplicate_recall"] == 1.0
    assert metrics["duplicate_precision"] == 1.0


def test_half_a_page_taken_for_a_copy_is_a_wrong_drop() -> None:
    truth = {"o": row(cluster=0), "c": row("keep", cluster=0, similarity=0.4), "p": row()}
    assert deduplication_score.duplicates({"c"}, set(truth), truth, tuned(MinhashParams))["duplicate_precision"] == 0.0
    assert deduplication_score.duplicates({"p"}, set(truth), truth, tuned(MinhashParams))["duplicate_precision"] == 0.0


def test_similarity_is_that_of_the_shingles_minhash_reads() -> None:
    texts = {
        "a": "One, two: three four five six seven eight nine ten!",
        "b": "one two three four five six seven eight nine eleven",
    }
    jaccard = deduplication_score.similarity(texts, tuned(MinhashParams, "real"))
    assert jaccard("a", "a") == 1.0 and jaccard("a", "b") == pytest.approx(5 / 7)


def test_personal_data_is_counted_by_kind_and_lookalikes_by_span() -> None:
    before = {"a": "call 030-1 or a@b.de", "b": "version 1.2.3.4 of 2020-01-02", "c": "plain"}
    after = {"a": "call 030-1 or [email]", "b": "version [ip] of 2020-01-02", "c": "plain"}
    truth = {
        "a": row(personal=[{"kind": "phone", "value": "030-1"}, {"kind": "email", "value": "a@b.de"}]),
        "b": row(lookalikes=[{"kind": "version", "value": "1.2.3.4"}, {"kind": "date", "value": "2020-01-02"}]),
        "c": row(),
    }
    metrics = deduplication_score.personal_data(before, after, truth)
    assert metrics["pii_recall"] == 0.5 and metrics["pii_recall_by_kind"]["email"] == {"recall": 1.0, "n": 1}
    assert metrics["pii_clean_touched_share"] == 0.5 and metrics["pii_clean_touched_share_n"] == 2
    assert metrics["pii_clean_touched_by_kind"]["version"] == {"touched": 1.0, "n": 1}
    assert metrics["pii_clean_pages_touched_share"] == 0.5 and metrics["pii_clean"] == 2


def test_extraction_is_scored_by_the_way_a_page_was_served() -> None:
    served = {
        "layout": "blog",
        "broken_markup": 2,
        "hidden_names": False,
        "charset": "cp1252",
        "charset_header": None,
        "transfer": "gzip",
    }
    truth = {"a": row(text="one two", **served), "b": row(text="one two", **{**served, "layout": "wiki"})}
    tables = extraction_score.extraction_by_form([("a", "one two"), ("b", "one three")], truth)["f1_by_form"]
    assert tables["layout"] == {"blog": {"f1": 1.0, "n": 1}, "wiki": {"f1": 0.5, "n": 1}}
    assert tables["charset"] == {"cp1252/none": {"f1": 0.75, "n": 2}}
