"""Stage filter: every kind of bad page goes, with block, reason and value; a limit that drops everything is named."""

from pathlib import Path

import pytest
from curation_toys import FILTER, curate, tiny_crawl

from crawl2chat.curation.execution import documents_in
from crawl2chat.curation.quality import GopherParams
from crawl2chat.errors import UserError
from crawl2chat.tracking import Tracker
from stages.filter import filter


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
    params = FILTER.model_copy(update={"gopher": GopherParams(min_words=10_000)})
    with pytest.raises(UserError, match="by block 'gopher', reason 'short'"):
        filter(
            curated[0] / "extracted",
            tmp_path,
            tmp_path / "out",
            tmp_path / "removed",
            params,
            Tracker(),
            tmp_path,
        )


def test_missing_documents_are_named(tmp_path: Path) -> None:
    (tmp_path / "extracted").mkdir()
    with pytest.raises(UserError, match="holds no documents; run the stage extract first"):
        filter(
            tmp_path / "extracted",
            tmp_path,
            tmp_path / "out",
            tmp_path / "removed",
            FILTER,
            Tracker(),
            tmp_path,
        )
