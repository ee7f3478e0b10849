"""The loop runs the tools the model calls and hands their results back, within its bounds, batched or streamed
alike."""

from collections.abc import Callable
from typing import Any

import pytest

from crawl2chat.chat.conversation import render
from crawl2chat.chat.loop import Answer, Piece, answer, readable, stream_answer

QUESTION = [{"role": "user", "content": "12 times 34?"}]


def calls_once(prompt: str) -> str:
    if prompt.endswith("<|tool_result|> 408<|end|><|assistant|>"):
        return " It is 408.<|end|>"
    return " Let me see.<|tool_call|> 12*34<|end|>"


def test_a_call_is_run_and_its_result_read(scripted: Callable[..., Any], tokenizer: Any) -> None:
    (found,) = answer(scripted(calls_once), tokenizer, [QUESTION], max_new_tokens=50)
    assert found.text == "It is 408." and found.finished
    assert found.tool_calls == [{"name": "calculator", "arguments": "12*34", "result": "408"}]
    assert tokenizer.decode(found.ids, specials=True) == (
        " Let me see.<|tool_call|> 12*34<|end|><|tool_result|> 408<|end|><|assistant|> It is 408.<|end|>"
    )


def test_an_answer_lays_out_exactly_as_the_same_conversation_in_training(
    scripted: Callable[..., Any], tokenizer: Any
) -> None:
    (found,) = answer(scripted(calls_once), tokenizer, [QUESTION], max_new_tokens=50)
    ids, supervised = render(QUESTION + found.messages, tokenizer)
    assert found.prompt + found.ids == ids
    assert [False] * len(found.prompt) + found.sampled == supervised
    assert all((logprob == -0.5) == mine for logprob, mine in zip(found.logprobs, found.sampled, strict=True))


def test_only_conversations_that_called_go_on(scripted: Callable[..., Any], tokenizer: Any) -> None:
    def reply(prompt: str) -> str:
        return calls_once(prompt) if "12 times" in prompt else " Hello.<|end|>"

    model = scripted(reply)
    greeting = [{"role": "user", "content": "hi"}]
    answers = answer(model, tokenizer, [greeting, QUESTION, greeting], max_new_tokens=50)
    assert [one.text for one in answers] == ["Hello.", "It is 408.", "Hello."]
    assert model.batches[:2] == [3, 1]


def test_calls_are_bounded(scripted: Callable[..., Any], tokenizer: Any) -> None:
    model = scripted(lambda prompt: "<|tool_call|> 1+1<|end|>")
    (found,) = answer(model, tokenizer, [QUESTION], max_new_tokens=50, max_calls=2)
    assert len(found.tool_calls) == 2 and not found.finished and found.text == ""


def test_an_error_comes_back_to_the_model_as_a_result(scripted: Callable[..., Any], tokenizer: Any) -> None:
    def reply(prompt: str) -> str:
        return " I cannot.<|end|>" if "error: division by zero" in prompt else "<|tool_call|> 1/0<|end|>"

    (found,) = answer(scripted(reply), tokenizer, [QUESTION], max_new_tokens=50)
    assert found.text == "I cannot." and found.finished


def test_an_answer_that_runs_out_of_room_is_unfinished(scripted: Callable[..., Any], tokenizer: Any) -> None:
    (cut,) = answer(scripted(lambda prompt: " a long story"), tokenizer, [QUESTION], max_new_tokens=7)
    assert cut.text == "a long" and not cut.finished
    (half,) = answer(scripted(lambda prompt: "<|tool_call|> 12*"), tokenizer, [QUESTION], max_new_tokens=50)
    assert not half.finished and not half.tool_calls


def test_a_full_context_ends_the_answer_instead_of_the_run(scripted: Callable[..., Any], tokenizer: Any) -> None:
    long = [{"role": "user", "content": "word " * 100}]
    for context, calls in ((40, 1), (30, 1), (20, 0)):
        model = scripted(lambda prompt: "<|tool_call|> 9**9<|end|>", context=context)
        one, other = answer(model, tokenizer, [QUESTION, long], max_new_tokens=50)
        assert not one.finished and len(one.tool_calls) == calls
        assert (other.text, other.finished, other.ids) == ("", False, [])


def test_streaming_gives_the_same_answer_piece_by_piece(scripted: Callable[..., Any], tokenizer: Any) -> None:
    model = scripted(calls_once)
    *pieces, whole = stream_answer(model, tokenizer, QUESTION, max_new_tokens=50)
    assert isinstance(whole, Answer)
    said = [piece for piece in pieces if isinstance(piece, Piece)]
    assert "".join(piece.text for piece in said if piece.kind == "text") == " Let me see. It is 408."
    assert [piece for piece in said if piece.kind != "text"] == [Piece("call", "12*34"), Piece("result", "408")]
    (batched,) = answer(model, tokenizer, [QUESTION], max_new_tokens=50)
    assert (whole.ids, whole.messages, whole.finished) == (batched.ids, batched.messages, True)


@pytest.mark.parametrize("text", ["naïve – 日本 🦉", "plain"])
def test_characters_of_several_tokens_appear_whole(tokenizer: Any, text: str) -> None:
    assert list(readable(iter(tokenizer.encode(text)), tokenizer)) == list(text)


def test_broken_characters_are_shown_rather_than_held_back(tokenizer: Any) -> None:
    assert "".join(readable(iter(b"\xff\xff\xff\xff ok \xf0"), tokenizer)).endswith(" ok \ufffd")
