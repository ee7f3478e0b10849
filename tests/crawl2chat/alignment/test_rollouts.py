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


def test_an_answer_does_not_depend_on_the_process_that_samples_it(monkeypatch):
    """Two processes deal the prompts among them; each answer is drawn by the random numbers of its place in the whole."""
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = Transformer(ModelConfig(20, **shape, head_dim=16, intermediate_size=32, max_position_embeddings=32))
    prompts = [[1, 2, 3], [4, 5], [6, 7, 8, 9], [1, 2, 3], [2]]
    arguments = {"tokenizer": SimpleNamespace(end=19), "max_new_tokens": 8, "seed": 2**40 + 5}
    together = sample(model, prompts, 2, **arguments)
    dealt = []

    def deal(items, work):
        dealt.extend(work(items[1::2]))
        return dealt

    monkeypatch.setattr("crawl2chat.alignment.rollouts.share_out", deal)
    of_second = sample(model, prompts, 2, **arguments)
    assert [r.answer for r in of_second] == [r.answer for i in (1, 3) for r in together[2 * i : 2 * i + 2]]
