"""What processes share out, and what one process does alone. Two processes are tested in
tests/stages/test_distributed.py."""

import torch
import torch.distributed as dist

from crawl2chat.training import ranks


def test_one_process_does_all_and_changes_nothing() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 2.0])
    ranks.total_gradients([weight])
    assert weight.grad.tolist() == [1.0, 2.0]
    assert ranks.share_out([3, 1, 2], sorted) == [1, 2, 3]
    assert ranks.total_numbers({"a": 0.1, "b": 2.0}) == {"a": 0.1, "b": 2.0}


def test_results_come_back_in_the_order_of_the_items(monkeypatch) -> None:
    items = list("abcde")
    monkeypatch.setattr(ranks, "rank_and_world", lambda: (1, 2))

    def gather(parts: list, mine: list) -> None:
        parts[0], parts[1] = [item.upper() for item in items[0::2]], mine

    monkeypatch.setattr(dist, "all_gather_object", gather)
    assert ranks.share_out(items, lambda part: [item.upper() for item in part]) == list("ABCDE")


def test_a_weight_without_gradient_in_every_process_keeps_none(monkeypatch) -> None:
    """AdamW moves a weight by its momentum where the gradient is zero, and leaves it alone where there is none."""
    used, unused, frozen = (torch.nn.Parameter(torch.ones(2, 2)) for _ in range(3))
    frozen.requires_grad_(False)
    used.grad = torch.full((2, 2), 0.5)
    monkeypatch.setattr(ranks, "rank_and_world", lambda: (0, 2))
    monkeypatch.setattr(ranks, "total", lambda part: part * 2)
    ranks.total_gradients([used, unused, frozen])
    assert torch.equal(used.grad, torch.ones(2, 2)) and unused.grad is None and frozen.grad is None
