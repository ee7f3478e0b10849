"""The contract between two snapshots: silence where there is nothing, and the right name where there is something."""

from pathlib import Path

import numpy as np
import pytest

from crawl2chat.curation import drift
from crawl2chat.curation.drift import Table, compare, told
from crawl2chat.errors import UserError


def table(rng: np.random.Generator, n: int = 800) -> Table:
    numbers = {name: rng.gamma(2.0, 1.0, n) for name in drift.NUMBERS}
    kinds = {
        "language": rng.choice(["en", "de"], n, p=[0.9, 0.1]),
        "domain": rng.choice([f"d{k}" for k in range(40)], n),
    }
    return numbers | kinds | {"quality": np.full(n, np.nan)}


def test_two_samples_of_one_corpus_rarely_give_an_alarm() -> None:
    rng = np.random.default_rng(1)
    assert sum(bool(told(compare(table(rng), table(rng)))) for _ in range(40)) <= 2


@pytest.mark.parametrize(("column", "value"), [("domain", "d7"), ("domain", "new"), ("language", "fr")])
def test_a_tenth_of_the_documents_is_found_by_name(column: str, value: str) -> None:
    rng = np.random.default_rng(2)
    before, after = table(rng), table(rng)
    after[column] = np.where(rng.random(800) < 0.1, value, after[column])
    (found,) = told(compare(before, after))
    assert found.startswith(f"{column} {value} ")


def test_shorter_texts_are_found_and_what_is_negligible_is_not() -> None:
    rng = np.random.default_rng(3)
    before, after = table(rng), table(rng)
    after["words"] = after["words"] * 0.6
    assert [row["measure"] for row in compare(before, after) if row["drifted"]] == ["words"]
    before, after = table(rng, 100_000), table(rng, 100_000)
    after["words"] = after["words"] * 1.03
    row = next(row for row in compare(before, after) if row["measure"] == "words")
    assert row["p"] < drift.LEVEL and not row["drifted"]


def test_what_one_side_did_not_measure_is_left_out() -> None:
    rng = np.random.default_rng(4)
    measures = [row["measure"] for row in compare(table(rng), table(rng))]
    assert "quality" not in measures and "words" in measures
    alike = table(rng) | {"language": np.full(800, "en")}
    assert "language" not in [row["measure"] for row in compare(alike, alike)]


def test_a_folder_without_a_corpus_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no documents-\*.parquet"):
        drift.table_of(tmp_path)
