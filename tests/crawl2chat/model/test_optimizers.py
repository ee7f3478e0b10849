"""Muon's steps are orthogonal and of the stated size; what is left goes to AdamW."""

import pytest
import torch
from torch import nn

from crawl2chat.model.config import ModelConfig
from crawl2chat.model.network import Transformer
from crawl2chat.model.optimizers import Muon, build_optimizers, by_shape, orthogonalize


@pytest.mark.parametrize("shape", [(32, 32), (16, 48), (48, 16), (5, 16, 48)])
def test_orthogonalize_gives_singular_values_near_one(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(matrices))
    assert values.min() > 0.85 and values.max() < 1.15


def test_orthogonalize_keeps_the_singular_directions() -> None:
    matrix = torch.randn(24, 40, generator=torch.Generator().manual_seed(1))
    U, _, V = torch.linalg.svd(matrix, full_matrices=False)
    polar = orthogonalize(matrix)
    assert torch.nn.functional.cosine_similarity(polar.flatten(), (U @ V).flatten(), dim=0) > 0.99


def test_muon_steps_in_a_batch_equal_steps_alone() -> None:
    generator = torch.Generator().manual_seed(2)
    shapes = [(8, 8), (8, 20), (20, 8), (8, 8)]
    start = [torch.randn(shape, generator=generator) for shape in shapes]
    gradients = [torch.randn(shape, generator=generator) for shape in shapes]
    together = [nn.Parameter(weight.clone()) for weight in start]
    alone = [nn.Parameter(weight.clone()) for weight in start]
    for weight, gradient in zip(together + alone, gradients * 2, strict=True):
        weight.grad = gradient.clone()
    Muon(together, lr=0.1).step()
    for weight in alone:
        Muon([weight], lr=0.1).step()
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-3)
    assert [len(group) for group in by_shape(together)] == [2, 2]


def test_a_tall_matrix_takes_the_longer_step() -> None:
    tall, wide = nn.Parameter(torch.zeros(64, 16)), nn.Parameter(torch.zeros(16, 64))
    gradient = torch.randn(64, 16, generator=torch.Generator().manual_seed(3))
    tall.grad, wide.grad = gradient.clone(), gradient.mT.clone()
    Muon([tall, wide], lr=0.1).step()
    assert (tall.norm() / wide.norm()).item() == pytest.approx(2.0, rel=0.02)  # √(64 / 16)
    assert wide.norm().item() == pytest.approx(0.1 * 16**0.5, rel=0.1)  # 16 singular values of lr


def test_matrices_of_blocks_go_to_muon_and_the_rest_to_adamw() -> None:
    model = Transformer(ModelConfig(32, 16, 2, 2, 2, 8, 24, 16))
    adamw, muon = build_optimizers(model, 0.05, 8e-3)
    names = {id(weight): name for name, weight in model.named_parameters()}
    inner = {names[id(weight)] for weight in muon.param_groups[0]["params"]}
    rest = {names[id(weight)] for weight in adamw.param_groups[0]["params"]}
    assert len(inner) == 2 * 7 and all("proj" in name for name in inner)
    assert "model.embed_tokens.weight" in rest and "model.layers.0.self_attn.q_norm.weight" in rest
    assert inner | rest == set(names.values())


def test_a_muon_rate_of_zero_is_adamw_alone() -> None:
    model = Transformer(ModelConfig(32, 16, 1, 2, 2, 8, 24, 16))
    (adamw,) = build_optimizers(model, 0.0, 1e-3)
    assert len(adamw.param_groups[0]["params"]) == len(list(model.parameters()))


def test_muon_finds_a_linear_map() -> None:
    generator = torch.Generator().manual_seed(4)
    wanted, inputs = torch.randn(12, 12, generator=generator), torch.randn(256, 12, generator=generator)
    weight = nn.Parameter(torch.zeros(12, 12))
    optimizer = Muon([weight], lr=0.1)
    for step in range(150):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 150)
        loss = ((inputs @ (weight - wanted).mT) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02 * (wanted**2).sum().item() / 12
