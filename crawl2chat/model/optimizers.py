"""Muon for the blocks' matrices, AdamW for everything else (embeddings, head, norms).

Muon replaces each matrix's momentum by the nearest orthogonal matrix, so that every direction learns at the same rate.
Matrices of one shape are one batch; several devices share the work, each matrix is done by one of them.
Source: Jordan et al. 2024, "Muon"; the five polynomials are Polar Express (Amsel et al. 2025, arXiv 2505.16932).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache

import torch
import torch.distributed as dist
from torch import Tensor, nn

# Elements of the matrices orthogonalised together: a GiB in float32.
ELEMENTS_AT_ONCE = 2**28
# Each pulls the singular values of a matrix of norm ≤ 1 closer to 1; computed for five steps and a bfloat16 safety
# factor.
POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)


def orthogonalize(matrices: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """The orthogonal polar factors U Vᵀ of matrices (…, rows, columns), approximately: singular values within about
    .1 of 1. The longer side stays outside the small products."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    X = matrices.mT if tall else matrices
    X = (X / (X.norm(dim=(-2, -1), keepdim=True) * 1.02 + 1e-7)).to(dtype)
    for a, b, c in POLAR_EXPRESS:
        A = X @ X.mT
        X = a * X + (b * A + c * A @ A) @ X
    return X.mT if tall else X


class Muon(torch.optim.Optimizer):
    """Momentum, Nesterov's look-ahead, orthogonalisation. A matrix with more rows than columns takes longer steps,
    √(rows / columns), so that its outputs change as much as a square one's."""

    def __init__(
        self,
        matrices: Iterable[Tensor],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(matrices, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        # Of the orthogonalisation; momentum keeps the parameters' own.
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for matrices in by_shape(group["params"]):
                self.update(matrices, group["lr"], group["momentum"], group["weight_decay"])
        return loss

    def update(self, matrices: list[Tensor], lr: float, momentum: float, weight_decay: float) -> None:
        """One step for matrices whose shapes agree, up to transposition. Those sharded over several devices (DTensor)
        are gathered for the orthogonalisation alone."""
        for matrix in matrices:
            if not self.state[matrix]:
                self.state[matrix]["momentum"] = torch.zeros_like(matrix)
        grads = [local(matrix.grad) for matrix in matrices]
        buffers = [local(self.state[matrix]["momentum"]) for matrix in matrices]
        torch._foreach_lerp_(buffers, grads, 1 - momentum)
        ahead = torch._foreach_lerp(grads, buffers, momentum)
        for matrix, step in zip(matrices, self.directions(matrices, ahead), strict=True):
            rows, columns = matrix.shape
            step = step.mT if rows > columns else step
            here = local(matrix)
            here.mul_(1 - lr * weight_decay)
            here.add_(part_of(step, matrix), alpha=-lr * max(1, rows / columns) ** 0.5)

    def directions(self, matrices: list[Tensor], ahead: list[Tensor]) -> Iterator[Tensor]:
        """The orthogonal factor of each matrix, the longer side last, float32, in order."""
        world = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        rank = dist.get_rank() if world > 1 else 0
        together = max(1, ELEMENTS_AT_ONCE // matrices[0].numel() // world) * world
        orthogonal = compiled_orthogonalize() if matrices[0].is_cuda else orthogonalize
        for first in range(0, len(matrices), together):
            mine = []
            chunk = list(zip(matrices, ahead, strict=True))[first : first + together]
            for place, (matrix, gradient) in enumerate(chunk):
                # Every device takes part, whichever needs the result.
                whole = whole_of(gradient, matrix)
                if place % world == rank:
                    mine.append(whole.mT if whole.shape[0] > whole.shape[1] else whole)
            if world == 1:
                yield from orthogonal(torch.stack(mine), self.dtype).float()
                continue
            share = -(-len(chunk) // world)
            wide = matrices[0].shape if matrices[0].shape[0] <= matrices[0].shape[1] else matrices[0].shape[::-1]
            done = torch.zeros((share, *wide), dtype=self.dtype, device=local(matrices[0]).device)
            if mine:
                done[: len(mine)] = orthogonal(torch.stack(mine), self.dtype)
            gathered = [torch.empty_like(done) for _ in range(world)]
            dist.all_gather(gathered, done)
            for place in range(len(chunk)):
                yield gathered[place % world][place // world].float()


def local(tensor: Tensor) -> Tensor:
    """This device's part of a tensor that is sharded over devices; any other tensor as it is."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def whole_of(part: Tensor, like: Tensor) -> Tensor:
    """The tensor of which every device holds a `part`, sharded as `like` is."""
    if not hasattr(like, "to_local"):
        return part
    # Slow to import, and needed by few.
    from torch.distributed.tensor import DTensor

    sharded = DTensor.from_local(
        part, like.device_mesh, like.placements, shape=like.shape, stride=like.stride(), run_check=False
    )
    return sharded.full_tensor()


def part_of(whole: Tensor, like: Tensor) -> Tensor:
    """This device's part of a tensor that every device has, sharded as `like` is."""
    if not hasattr(like, "to_local"):
        return whole
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None).to_local()


@cache
def compiled_orthogonalize() -> Callable[..., Tensor]:
    """On a GPU the five polynomials are many small steps between products: compiled, they are fused with them."""
    return torch.compile(orthogonalize, dynamic=False)


def by_shape(matrices: Iterable[Tensor]) -> list[list[Tensor]]:
    """Matrices with a gradient, grouped by their two sides, order kept."""
    groups: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
    for matrix in matrices:
        if matrix.grad is not None:
            groups[tuple(sorted(matrix.shape))].append(matrix)
    return list(groups.values())


def build_optimizers(
    model: nn.Module,
    muon_lr: float,
    adamw_lr: float,
    *,
    betas: tuple[float, float] = (0.9, 0.95),
    weight_decay: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside blocks, AdamW for the rest. `muon_lr` 0 gives AdamW alone, for all of them.
    `dtype` is the precision of Muon's orthogonalisation: bfloat16 does where the training forward runs in it."""
    inner, rest = [], []
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            (inner if muon_lr and weight.ndim == 2 and ".layers." in name else rest).append(weight)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, lr=adamw_lr, betas=betas, eps=1e-10, weight_decay=weight_decay, fused=True)
    ]
    if inner:
        optimizers.append(Muon(inner, lr=muon_lr, weight_decay=weight_decay, dtype=dtype))
    return optimizers
