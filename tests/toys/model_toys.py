"""Small models for the tests of this folder."""

import torch

from crawl2chat.model.config import ModelConfig
from crawl2chat.model.network import Transformer


def noisy(config: ModelConfig, noise: float = 0.1, seed: int = 0, vocab_multiple: int = 1) -> Transformer:
    """A model whose every weight matters: fresh ones have zero output projections."""
    model = Transformer(config, vocab_multiple)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator) * noise)
    return model.eval()
