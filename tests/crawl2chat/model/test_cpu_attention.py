"""The compiled attention gives what SDPA gives with a mask, and its gradients, at least as exactly."""

import pytest
import torch
import torch.nn.functional as F
from model_toys import noisy
from torch import Tensor

from crawl2chat.model.config import ModelConfig
from crawl2chat.model.cpu import attention
from crawl2chat.model.network import document_mask

SHAPES = [(2, 3, 3, 70, 32), (2, 4, 2, 33, 64), (1, 6, 2, 129, 96), (3, 2, 2, 1, 32)]  # B, heads, kv heads, T, head_dim


def inputs(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[list[Tensor], Tensor, Tensor]:
    """q, k and v cut from one tensor as in the network, documents of all lengths, and a gradient."""
    B, heads, kv_heads, T, D = shape
    generator = torch.Generator().manual_seed(0)
    stacked = torch.randn(B, T, heads + 2 * kv_heads, D, generator=generator).to(dtype).transpose(1, 2)
    q, k, v = stacked.split((heads, kv_heads, kv_heads), dim=1)
    documents = torch.randint(0, 5, (B, T), generator=generator).sort(1).values
    return [4 * q, k, v], documents, torch.randn(B, heads, T, D, generator=generator).to(dtype)


def results(function, tensors: list[Tensor], grad: Tensor, dtype: torch.dtype) -> list[Tensor]:
    leaves = [tensor.detach().to(dtype).requires_grad_() for tensor in tensors]
    out = function(*leaves)
    return [out.detach().double(), *(g.double() for g in torch.autograd.grad(out, leaves, grad.to(dtype)))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    assert attention.fits(shape[4], dtype)
    tensors, documents, grad = inputs(shape, dtype)
    mask, first = document_mask(documents, blocks=False), attention.first_places(documents)

    def general(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        k, v = (t.repeat_interleave(shape[1] // shape[2], dim=1) for t in (k, v))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

    exact = results(general, tensors, grad, torch.float64)
    theirs = results(general, tensors, grad, dtype)
    ours = results(lambda q, k, v: attention.attend(q, k, v, first)[0], tensors, grad, dtype)
    for mine, other, true in zip(ours, theirs, exact, strict=True):
        assert (mine - true).norm() <= 1.3 * (other - true).norm() + 1e-5 * (1 + true.norm())


def test_the_operator_is_one_that_pytorch_can_compile() -> None:
    tensors, documents, _ = inputs((2, 4, 2, 40, 32), torch.float32)
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    checks = "test_schema", "test_faketensor", "test_aot_dispatch_static"
    torch.library.opcheck(attention.attend, (*leaves, attention.first_places(documents)), test_utils=checks)


def test_the_same_bits_with_any_number_of_threads() -> None:
    tensors, documents, grad = inputs((4, 2, 1, 65, 64), torch.bfloat16)
    first, threads = attention.first_places(documents), torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            found.append(results(lambda q, k, v: attention.attend(q, k, v, first)[0], tensors, grad, torch.bfloat16))
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
    assert attention.first_places(documents).tolist() == [[0, 0, 2, 2, 2, 5], [0] * 6]


def call(q: Tensor, k: Tensor | None = None, v: Tensor | None = None, first: Tensor | None = None) -> Tensor:
    k = q if k is None else k
    first = torch.zeros(q.shape[0], q.shape[2], dtype=torch.long) if first is None else first
    return attention.attend(q, k, k if v is None else v, first)[0]


def test_a_head_without_vectors_is_refused() -> None:
    with pytest.raises(ValueError, match="a head of 24 is no multiple of .*: use the kernel sdpa"):
        call(torch.randn(4, 8, 400, 24))
    assert not attention.fits(24, torch.float32) and not attention.fits(32, torch.float64)


HALF, WHOLE = torch.randn(1, 2, 40, 32).bfloat16(), torch.randn(1, 2, 40, 32)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ((HALF, WHOLE, WHOLE), "all float32 or all bfloat16.* it got torch.bfloat16 .*, torch.float32"),
        ((WHOLE, WHOLE, HALF), "all float32 or all bfloat16.* torch.bfloat16"),
        ((WHOLE.double(),), "all float32 or all bfloat16.* it got torch.float64"),
        ((WHOLE[0],), r"q \(B, heads, T, head_dim\).* it got torch.float32 \(2, 40, 32\)"),
        ((WHOLE, WHOLE[:, :, :39]), r"k and v \(B, kv heads, T, head_dim\).* torch.float32 \(1, 2, 39, 32\)"),
        ((WHOLE, WHOLE, WHOLE[:, :1]), r"k and v .*\(1, 2, 40, 32\), torch.float32 \(1, 1, 40, 32\)"),
        ((WHOLE, WHOLE[..., :16]), r"k and v .*\(1, 2, 40, 16\)"),
        ((WHOLE, WHOLE[:, :0]), r"k and v .*\(1, 0, 40, 32\)"),
        ((WHOLE, torch.randn(1, 3, 40, 32)), r"heads a multiple of kv heads.*\(1, 3, 40, 32\)"),
        (
            (WHOLE, WHOLE, WHOLE, torch.zeros(1, 39, dtype=torch.long)),
            r"first places \(B, T\) in int64.* torch.int64 \(1, 39\)",
        ),
        ((WHOLE, WHOLE, WHOLE, torch.zeros(1, 40)), r"first places .* torch.float32 \(1, 40\)"),
        ((WHOLE, WHOLE, WHOLE, torch.full((1, 40), -1)), "a first place lies before"),
        ((WHOLE, WHOLE, WHOLE, torch.arange(40)[None] + 1), "or after its token"),
        ((WHOLE, WHOLE, WHOLE, torch.tensor([[*range(20), *[3] * 20]])), "before that of the token before it"),
    ],
)
def test_tensors_that_do_not_belong_together_are_refused(tensors: tuple[Tensor, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(*tensors)


def test_a_gradient_of_another_type_is_refused() -> None:
    first = torch.zeros(1, 40, dtype=torch.long)
    out, log_sums = attention.attend(WHOLE, WHOLE, WHOLE, first)
    with pytest.raises(ValueError, match="all float32 or all bfloat16"):
        attention.attend_backward(out.bfloat16(), WHOLE, WHOLE, WHOLE, first, out, log_sums)
    with pytest.raises(ValueError, match=r"gradient like q.* \(1, 2, 39, 32\)"):
        attention.attend_backward(out[:, :, :39], WHOLE, WHOLE, WHOLE, first, out, log_sums)
    with pytest.raises(ValueError, match="log_sums must be float32"):
        attention.attend_backward(out, WHOLE, WHOLE, WHOLE, first, out, log_sums[:, :1])


@pytest.mark.parametrize(
    "layout",
    [
        lambda t: t.transpose(2, 3).contiguous().transpose(2, 3),  # numbers of a head apart
        lambda t: t.transpose(0, 2).contiguous().transpose(0, 2),
        lambda t: torch.stack([t, t], -1)[..., 0],
        lambda t: t[:1, :1, :1].expand(t.shape),  # the same numbers everywhere
    ],
)
def test_any_layout_in_memory_gives_the_same_bits(layout) -> None:
    (q, k, v), documents, grad = inputs((2, 3, 3, 70, 32), torch.float32)
    first = attention.first_places(documents)
    strided = [layout(tensor) for tensor in (q, k, v)]
    grad = layout(grad)
    found = []
    for tensors in (strided, [tensor.contiguous() for tensor in strided]):
        out, log_sums = attention.attend(*tensors, first)
        found.append([out, *attention.attend_backward(grad, *tensors, first, out, log_sums)])
        grad = grad.contiguous()
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize("shape", [(0, 2, 5, 32), (2, 2, 0, 32)])
def test_nothing_in_is_nothing_out(shape: tuple[int, ...]) -> None:
    q = torch.randn(shape, requires_grad=True)
    out = call(q)
    assert out.shape == shape
    out.sum().backward()
    assert q.grad.shape == shape
