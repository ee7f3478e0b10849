"""How an answer comes about: the model writes, a tool is called, its result is read, the model goes on.

In: conversations that wait for the assistant. Out: an `Answer` for each, with the turns it added, its token ids and
their log-probabilities. Chat, evaluation and reinforcement learning take their answers from here, so that what is
measured and trained is what a person meets. Tools as in Schick et al. 2023 (Toolformer); the token layout is
conversation.py's.

Where a tool found pages, a text may cite them by their numbers: `Georgia [1].` Title and address come from the tool and
never from the model, which therefore cannot invent them.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch

from crawl2chat.chat.conversation import render_call, render_prompt
from crawl2chat.chat.tools import Source, Tool, parse_call, run_tool_in_time
from crawl2chat.model.generate import Sampling, generate, stream
from crawl2chat.model.network import Transformer
from crawl2chat.tokens.tokenizer import Tokenizer

Message = dict[str, Any]
MARKER = re.compile(r"\s*\[(\d{1,3})\]")
"""How a text cites a source: `[1]`."""


class Citation(NamedTuple):
    """What an answer cites by a number; a number that no source has is a false citation, and all else is empty."""

    number: int
    passage: str = ""
    title: str = ""
    address: str = ""

    @property
    def is_false(self) -> bool:
        return not self.passage

    def __str__(self) -> str:
        page = " — ".join(filter(None, (self.title, self.address)))
        return f"[{self.number}] {'no such page' if self.is_false else page}"


def without_markers(text: str) -> str:
    """The text without its citations: what is checked, since `[1]` is no number of the answer."""
    return MARKER.sub("", text)


@dataclass
class Answer:
    """What the assistant did with one conversation.

    `ids`, `sampled` and `logprobs` have one entry per token behind the prompt; where `sampled` is False the loop wrote
    the token (a tool's result), its log-probability stands as 0 and no gradient may flow.
    """

    prompt: list[int]
    # The turns added, ready to append to the conversation.
    messages: list[Message] = field(default_factory=list)
    # Name, arguments and result of each.
    tool_calls: list[dict[str, str]] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    sampled: list[bool] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    # What the tools found, in the order of their numbers: the first one has number 1.
    sources: list[Source] = field(default_factory=list)
    # Whether the last turn ended by itself, and not for want of room or calls.
    finished: bool = False

    @property
    def text(self) -> str:
        """The final turn's text; empty where the model never came to speak."""
        return self.messages[-1]["content"] if self.messages else ""

    @property
    def confidence(self) -> float | None:
        """The probability of the least probable token that the model wrote; None where it wrote none."""
        own = [logprob for logprob, sampled in zip(self.logprobs, self.sampled, strict=True) if sampled]
        return math.exp(min(own)) if own else None

    @property
    def citations(self) -> list[Citation]:
        """What the final turn cites, each once."""
        found = dict(enumerate(self.sources, start=1))
        numbers = dict.fromkeys(map(int, MARKER.findall(self.text)))
        return [Citation(number, *found.get(number, ())) for number in numbers]

    def add_turn(
        self,
        tokenizer: Tokenizer,
        ids: Sequence[int],
        logprobs: Sequence[float],
        calls_left: int,
        tools: Mapping[str, Tool] | None = None,
    ) -> bool:
        """Takes in one turn the model wrote; runs the tool it called. True if the model is to go on."""
        self.ids += ids
        self.sampled += [True] * len(ids)
        self.logprobs += logprobs or [0.0] * len(ids)
        ended = bool(ids) and ids[-1] == tokenizer.end
        text, call = _split(ids, tokenizer)
        self.messages.append({"role": "assistant", "content": text})
        if call is None or not ended or not calls_left:
            self.finished = ended and call is None
            return False
        name, arguments = parse_call(call)
        result, sources = run_tool_in_time(name, arguments, tools, first=len(self.sources) + 1)
        self.sources += sources
        self.tool_calls.append({"name": name, "arguments": arguments, "result": result})
        self.messages[-1]["tool_calls"] = [{"name": name, "arguments": arguments}]
        self.messages.append({"role": "tool", "content": result})
        result_ids = [tokenizer.tool_result, *tokenizer.encode(" " + result), tokenizer.end, tokenizer.assistant]
        self.ids += result_ids
        self.sampled += [False] * len(result_ids)
        self.logprobs += [0.0] * len(result_ids)
        return True


def answer(
    model: Transformer,
    tokenizer: Tokenizer,
    conversations: Sequence[list[Message]],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    seed: int = 0,
    max_calls: int = 3,
    batch_size: int = 256,
    tools: Mapping[str, Tool] | None = None,
) -> list[Answer]:
    """Answers every conversation, in order; `max_new_tokens` bounds each turn, `max_calls` the tool calls of an answer.

    A conversation that fills the model's context by itself gets an unfinished answer without text. The tools are those
    of the registry unless others are given (search.py: `with_search`).
    """
    answers = [Answer(render_prompt(messages, tokenizer)) for messages in conversations]
    write_turns(
        model,
        tokenizer,
        answers,
        range(len(answers)),
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
        max_calls=max_calls,
        tools=tools,
        batch_size=batch_size,
    )
    return answers


def write_turns(
    model: Transformer,
    tokenizer: Tokenizer,
    answers: Sequence[Answer],
    places: Sequence[int],
    *,
    max_new_tokens: int,
    temperature: float,
    seed: int,
    max_calls: int = 3,
    tools: Mapping[str, Tool] | None = None,
    batch_size: int = 256,
    dtype: torch.dtype | None = None,
) -> None:
    """Lets the model write empty answers to their ends. An answer's random numbers are those of the seed, its place and
    the turn, whatever else is written beside it."""
    context = model.config.max_position_embeddings
    sampling = Sampling(max_new_tokens, {tokenizer.end, tokenizer.bos}, temperature=temperature)
    waiting = [(one, place) for one, place in zip(answers, places, strict=True) if len(one.prompt) < context]
    for turn in range(max_calls + 1):
        if not waiting:
            return
        completions = generate(
            model,
            [one.prompt + one.ids for one, _ in waiting],
            sampling,
            seed=[(seed + turn, place) for _, place in waiting],
            batch_size=batch_size,
            dtype=dtype,
        )
        waiting = [
            (one, place)
            for (one, place), completion in zip(waiting, completions, strict=True)
            if one.add_turn(tokenizer, completion.ids, completion.logprobs, max_calls - turn, tools)
            and len(one.prompt) + len(one.ids) < context
        ]


class Piece(NamedTuple):
    """A bit of an answer as it appears: text, a tool call, or a tool's result."""

    kind: Literal["text", "call", "result"]
    text: str


def stream_answer(
    model: Transformer,
    tokenizer: Tokenizer,
    messages: list[Message],
    *,
    max_new_tokens: int,
    temperature: float = 1.0,
    seed: int = 0,
    max_calls: int = 3,
    tools: Mapping[str, Tool] | None = None,
) -> Iterator[Piece | Answer]:
    """The answer to one conversation, piece by piece as it is written; the last thing yielded is the whole Answer.

    The same answer that `answer` gives for this conversation alone.
    """
    whole = Answer(render_prompt(messages, tokenizer))
    for turn in range(max_calls + 1):
        ids: list[int] = []
        tokens = stream(
            model,
            whole.prompt + whole.ids,
            Sampling(max_new_tokens, {tokenizer.end, tokenizer.bos}, temperature=temperature),
            seed=seed + turn,
        )
        written = _until_call((token.id for token in tokens), ids, tokenizer)
        yield from (Piece("text", text) for text in readable(written, tokenizer))
        more = whole.add_turn(tokenizer, ids, [], max_calls - turn, tools)
        if more:
            call = whole.tool_calls[-1]
            yield Piece("call", render_call(call))
            yield Piece("result", call["result"])
        if not more or len(whole.prompt) + len(whole.ids) >= model.config.max_position_embeddings:
            break
    yield whole


def readable(ids: Iterator[int], tokenizer: Tokenizer) -> Iterator[str]:
    """Text of ids as soon as it can be shown: a character that spans several tokens waits for its last one."""
    pending: list[int] = []
    for token in ids:
        pending.append(token)
        text = tokenizer.decode(pending)
        if not text.endswith("\ufffd") or len(pending) > 3:  # a character has four bytes at most
            yield text
            pending = []
    if pending:
        yield tokenizer.decode(pending)


def _until_call(tokens: Iterator[int], ids: list[int], tokenizer: Tokenizer) -> Iterator[int]:
    """Yields the tokens of text, collects all in `ids`: a call is shown when it is complete."""
    calling = False
    for token in tokens:
        ids.append(token)
        calling = calling or token == tokenizer.tool_call
        if not calling:
            yield token


def _split(ids: Sequence[int], tokenizer: Tokenizer) -> tuple[str, str | None]:
    """(text, tool call or None) of one turn."""
    at = ids.index(tokenizer.tool_call) if tokenizer.tool_call in ids else len(ids)
    call = tokenizer.decode(ids[at + 1 :]).strip() if at < len(ids) else None
    return tokenizer.decode(ids[:at]).strip(), call
