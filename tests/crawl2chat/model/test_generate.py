"""Generation gives what the full forward gives, whatever else is in the batch."""

import math

import numpy as np
import pytest
import torch
from model_toys import noisy

from crawl2chat.errors import UserError
from crawl2chat.model.config import ModelConfig
from crawl2chat.model.cpu import decoding
from crawl2chat.model.generate import Sampling, generate, stream
from crawl2chat.model.network import Transformer

EXACT = {"dtype": torch.float32}


@pytest.fixture(scope="module", params=["PyTorch", "compiled"])
def model(request: pytest.FixtureRequest) -> Transformer:
    """Once of sizes that no processor's compiled decoder has vectors for, once of others."""
    sizes = {"PyTorch": (24, 2, 4, 2, 8, 42), "compiled": (48, 2, 4, 2, 16, 80)}[request.param]
    network = noisy(ModelConfig(61, *sizes, 48), 0.15)
    assert decoding.fits(network, torch.float32) == (request.param == "compiled")
    return network


@pytest.fixture(scope="module")
def prompts() -> list[list[int]]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 61, size=int(n)).tolist() for n in rng.integers(1, 20, size=23)]


@torch.no_grad()
def forward_logprobs(model: Transformer, prompt: list[int], ids: list[int], temperature: float) -> list[float]:
    scores = model.logits(model(torch.tensor([prompt + ids])[:, :-1]))[0] / temperature
    return torch.log_softmax(scores, -1)[len(prompt) - 1 :].gather(1, torch.tensor(ids)[:, None])[:, 0].tolist()


@torch.no_grad()
def slow_greedy(model: Transformer, prompt: list[int], count: int, stop: set[int]) -> list[int]:
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(model.logits(model(torch.tensor([ids]))[:, -1]).argmax()))
        if ids[-1] in stop:
            break
    return ids[len(prompt) :]


def test_greedy_with_cache_equals_full_forward(model, prompts) -> None:
    completions = generate(model, prompts, Sampling(25, {7}, temperature=0), batch_size=5, **EXACT)
    for prompt, completion in zip(prompts, completions, strict=True):
        assert completion.ids == slow_greedy(model, prompt, 25, {7})
        assert completion.finished == (completion.ids[-1] == 7)


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_logprobs_equal_the_training_forwards(model, prompts, temperature: float) -> None:
    for prompt, completion in zip(
        prompts,
        generate(model, prompts, Sampling(25, {7}, temperature=temperature), batch_size=6, **EXACT),
        strict=True,
    ):
        expected = forward_logprobs(model, prompt, completion.ids, temperature)
        assert np.abs(np.array(expected) - np.array(completion.logprobs)).max() < 1e-4


def test_a_sample_does_not_depend_on_the_batch(model, prompts) -> None:
    results = [generate(model, prompts, Sampling(20, {7}), seed=3, batch_size=size, **EXACT) for size in (1, 4, 256)]
    ids = [[completion.ids for completion in result] for result in results]
    assert ids[0] == ids[1] == ids[2]


def test_equal_prompts_draw_different_samples_and_another_seed_others(model) -> None:
    one = generate(model, [[1, 2, 3]] * 8, Sampling(12), seed=0)
    two = generate(model, [[1, 2, 3]] * 8, Sampling(12), seed=1)
    assert len({tuple(completion.ids) for completion in one}) == 8
    assert [c.ids for c in one] != [c.ids for c in two]


def test_with_a_seed_of_its_own_a_request_may_stand_anywhere(model, prompts) -> None:
    settings = {"batch_size": 4, **EXACT}
    seeds = list(range(len(prompts)))
    there = generate(model, prompts, Sampling(12), seed=seeds, **settings)
    back = generate(model, prompts[::-1], Sampling(12), seed=seeds[::-1], **settings)
    assert [completion.ids for completion in there] == [completion.ids for completion in back[::-1]]


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_stop_text_ends_a_completion_wherever_it_falls_among_tokens(model, prompts, batch_size) -> None:
    def decode(ids: list[int]) -> str:
        return "".join(f"<{i}>" for i in ids)

    settings = {"seed": 2, "batch_size": batch_size, **EXACT}
    for number, completion in enumerate(generate(model, prompts, Sampling(20), **settings)):
        first, second = completion.ids[5:7]
        texts = [f"{first}><{second}", "never"]
        ended = generate(model, prompts, Sampling(20, stop_texts=texts), decode=decode, **settings)[number]
        assert ended.finished and decode(ended.ids).count(texts[0]) == 1
        assert ended.ids == completion.ids[: len(ended.ids)] and len(ended.ids) <= 7
        if number == 4:
            break


def test_the_repetition_penalty_is_that_of_transformers(model, prompts) -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    with torch.no_grad():
        processor = RepetitionPenaltyLogitsProcessor(1.4)
        for prompt in prompts[:6]:
            ids = list(prompt)
            for _ in range(15):
                scores = model.logits(model(torch.tensor([ids]))[:, -1])
                ids.append(int(processor(torch.tensor([ids]), scores).argmax()))
            sampling = Sampling(15, temperature=0, repetition_penalty=1.4)
            completions = generate(model, prompts[:6], sampling, batch_size=2, **EXACT)
            assert completions[prompts.index(prompt)].ids == ids[len(prompt) :]
            expected = forward_logprobs(model, prompt, ids[len(prompt) :], 1.0)
            assert completions[prompts.index(prompt)].logprobs == pytest.approx(expected, abs=1e-4)


def test_stream_gives_the_ids_of_generate(model) -> None:
    for temperature in (0.0, 1.0):
        sampling = Sampling(15, {7}, temperature=temperature, alternatives=2)
        (completion,) = generate(model, [[4, 5]], sampling, seed=5, **EXACT)
        tokens = list(stream(model, [4, 5], sampling, seed=5, **EXACT))
        assert [token.id for token in tokens] == completion.ids
        assert [token.logprob for token in tokens] == completion.logprobs
        assert [token.alternatives for token in tokens] == completion.alternatives


def test_generation_ends_where_the_context_is_full(model) -> None:
    (completion,) = generate(model, [[1] * 40], Sampling(100))
    assert len(completion.ids) == 48 - 40 + 1 and not completion.finished


def test_alternatives_are_the_likeliest_ids_in_order(model) -> None:
    (completion,) = generate(model, [[1, 2]], Sampling(5, temperature=0, alternatives=3), **EXACT)
    assert len(completion.alternatives) == 5
    for drawn, logprob, best in zip(completion.ids, completion.logprobs, completion.alternatives, strict=True):
        assert best[0] == (drawn, pytest.approx(logprob, abs=1e-6))
        assert [value for _, value in best] == sorted((value for _, value in best), reverse=True)


# p = .5, .25, .15, .1 for ids 2, 0, 3, 1
LOGITS = torch.tensor([[0.25, 0.1, 0.5, 0.15]]).log()


@pytest.mark.parametrize(
    ("sampling", "kept"),
    [
        (Sampling(1), {0, 1, 2, 3}),
        (Sampling(1, top_k=2), {2, 0}),
        (Sampling(1, top_p=0.6), {2, 0}),
        (Sampling(1, top_p=0.45), {2}),
        (Sampling(1, min_p=0.25), {2, 0, 3}),
        (Sampling(1, temperature=0), {2}),
    ],
)
def test_cuts_keep_the_right_ids(sampling: Sampling, kept: set[int]) -> None:
    uniform = torch.arange(1000) / 1000
    ids, _ = sampling.draw(LOGITS.expand(1000, 4), uniform)
    assert set(ids.tolist()) == kept


def test_ids_are_drawn_with_their_probabilities() -> None:
    uniform = (torch.arange(10_000) + 0.5) / 10_000
    ids, logprobs = Sampling(1).draw(LOGITS.expand(10_000, 4), uniform)
    share = torch.bincount(ids, minlength=4) / 10_000
    assert torch.allclose(share, LOGITS.exp()[0], atol=2e-4)
    assert logprobs[0].item() == pytest.approx(math.log(0.25), abs=1e-5)


def test_temperature_sharpens_as_stated() -> None:
    ids, logprobs = Sampling(1, temperature=0.5).draw(LOGITS, torch.tensor([0.0]))
    squares = LOGITS.exp()[0] ** 2
    assert ids.item() == 0
    assert logprobs.item() == pytest.approx(math.log(squares[0] / squares.sum()), abs=1e-5)


def test_half_precision_stays_close(model, prompts) -> None:
    completions = generate(model, prompts, Sampling(20), dtype=torch.bfloat16)
    for prompt, completion in zip(prompts, completions, strict=True):
        expected = forward_logprobs(model, prompt, completion.ids, 1.0)
        assert np.abs(np.array(expected) - np.array(completion.logprobs)).max() < 0.2


def test_no_prompts_give_no_completions(model) -> None:
    assert generate(model, [], Sampling(5)) == []


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ([], "prompt 1 is empty"),
        ([1] * 48, "context is 48: shorten it"),
        ([1, 61], "prompt 1 has the id 61 and the model knows the ids below 61"),
        ([-1], "prompt 1 has the id -1"),
    ],
)
def test_impossible_prompts_are_refused(model, prompt: list[int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        generate(model, [[1], prompt], Sampling(5))


def test_a_negative_temperature_is_refused() -> None:
    with pytest.raises(UserError, match="temperature is -1"):
        Sampling(5, temperature=-1)
