"""What several processes of one run share out and put together. In one process every function does the plain thing."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Item = TypeVar("Item")
Result = TypeVar("Result")


def rank_and_world() -> tuple[int, int]:
    """The number of this process, and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def share_out(items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Result]]) -> list[Result]:
    """`work` on all items, one result for each, in order: rank r of w works on every w-th item from the r-th on, and every
    process gets all results. All processes must call this with the same items."""
    rank, world = rank_and_world()
    if world == 1:
        return list(work(items))
    parts: list[Sequence[Result]] = [[] for _ in range(world)]
    dist.all_gather_object(parts, list(work(items[rank::world])))
    return [parts[i % world][i // world] for i in range(len(items))]


def total(part: Tensor) -> Tensor:
    """The sum of all processes' tensors of this shape."""
    if rank_and_world()[1] == 1:
        return part
    summed = part.to("cuda") if dist.get_backend() == "nccl" else part.clone()
    dist.all_reduce(summed)
    return summed.to(part.device)


def total_numbers(numbers: dict[str, float]) -> dict[str, float]:
    """The sums of all processes' numbers, key by key."""
    return dict(zip(numbers, total(torch.tensor(list(numbers.values()), dtype=torch.float64)).tolist(), strict=True))


def total_gradients(weights: Iterable[Tensor]) -> None:
    """Makes every gradient the sum of all processes' gradients, in one exchange after the last backward pass: processes
    may have had different numbers of passes, which DistributedDataParallel does not allow. A weight that no process has
    a gradient for keeps none."""
    if rank_and_world()[1] == 1:
        return
    weights = [weight for weight in weights if weight.requires_grad]
    has_gradient = torch.tensor([float(weight.grad is not None) for weight in weights], device=weights[0].device)
    gradients = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    summed = total(torch.cat([has_gradient, *(gradient.flatten() for gradient in gradients)]))
    counts, *parts = summed.split([len(weights), *(weight.numel() for weight in weights)])
    for weight, count, part in zip(weights, counts.tolist(), parts, strict=True):
        weight.grad = part.view_as(weight) if count else None
