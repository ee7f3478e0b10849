"""How well a model predicts held-out rows: mean loss per token, and bits per byte, which compares across tokenizers."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from crawl2chat.training.batches import Rows
from crawl2chat.training.ranks import rank_and_world, total


@torch.no_grad()
def validate(
    model: nn.Module, rows: Rows, token_bytes: np.ndarray, most_rows: int | None = None, batch_rows: int = 32
) -> dict[str, float]:
    """`val_loss` in nats per supervised token and `val_bpb` in bits per byte of text, over the first `most_rows` rows.

    token_bytes (V,): how many bytes each id stands for; a special token stands for none, but its loss counts. Several
    devices share the rows; empty ones make the shares equal, as a model cut over devices needs all at every forward pass.
    """
    device = next(model.parameters()).device
    rank, world = rank_and_world()
    nats, tokens, size = 0.0, 0, 0
    chosen: Sequence[list[int]] = rows.rows[:most_rows]
    if world > 1:
        share = -(-len(chosen) // world)
        chosen = chosen[rank::world]
        chosen = [*chosen, *[[]] * (share - len(chosen))]
    for first in range(0, len(chosen), batch_rows):
        filled = [rows.fill(pieces) for pieces in chosen[first : first + batch_rows]]
        ids, targets, supervised, documents = (np.stack(part) for part in zip(*filled, strict=True))
        hidden = model(torch.from_numpy(ids).to(device), torch.from_numpy(documents).to(device))
        losses = model.token_losses(hidden, torch.from_numpy(targets).to(device)).double().cpu().numpy()
        nats += float((losses * supervised).sum())
        tokens += int(supervised.sum())
        size += int((token_bytes[targets] * supervised).sum())
    nats, tokens, size = total(torch.tensor([nats, tokens, size], dtype=torch.float64)).tolist()
    return {"val_loss": nats / max(1, tokens), "val_bpb": nats / math.log(2) / max(1, size)}
