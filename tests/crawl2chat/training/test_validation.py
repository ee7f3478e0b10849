"""Bits per byte against a model whose loss is known."""

import math

import numpy as np
import pytest
import torch

from crawl2chat.model.network import ModelConfig, Transformer
from crawl2chat.training.batches import Batches, Part, Rows, Stream, weighted_loss
from crawl2chat.training.validation import validate


def test_a_uniform_model_needs_log2_of_the_vocabulary_per_token() -> None:
    model = Transformer(ModelConfig(32, 16, 1, 2, 2, 8, 24, 16))
    with torch.no_grad():
        model.model.embed_tokens.weight.zero_()
    ids = np.arange(48) % 32
    size = np.full(32, 3)
    size[0] = 0  # a special token stands for no text
    numbers = validate(model, Rows(Stream(ids, np.array([0, 20]), 0), 16, 0), size)
    assert numbers["val_loss"] == pytest.approx(math.log(32), abs=1e-5)
    targets = np.append(ids[1:], 0)
    assert numbers["val_bpb"] == pytest.approx(48 * 5 / size[targets].sum(), abs=1e-5)


def test_the_training_loss_is_the_validation_loss_of_the_same_rows() -> None:
    model = Transformer(ModelConfig(32, 16, 1, 2, 2, 8, 24, 16))
    rows = Rows(Stream(np.arange(100) % 32, np.array([0, 30, 77]), 0), 16, 0)
    batch = Batches([Part(rows, len(rows))])(0)
    with torch.no_grad():
        loss = weighted_loss(model, batch).item()
    assert loss == pytest.approx(validate(model, rows, np.ones(32, int))["val_loss"], abs=1e-5)
