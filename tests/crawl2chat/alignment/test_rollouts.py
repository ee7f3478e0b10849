"""Rollouts: what is sampled must fit the training forward."""

from types import SimpleNamespace

import torch

from crawl2chat.alignment.rollouts import batches, sample, score
from crawl2chat.model.network import ModelConfig, Transformer


class Digits:
    """A tokenizer of twenty tokens; the last five are special."""

    end, bos, tool_call, tool_result, assistant, pad = 19, 18, 17, 16, 15, 0

    def encode(self, text):
        return [int(digit) for digit in text if digit.isdigit()]

    def decode(self, ids):
        return "".join({10: "+"}.get(i, str(i)) for i in ids if i < 15)


def test_an_answer_ends_where_the_context_is_full():
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    model = Transformer(ModelConfig(20, **shape, head_dim=16, intermediate_size=16, max_position_embeddings=16))
    prompts = [list(range(1, 15)), list(range(1, 5))]  # two places left, and twelve
    rollouts = sample(model, prompts, 3, Digits(), max_new_tokens=40, seed=0)
    assert [len(r.prompt) + len(r.answer) <= 16 for r in rollouts] == [True] * 6
    assert all(len(r.answer) == len(r.logprobs) for r in rollouts)
    assert all(r.finished == (r.answer[-1] == 19 and 17 not in r.last_turn) for r in rollouts)
    again = score(model, rollouts, pad=0)
    assert all(torch.allclose(now, torch.tensor(r.logprobs), atol=1e-4) for now, r in zip(again, rollouts, strict=True))


def test_a_tool_answers_inside_a_rollout_and_nothing_is_learnt_from_its_result(monkeypatch):
    """The policy writes 1+2, reads 3, and says 3: what it wrote has log-probabilities, the result has none."""
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    model = Transformer(ModelConfig(20, **shape, head_dim=16, intermediate_size=16, max_position_embeddings=32))
    call, said = [17, 1, 10, 2, 19], [3, 19]
    turns = iter(([call], [said]))

    def scripted(model, prompts, sampling, **rest):
        return [SimpleNamespace(ids=ids, logprobs=[-0.5] * len(ids)) for ids in next(turns)]

    monkeypatch.setattr("crawl2chat.chat.loop.generate", scripted)
    (rollout,) = sample(model, [[4, 5]], 1, Digits(), max_new_tokens=8, seed=0)
    result = [16, 3, 19, 15]
    assert rollout.answer == call + result + said and rollout.finished
    assert rollout.sampled == [True] * 5 + [False] * 4 + [True] * 2 and rollout.tokens == 7
    assert rollout.logprobs == [-0.5] * 5 + [0.0] * 4 + [-0.5] * 2
    assert rollout.last_turn == said and rollout.text(Digits()) == "3"
    (batch,) = batches([rollout], 0, torch.device("cpu"))
    assert batch.mask[0].tolist() == rollout.sampled
    assert batch.ids[0, batch.places[0] + 1].tolist() == rollout.answer == batch.targets[0].tolist()
    (scores,) = score(model, [rollout], pad=0)
    assert (scores != 0).tolist() == rollout.sampled


def test_an_answer_does_not_depend_on_the_process_that_samples_it(monkeypatch):
    """Two processes deal the prompts among them; each answer is drawn by the random numbers of its place in the
    whole."""
    shape = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = Transformer(ModelConfig(20, **shape, head_dim=16, intermediate_size=32, max_position_embeddings=32))
    prompts = [[1, 2, 3], [4, 5], [6, 7, 8, 9], [1, 2, 3], [2]]
    arguments = {"tokenizer": Digits(), "max_new_tokens": 8, "seed": 2**40 + 5}
    together = sample(model, prompts, 2, **arguments)
    dealt = []

    def deal(items, work):
        dealt.extend(work(items[1::2]))
        return dealt

    monkeypatch.setattr("crawl2chat.alignment.rollouts.share_out", deal)
    of_second = sample(model, prompts, 2, **arguments)
    assert [r.answer for r in of_second] == [r.answer for i in (1, 3) for r in together[2 * i : 2 * i + 2]]
