"""Which split a key belongs to, now and before."""

from collections import Counter

import pytest

from crawl2chat.splits import split_of


def test_a_key_always_has_the_same_split_and_splits_have_their_shares():
    shares = {"train": 0.7, "dev": 0.1, "test": 0.2}
    for buckets in (0, 10):
        splits = Counter(split_of(f"{n}+{n + 1}", shares, buckets) for n in range(20_000))
        assert {split: count / 20_000 for split, count in splits.items()} == pytest.approx(shares, abs=0.02)
    assert [split_of("12*7", shares, buckets=10), split_of("12*7", shares)] == ["dev", "train"]
    assert split_of("anything", {"test": 0.0, "train": 1.0}) == "train"


KEYS = [f"{n}*{n}" for n in range(12)]


@pytest.mark.parametrize(
    ("shares", "buckets", "splits"),
    [
        (
            {"train": 0.7, "dev": 0.1, "test": 0.2},
            10,
            "train dev train train train train test train train test train train",
        ),
        (
            {"train": 0.5, "dev": 0.25, "test": 0.25},
            4,
            "dev test train train test dev train train train train dev train",
        ),
        ({"train": 0.4, "dev": 0.2, "test": 0.4}, 5, "train dev train train train test test dev train test dev train"),
        (
            {"test": 0.1, "dev": 0.1, "train": 0.8},
            0,
            "dev train train train test train train test train train train train",
        ),
    ],
    ids=["problems", "crafts", "corpus", "published"],
)
def test_the_splits_that_models_were_trained_on_stay(shares, buckets, splits):
    """Values of the rules that this function replaced."""
    assert [split_of(key if buckets else f"3\n{key}", shares, buckets) for key in KEYS] == splits.split()
