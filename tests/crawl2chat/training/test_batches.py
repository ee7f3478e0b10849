"""Batches are a pure function of the step; every token is a target once per epoch; devices share what one would see."""

import numpy as np
import pytest
import torch

from crawl2chat.errors import UserError
from crawl2chat.training.batches import Batches, Part, Rows, Stream, pack

WIDTH = 16
BOS = 99


@pytest.fixture
def stream() -> Stream:
    """Documents of 1 to 40 tokens; every token but bos is unique, so that each can be followed."""
    lengths = np.random.default_rng(0).integers(1, 40, size=60)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    ids = np.arange(lengths.sum()) + 1000
    ids[starts] = BOS
    return Stream(ids, starts, BOS)


def test_packing_loses_nothing_and_fits() -> None:
    lengths = np.random.default_rng(1).integers(1, 17, size=500)
    rows = pack(lengths, 16, np.random.default_rng(0))
    assert sorted(item for row in rows for item in row) == list(range(500))
    assert all(lengths[row].sum() <= 16 for row in rows)
    assert lengths.sum() / (len(rows) * 16) > 0.95


def test_packing_takes_the_fullest_row_that_fits() -> None:
    class Order:
        def permutation(self, count: int) -> np.ndarray:
            return np.arange(count)

    # 6 and 8 open two rows of 10 (they do not fit together); 2 goes to the fuller, 4 to the other.
    assert pack([6, 8, 2, 4], 10, Order()) == [[0, 3], [1, 2]]


def test_every_token_is_an_input_once_per_epoch_and_predicts_the_next(stream) -> None:
    rows = Rows(stream, WIDTH, seed=3)
    seen = []
    for index in range(len(rows)):
        ids, targets, supervised, documents = rows.row(index)
        assert np.array_equal(supervised, documents > 0)
        seen += ids[supervised].tolist()
        for token, target in zip(ids[supervised], targets[supervised], strict=True):
            if token != BOS:
                place = token - 1000
                expected = stream.ids[place + 1] if place + 1 < len(stream.ids) else BOS
                assert target == expected
    assert sorted(seen) == sorted(stream.ids.tolist())


def test_a_row_starts_with_the_begin_of_a_document_or_the_rest_of_a_long_one(stream) -> None:
    rows = Rows(stream, WIDTH, seed=3)
    for index in range(len(rows)):
        ids, _, _, documents = rows.row(index)
        begins = np.flatnonzero(np.diff(documents, prepend=0) > 0)
        for token in ids[begins]:
            if token != BOS:  # the rest of a document that was cut at multiples of the width
                place = token - 1000
                owner = np.searchsorted(stream.starts, place, side="right") - 1
                assert (place - stream.starts[owner]) % WIDTH == 0


@pytest.mark.parametrize("packing", ["documents", "windows"])
def test_either_packing_shows_every_token_once_per_epoch(stream, packing: str) -> None:
    rows = Rows(stream, WIDTH, 3, packing)
    for epoch in range(2):
        seen = []
        for index in range(len(rows)):
            ids, _, supervised, _ = rows.row(epoch * len(rows) + index)
            seen += ids[supervised].tolist()
        assert sorted(seen) == sorted(stream.ids.tolist())


def test_windows_are_full_and_keep_documents_apart(stream) -> None:
    rows = Rows(stream, WIDTH, 3, "windows")
    assert len(rows) == -(-len(stream.ids) // WIDTH)
    for window in range(len(rows) - 1):
        ids, targets, supervised, documents = rows.fill(rows.rows[window])
        assert supervised.all() and np.array_equal(ids[1:], targets[:-1])
        assert np.array_equal(ids, stream.ids[window * WIDTH : (window + 1) * WIDTH])
        begins = np.diff(documents, prepend=documents[0]) > 0
        assert np.array_equal(begins[1:], (ids == BOS)[1:])


def test_epochs_differ_in_order_and_hold_the_same_rows(stream) -> None:
    rows = Rows(stream, WIDTH, seed=3)
    first = [tuple(rows.row(i)[0]) for i in range(len(rows))]
    second = [tuple(rows.row(i + len(rows))[0]) for i in range(len(rows))]
    assert first != second and sorted(first) == sorted(second)


def test_a_batch_depends_on_seed_and_step_alone(stream) -> None:
    one = Batches([Part(Rows(stream, WIDTH, 3), 4)])
    other = Batches([Part(Rows(stream, WIDTH, 3), 4)])
    for step in (20, 3, 20):  # in any order, as after a resume
        assert torch.equal(one(step)["ids"], other(step)["ids"])
    assert not torch.equal(one(3)["ids"], Batches([Part(Rows(stream, WIDTH, 4), 4)])(3)["ids"])


@pytest.mark.parametrize("world", [1, 2, 4])
def test_devices_together_see_what_one_device_would(stream, world: int) -> None:
    batches = Batches([Part(Rows(stream, WIDTH, 3), 8)])
    whole = batches(5)
    shares = [batches(5, rank, world) for rank in range(world)]
    together = torch.cat([share["ids"] for share in shares])
    assert sorted(together.tolist()) == sorted(whole["ids"].tolist())
    # The devices' gradients are averaged: their weights add up to the world's size.
    assert sum(share["weights"].sum() for share in shares).item() == pytest.approx(world)


def test_parts_share_the_loss_as_asked() -> None:
    text = Stream(np.arange(64), np.arange(0, 64, 16), BOS)
    talk = Stream(np.arange(64), np.arange(0, 64, 16), BOS, np.arange(64) % 16 == 5)
    batch = Batches([Part(Rows(talk, WIDTH, 0), 2, 1.0), Part(Rows(text, WIDTH, 0), 2, 0.5)])(0)
    assert batch["weights"][:2].sum().item() == pytest.approx(2 / 3)
    assert batch["weights"][2:].sum().item() == pytest.approx(1 / 3)
    assert (batch["weights"][:2] > 0).sum() == 2


def test_a_batch_without_supervision_weighs_nothing() -> None:
    silent = Stream(np.arange(32), np.array([0, 16]), BOS, np.zeros(32, bool))
    assert Batches([Part(Rows(silent, WIDTH, 0), 2)])(0)["weights"].abs().sum() == 0


def test_no_tokens_are_refused() -> None:
    with pytest.raises(UserError, match="no tokens to train on"):
        Stream(np.array([], int), np.array([], int), BOS)
