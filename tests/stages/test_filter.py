"""Stage filter: every kind of bad page goes, with block, reason and value; a limit that drops everything is named."""

from collections import Counter
from pathlib import Path

import pytest
from curation_toys import ALONE, FILTER, curate, jsonl, tiny_crawl

from crawl2chat.curation.classifier import ClassifierParams, score, train
from crawl2chat.curation.documents import documents_in
from crawl2chat.curation.quality import GopherParams
from crawl2chat.errors import UserError
from crawl2chat.tracking import Tracker
from stages.deduplicate import DeduplicateParams
from stages.extract import ExtractParams
from stages.files import read_yaml
from stages.filter import FilterParams, filter
from stages.settings import merge, tuned, validate

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    out = tmp_path_factory.mktemp("filtered")
    return out, curate(tiny_crawl(out / "crawl"), out)["filter"]


def test_bad_pages_go_and_good_ones_stay(curated: tuple[Path, dict]) -> None:
    _, metrics = curated
    assert metrics["recall"] > 0.95 and metrics["precision"] > 0.9
    assert {"language", "thin", "repetitive", "list", "garbled"} <= set(metrics["recall_by_defect"])
    assert metrics["recall_low"] < metrics["recall"] <= metrics["recall_high"] and metrics["recall_n"] > 10


def test_dropped_documents_say_where_and_why(curated: tuple[Path, dict]) -> None:
    out, metrics = curated
    dropped = list(documents_in(out / "removed" / "filter"))
    counted = sum(n for reasons in metrics["dropped"].values() for n in reasons.values())
    assert len(dropped) == counted > 10
    for document in dropped:
        assert document["metadata"]["reason"] in metrics["dropped"][document["metadata"]["block"]]
        assert document["text"] and document["metadata"]["stage"] == "filter"
    assert any(isinstance(document["metadata"]["value"], float) for document in dropped)
    assert len(list(documents_in(out / "filtered"))) == metrics["documents"]


def test_a_limit_that_drops_everything_is_named(curated: tuple[Path, dict], tmp_path: Path) -> None:
    params = FILTER.model_copy(update={"gopher": tuned(GopherParams, min_words=10_000)})
    with pytest.raises(UserError, match="by block 'gopher', reason 'short'"):
        filter(
            curated[0] / "extracted",
            tmp_path,
            tmp_path,
            tmp_path / "out",
            tmp_path / "removed",
            params,
            ALONE,
            Tracker(),
            tmp_path,
        )


def test_missing_documents_are_named(tmp_path: Path) -> None:
    (tmp_path / "extracted").mkdir()
    with pytest.raises(UserError, match="holds no documents; run the stage extract first"):
        filter(
            tmp_path / "extracted",
            tmp_path,
            tmp_path,
            tmp_path / "out",
            tmp_path / "removed",
            FILTER,
            ALONE,
            Tracker(),
            tmp_path,
        )


def test_a_classifier_learns_from_samples_and_drops_what_is_like_the_bad_ones(
    curated: tuple[Path, dict], tmp_path: Path
) -> None:
    """Good samples from a domain of the crawl, bad ones from one's own files; twice, to the same bytes."""
    domains = Counter(d["metadata"]["domain"] for d in documents_in(curated[0] / "filtered"))
    good = [domain for domain, _ in domains.most_common(3)]
    shop = "Buy now cheap offer number {0}, order today item {0}, great discount price {0}, free shipping. "
    jsonl(tmp_path / "quality" / "bad.jsonl", *({"text": shop.format(n) * 6} for n in range(40)))
    params = tuned(
        ClassifierParams, positive=[f"domain:{d}" for d in good], negative=["samples:bad.jsonl"], epochs=5, buckets=1000
    )
    model, trained = train(curated[0] / "extracted", tmp_path / "quality", params, tmp_path / "one")
    again, _ = train(curated[0] / "extracted", tmp_path / "quality", params, tmp_path / "two")
    assert model.read_bytes() == again.read_bytes()
    assert trained["negatives"] == 40 and trained["accuracy"] == 1.0 and trained["held_out"] >= 5
    assert score(shop.format(99) * 3, model) < 0.5
    (tmp_path / "work").mkdir()
    metrics = filter(
        curated[0] / "extracted",
        tmp_path / "quality",
        tmp_path,
        tmp_path / "out",
        tmp_path / "removed",
        FILTER.model_copy(update={"classifier": params}),
        ALONE,
        Tracker(),
        tmp_path / "work",
    )
    assert metrics["classifier"] == trained
    kept = list(documents_in(tmp_path / "out"))
    assert kept and all(document["metadata"]["measured"]["quality"] >= 0.5 for document in kept)


def test_samples_that_are_missing_or_too_few_are_named(curated: tuple[Path, dict], tmp_path: Path) -> None:
    for choice, message in (
        ("samples:good", "quality/good is not among your inputs"),
        ("domain:nowhere.example", "0 positive samples for the classifier, at least 10"),
    ):
        with pytest.raises(UserError, match=message):
            train(curated[0] / "extracted", tmp_path, tuned(ClassifierParams, positive=[choice]), tmp_path)


@pytest.mark.parametrize(
    ("section", "sentence"),
    [
        (
            {"gopher": {"min_words": -1}},
            "filter.gopher.min_words: input should be greater than or equal to 0 (found -1)",
        ),
        ({"gopher": {"max_words": 10}}, "filter.gopher: min_words must not be above max_words, but 50 is above 10"),
        (
            {"fineweb": {"short_lines": 1.5}},
            "filter.fineweb.short_lines: input should be less than or equal to 1 (found 1.5)",
        ),
        (
            {"repetition": {"top_grams": [[0, 0.2]]}},
            "filter.repetition.top_grams.0.0: input should be greater than 0 (found 0)",
        ),
        ({"c4": {"min_sentences": -2}}, "filter.c4.min_sentences: input should be greater than or equal to 0"),
        ({"language": {"min_score": 2}}, "filter.language.min_score: input should be less than or equal to 1"),
        ({"classifier": {"positive": ["good"]}}, "filter.classifier.positive.0: string should match pattern"),
        ({"classifier": {"negative": ["samples:bad"]}}, "filter.classifier: negative samples need positive ones"),
        ({"tasks": 0}, "filter.tasks: input should be greater than 0 (found 0)"),
    ],
)
def test_a_parameter_out_of_range_is_told_with_key_and_bound(section: dict, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        validate("filter", FilterParams, changed("filter", section))
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("stage", "model", "section"),
    [
        ("extract", ExtractParams, {"timeout": 0}),
        ("extract", ExtractParams, {"max_megabytes": -1}),
        ("extract", ExtractParams, {"part_characters": -1}),
        ("extract", ExtractParams, {"addresses": {"soft_words": 0}}),
        ("deduplicate", DeduplicateParams, {"minhash": {"buckets": 0}}),
        ("deduplicate", DeduplicateParams, {"contamination": {"n_grams": 0}}),
        ("deduplicate", DeduplicateParams, {"contamination": {"remove": "word"}}),
        ("deduplicate", DeduplicateParams, {"max_invalid": 1.1}),
    ],
)
def test_parameters_of_the_other_stages_have_bounds(stage: str, model: type, section: dict) -> None:
    with pytest.raises(UserError, match=rf"params.yaml: {stage}\.{next(iter(section))}.*should be"):
        validate(stage, model, changed(stage, section))


def changed(stage: str, changes: dict) -> dict:
    """The stage's section of the project's params.yaml with other values."""
    section = read_yaml(ROOT / "params.yaml")[stage]
    merge(section, changes)
    return section
