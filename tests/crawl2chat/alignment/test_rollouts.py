"""Rollouts: what is sampled must fit the training forward."""

from types import SimpleNamespace

import torch

from crawl2chat.alignment.rollouts import sample, score
from crawl2chat.model.network import ModelConfig, Transformer


def test_an_answer_ends_where_the_context_is_full():
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    model = Transformer(ModelConfig(20, **shape, head_dim=16, intermediate_size=16, max_position_embeddings=16))
    prompts = [list(range(1, 15)), list(range(1, 5))]  # two places left, and twelve
    rollouts = sample(model, prompts, 3, SimpleNamespace(end=19), max_new_tokens=40, seed=0)
    assert [len(r.prompt) + len(r.answer) <= 16 for r in rollouts] == [True] * 6
    assert all(len(r.answer) == len(r.logprobs) for r in rollouts)
    assert all(r.finished == (r.answer[-1] == 19) for r in rollouts)
    again = score(model, rollouts, pad=0)
    assert all(torch.allclose(now, torch.tensor(r.logprobs), atol=1e-4) for now, r in zip(again, rollouts, strict=True))
