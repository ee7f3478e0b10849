"""Attention over rows of packed documents as compiled code (attend.cpp): an operator with a gradient that torch.compile
leaves as it is. It computes what a query may see and nothing else, which saves most of attention's time in training on
a CPU."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from crawl2chat.model.cpu.build import ELEMENTS, library


def fits(head_dim: int, dtype: torch.dtype) -> bool:
    """Whether the code can be compiled here and has vectors for heads of this size."""
    compiled = library("attend.cpp", dtype)
    return compiled is not None and head_dim % compiled.panel == 0


def first_places(document_ids: Tensor) -> Tensor:
    """Where each token's document begins, (B, T), from the documents of packed rows (B, T), one after the other."""
    places = torch.arange(document_ids.shape[1], device=document_ids.device)
    begins = torch.zeros_like(document_ids, dtype=torch.long)
    begins[:, 1:] = torch.where(document_ids[:, 1:] != document_ids[:, :-1], places[1:], 0)
    return begins.cummax(1).values


@torch.library.custom_op("crawl2chat::attend", mutates_args=(), device_types="cpu")
def attend(q: Tensor, k: Tensor, v: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(q kᵀ / √head_dim) v from `first` (B, T) to each query's place, and the logarithm of each softmax's
    denominator (B, heads, T). q: (B, heads, T, head_dim); k, v: (B, kv heads, T, head_dim). ValueError for any other
    shape or type."""
    check((q, k, v), first)
    out, log_sums = empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)
    call("attend", (q, k, v), first, (log_sums, out))
    return out, log_sums


@torch.library.custom_op("crawl2chat::attend_backward", mutates_args=(), device_types="cpu")
def attend_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, first: Tensor, out: Tensor, log_sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of q, k and v from that of `attend`'s output."""
    check((q, k, v, out, grad), first)
    if log_sums.shape != q.shape[:3] or log_sums.dtype != torch.float32 or not log_sums.is_contiguous():
        raise ValueError(f"log_sums must be float32, {tuple(q.shape[:3])} and contiguous, not {tuple(log_sums.shape)}")
    grads = empty_like(q), empty_like(k), empty_like(v)
    call("attend_backward", (q, k, v, out, grad), first, (log_sums, *grads))
    return grads


def empty_like(heads: Tensor) -> Tensor:
    """Memory for (B, heads, T, head_dim), laid out as (B, T, heads, head_dim), which the next matrix reads."""
    B, H, T, D = heads.shape
    return heads.new_empty(B, T, H, D).transpose(1, 2)


def call(function: str, inputs: Sequence[Tensor], first: Tensor, contiguous: Sequence[Tensor]) -> None:
    """Calls a function of attend.cpp. inputs: q, k, v and what else has heads, in any layout; contiguous: the
    others."""
    q, k = inputs[:2]
    compiled = library("attend.cpp", q.dtype)
    if compiled is None:
        raise ValueError("the attention kernel is turned off or cannot be compiled here: use the kernel sdpa")
    B, H, T, D = q.shape
    if D % compiled.panel:
        raise ValueError(f"a head of {D} is no multiple of {compiled.panel} numbers: use the kernel sdpa")
    inputs = [tensor if tensor.stride(3) == 1 else tensor.contiguous() for tensor in inputs]
    first = first.contiguous()
    numbers = [B, H, k.shape[1], T, D, *(step for tensor in inputs for step in tensor.stride()[:3])]
    compiled.call(function, numbers, [tensor.data_ptr() for tensor in (*inputs, first, *contiguous)])


def check(inputs: Sequence[Tensor], first: Tensor) -> None:
    """ValueError unless shapes and types are those that attend.cpp reads memory by. inputs: q, k, v, others like q."""
    q, k, v, *like_q = inputs
    if (
        q.ndim == k.ndim == 4
        and {tensor.shape for tensor in like_q} <= {q.shape}
        and k.shape == v.shape == (q.shape[0], k.shape[1], *q.shape[2:])
        and k.shape[1]
        and q.shape[1] % k.shape[1] == 0
        and first.shape == (q.shape[0], q.shape[2])
        and {tensor.dtype for tensor in inputs} == {q.dtype}
        and q.dtype in ELEMENTS
        and first.dtype == torch.long
    ):
        return
    found = ", ".join(f"{tensor.dtype} {tuple(tensor.shape)}" for tensor in (*inputs, first))
    raise ValueError(
        "attention needs q (B, heads, T, head_dim), k and v (B, kv heads, T, head_dim), output and gradient like q, "
        "all float32 or all bfloat16, heads a multiple of kv heads, first places (B, T) in int64; it got " + found
    )


@attend.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    return empty_like(q), q.new_empty(q.shape[:3], dtype=torch.float32)


@attend_backward.register_fake
def _(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, first: Tensor, out: Tensor, log_sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return empty_like(q), empty_like(k), empty_like(v)


def save_for_backward(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, *output)


def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    return *attend_backward(grad, *ctx.saved_tensors), None


attend.register_autograd(backward, setup_context=save_for_backward)
