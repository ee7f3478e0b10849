"""The compiled attention gives what SDPA gives with a mask, and its gradients, at least as exactly."""

import pytest
import torch
import torch.nn.functional as F
from model_toys import noisy
from torch import Tensor

from crawl2chat.model import packed
from crawl2chat.model.network import ModelConfig, document_mask

SHAPES = [(2, 3, 3, 70, 32), (2, 4, 2, 33, 64), (1, 6, 2, 129, 96), (3, 2, 2, 1, 32)]  # B, heads, kv heads, T, head_dim


def inputs(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[list[Tensor], Tensor, Tensor]:
    """q, k and v cut from one tensor as in the network, documents of all lengths, and a gradient."""
    B, heads, kv_heads, T, D = shape
    generator = torch.Generator().manual_seed(0)
    stacked = torch.randn(B, T, heads + 2 * kv_heads, D, generator=generator).to(dtype).transpose(1, 2)
    q, k, v = stacked.split((heads, kv_heads, kv_heads), dim=1)
    documents = torch.randint(0, 5, (B, T), generator=generator).sort(1).values
    return [4 * q, k, v], documents, torch.randn(B, heads, T, D, generator=generator).to(dtype)


def results(attend, tensors: list[Tensor], grad: Tensor, dtype: torch.dtype) -> list[Tensor]:
    leaves = [tensor.detach().to(dtype).requires_grad_() for tensor in tensors]
    out = attend(*leaves)
    return [out.detach().double(), *(g.double() for g in torch.autograd.grad(out, leaves, grad.to(dtype)))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    assert packed.fits(shape[4], dtype)
    tensors, documents, grad = inputs(shape, dtype)
    mask, first = document_mask(documents, blocks=False), packed.first_places(documents)

    def general(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (t.repeat_interleave(shape[1] // shape[2], dim=1) for t in (k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    exact = results(general, tensors, grad, torch.float64)
    theirs = results(general, tensors, grad, dtype)
    ours = results(lambda q, k, v: packed.attend(q, k, v, first)[0], tensors, grad, dtype)
    for mine, other, true in zip(ours, theirs, exact, strict=True):
        assert (mine - true).norm() <= 1.3 * (other - true).norm() + 1e-5 * (1 + true.norm())


def test_the_operator_is_one_that_pytorch_can_compile() -> None:
    tensors, documents, _ = inputs((2, 4, 2, 40, 32), torch.float32)
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    checks = "test_schema", "test_faketensor", "test_aot_dispatch_static"
    torch.library.opcheck(packed.attend, (*leaves, packed.first_places(documents)), test_utils=checks)


def test_the_same_bits_with_any_number_of_threads() -> None:
    tensors, documents, grad = inputs((4, 2, 1, 65, 64), torch.bfloat16)
    first, threads = packed.first_places(documents), torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            found.append(results(lambda q, k, v: packed.attend(q, k, v, first)[0], tensors, grad, torch.bfloat16))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("documents", [True, False])
def test_a_network_with_it_learns_what_one_with_sdpa_learns(documents: bool) -> None:
    config = ModelConfig(50, 64, 2, 2, 1, 32, 96, 48)
    ids = torch.randint(0, 50, (3, 48), generator=torch.Generator().manual_seed(1))
    where = torch.arange(48).expand(3, -1) // 20 if documents else None
    found = []
    for kernel in ("sdpa", "compiled"):
        model = noisy(config)
        model.kernel = kernel
        loss = model.token_losses(model(ids, where), ids.roll(-1, 1)).mean()
        loss.backward()
        found.append([loss.detach(), *(weight.grad for weight in model.parameters())])
    for theirs, ours in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_first_places() -> None:
    documents = torch.tensor([[0, 0, 1, 1, 1, 2], [7, 7, 7, 7, 7, 7]])
    assert packed.first_places(documents).tolist() == [[0, 0, 2, 2, 2, 5], [0] * 6]
