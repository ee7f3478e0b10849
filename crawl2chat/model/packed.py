"""Attention over rows of packed documents as compiled code (attend.cpp), an operator with a gradient that torch.compile leaves
as it is. It computes what a query may see and nothing else, which on a CPU saves most of attention's time in training."""

import ctypes
from typing import Any

import torch
from torch import Tensor

from crawl2chat.model.compiled import ELEMENTS, library


class Heads(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), *((name, ctypes.c_int64) for name in ("row", "head", "place"))]


class Shape(ctypes.Structure):
    SIZES = ("rows", "heads", "kv_heads", "places", "size")
    _fields_ = [*((name, ctypes.c_int64) for name in SIZES), ("first", ctypes.c_void_p)]


def fits(head_dim: int, dtype: torch.dtype) -> bool:
    """Whether the code can be compiled here and has vectors for heads of this size."""
    compiled = library("attend", dtype) if dtype in ELEMENTS else None
    return compiled is not None and head_dim % compiled.panel() == 0


def first_places(document_ids: Tensor) -> Tensor:
    """Where each token's document begins, (B, T), from the documents of packed rows (B, T), one after the other."""
    places = torch.arange(document_ids.shape[1], device=document_ids.device)
    begins = torch.zeros_like(document_ids, dtype=torch.long)
    begins[:, 1:] = torch.where(document_ids[:, 1:] != document_ids[:, :-1], places[1:], 0)
    return begins.cummax(1).values


@torch.library.custom_op("crawl2chat::attend", mutates_args=(), device_types="cpu")
def attend(q: Tensor, k: Tensor, v: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(q kᵀ / √head_dim) v from `first` (B, T) to each query's place, and the logarithm of each softmax's denominator
    (B, heads, T). q: (B, heads, T, head_dim); k, v: (B, kv heads, T, head_dim)."""
    out, sums = _like_heads(q), q.new_empty(q.shape[:3], dtype=torch.float32)
    _call("attend", q, k, first, map(_heads, (q, k, v)), (out, sums))
    return out, sums


@torch.library.custom_op("crawl2chat::attend_backward", mutates_args=(), device_types="cpu")
def attend_backward(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, first: Tensor, out: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of q, k and v from that of `attend`'s output."""
    grads = _like_heads(q), _like_heads(k), _like_heads(v)
    _call("attend_backward", q, k, first, map(_heads, (q, k, v, out, grad)), (sums, *grads))
    return grads


def _like_heads(heads: Tensor) -> Tensor:
    """Room for (B, heads, T, head_dim), in memory as (B, T, heads, head_dim), which the next matrix reads."""
    B, H, T, D = heads.shape
    return heads.new_empty(B, T, H, D).transpose(1, 2)


def _heads(heads: Tensor) -> tuple[Tensor, Any]:
    heads = heads if heads.stride(3) == 1 else heads.contiguous()
    return heads, Heads(heads.data_ptr(), *heads.stride()[:3])


def _call(name: str, q: Tensor, k: Tensor, first: Tensor, inputs: Any, outputs: tuple[Tensor, ...]) -> None:
    first, inputs = first.contiguous(), list(inputs)  # kept until the call is over
    B, H, T, D = q.shape
    shape = Shape(B, H, k.shape[1], T, D, first.data_ptr())
    pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in outputs]
    structures = [ctypes.byref(heads) for _, heads in inputs]
    function = getattr(library("attend", q.dtype), name)
    function(ctypes.byref(shape), *structures, *pointers, torch.get_num_threads())


@attend.register_fake
def _(q: Tensor, k: Tensor, v: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    return _like_heads(q), q.new_empty(q.shape[:3], dtype=torch.float32)


@attend_backward.register_fake
def _(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, first: Tensor, out: Tensor, sums: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return _like_heads(q), _like_heads(k), _like_heads(v)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, *output)


def _backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    return *attend_backward(grad, *ctx.saved_tensors), None


attend.register_autograd(_backward, setup_context=_keep)
