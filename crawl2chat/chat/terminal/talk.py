"""One conversation in the terminal, whichever model answers.

In: lines, and models by name. Out: each answer on the screen as it is written, with every tool call and result, and
the turns that were said. A line that cannot be answered is refused in a sentence and never becomes a turn.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawl2chat.chat.conversation import render, render_prompt
from crawl2chat.chat.loop import Answer, readable, stream_answer
from crawl2chat.chat.terminal.models import Voice, load
from crawl2chat.chat.terminal.screen import Screen
from crawl2chat.errors import UserError
from crawl2chat.model.generate import Sampling, Token, stream

Message = dict[str, Any]


class Talk:
    """The turns of a conversation, the model that answers, and what was asked and answered last."""

    def __init__(self, models: dict[str, Path], name: str, options: argparse.Namespace, screen: Screen) -> None:
        self.models, self.options, self.screen = models, options, screen
        self.seed: int = options.seed
        self.system = ""
        self.begin()
        self.use(name)
        self.instruct(options.system)

    def begin(self) -> None:
        """Forgets what was said."""
        self.messages: list[Message] = []
        # The last question, the turns before it, and the answer that the model in use gave.
        self.question: str | None = None
        self.earlier: list[Message] = []
        self.answer: Answer | None = None

    def use(self, name: str) -> None:
        """Goes on with this model. Raises UserError, and changes nothing, where it can't be loaded."""
        self.voice = load(self.models, name, self.options.index)
        self.answer = None

    def instruct(self, system: str) -> None:
        """Sets the system prompt, none if empty. Raises UserError where no question would fit behind it."""
        system = system.strip()
        size = len(render_prompt([{"role": "system", "content": system}], self.voice.tokenizer)) if system else 0
        if size >= self.voice.room:
            raise UserError(
                f"A system prompt of {size:,} tokens leaves no room for a question in a context of "
                f"{self.voice.context:,} tokens, a quarter of which is for the answer: shorten it."
            )
        self.system = system

    def say(self, text: str) -> None:
        """Shows the model's answer to a text, or the base model's continuation of it."""
        if not self.voice.continues and not any(c.isprintable() and not c.isspace() for c in text):
            raise UserError("That has nothing in it that can be read: say it in letters, numbers or signs.")
        self.question, self.earlier = text, self.messages
        self.reply()

    def reply(self) -> None:
        """Answers the last question, in place of an answer that it may already have."""
        self.seed += 1  # the same question may be answered differently
        self.asked()
        self.earlier = self.fitting(self.voice)
        self.answer = self.shown_answer(self.voice, self.earlier)
        if speaks(self.answer):
            self.messages = [*self.earlier, *self.asked(), *self.answer.messages]

    def compare(self, names: list[str]) -> None:
        """Shows what several models say to the last question, with the seed of the last answer; keeps none of it."""
        self.asked()
        for name in names:
            try:
                voice = self.voice if name == self.voice.name else load(self.models, name, self.options.index)
                self.shown_answer(voice, self.fitting(voice))
            except UserError as error:
                self.screen.note(str(error))

    def asked(self) -> list[Message]:
        """The last question as a turn."""
        if self.question is None:
            raise UserError("There is no question yet: ask something first.")
        return [{"role": "user", "content": self.question}]

    def read(self, turns: list[Message]) -> list[Message]:
        """The turns behind the system prompt."""
        return [{"role": "system", "content": self.system}, *turns] if self.system else turns

    def ids(self) -> list[int]:
        """The conversation as tokens of the model in use; for the base model, the last text."""
        if self.voice.continues:
            return self.answer.prompt + self.answer.ids if self.answer else [self.voice.tokenizer.bos]
        return render(self.read(self.messages), self.voice.tokenizer)[0]

    def fitting(self, voice: Voice) -> list[Message]:
        """The turns before the last question without the oldest, so that the model has room to answer; says how many
        are dropped. Raises UserError where the question does not fit without any."""
        if voice.continues:
            return self.earlier

        def size(turns: list[Message]) -> int:
            return len(render_prompt(turns + self.asked(), voice.tokenizer))

        kept = self.earlier
        while size(self.read(kept)) > voice.room:
            if not kept:
                left = voice.room - size(self.read([])) + size([])
                shorter = ", or shorten the system prompt with /system" if self.system else ""
                raise UserError(
                    f"That is too long for the model {voice.name}, which reads {voice.context:,} tokens at once and "
                    f"needs a quarter for its answer: your text takes {size([]):,} and may take {left:,}. "
                    f"Say it shorter{shorter}."
                )
            questions = [i for i, turn in enumerate(kept) if turn["role"] == "user"]
            kept = kept[questions[1] :] if len(questions) > 1 else []
        if dropped := len(self.earlier) - len(kept):
            self.screen.note(
                f"(The context of {voice.context:,} tokens is full: the {dropped} oldest turns are dropped.)"
            )
        return kept

    def shown_answer(self, voice: Voice, earlier: list[Message]) -> Answer:
        """What a model says to the last question, shown while it is written."""
        if voice.continues:
            return self.shown_continuation(voice)
        pieces = stream_answer(
            voice.model,
            voice.tokenizer,
            self.read(earlier + self.asked()),
            max_new_tokens=self.options.max_new_tokens,
            temperature=self.options.temperature,
            seed=self.seed,
            tools=voice.tools,
        )
        indent = self.name(voice)
        opening = True  # every text starts with a space that nobody needs to see
        for piece in pieces:
            if isinstance(piece, Answer):
                self.end(voice, piece)
            elif piece.kind == "text":
                self.screen.write(piece.text.lstrip() if opening else piece.text, indent=indent)
                opening = opening and not piece.text.strip()
            elif piece.kind == "call":
                self.screen.write(f"[{piece.text}", "dim", indent)
            else:
                self.screen.write(f" → {piece.text}] ", "dim", indent)
                opening = True
        return piece  # the last one is the whole answer

    def shown_continuation(self, voice: Voice) -> Answer:
        """The last question's text as the base model continues it, shown while it is written."""
        text, tokenizer = self.question or "", voice.tokenizer
        tokens = tokenizer.encode(text)
        if len(tokens) > voice.room:
            self.screen.note(f"(Only the last {voice.room:,} of the text's {len(tokens):,} tokens are read.)")
        prompt = [tokenizer.bos, *tokens[-voice.room :]]
        sampling = Sampling(
            self.options.max_new_tokens, {tokenizer.bos, tokenizer.end}, temperature=self.options.temperature
        )
        ids: list[int] = []
        indent = self.name(voice)
        self.screen.write(text, "dim", indent)
        for piece in readable(collected(stream(voice.model, prompt, sampling, seed=self.seed), ids), tokenizer):
            self.screen.write(piece, indent=indent)
        self.screen.write("\n")
        return Answer(prompt, ids=ids, sampled=[True] * len(ids))

    def name(self, voice: Voice) -> int:
        """Shows who speaks, but to a single question; returns the columns that it takes."""
        label = f"{voice.name:4} › " if self.options.prompt is None else ""
        self.screen.write(label, "model")
        return len(label)

    def end(self, voice: Voice, answer: Answer) -> None:
        """Ends the lines of an answer, and says if it was cut."""
        if not speaks(answer):
            self.screen.note("(no answer)")
            return
        self.screen.write("\n")
        for citation in answer.citations:
            self.screen.note(str(citation))
        if answer.ids[-1] not in (voice.tokenizer.end, voice.tokenizer.bos):
            full = len(answer.prompt) + len(answer.ids) >= voice.context
            most = f"a turn has {self.options.max_new_tokens:,} tokens at most (--max-new-tokens)"
            why = f"the context of {voice.context:,} tokens is full" if full else most
            self.screen.note(f"(The answer is cut: {why}.)")


def speaks(answer: Answer) -> bool:
    """Whether the answer ends in words of the assistant, and not in a tool's result."""
    return bool(answer.text) and answer.messages[-1]["role"] == "assistant"


def collected(tokens: Iterator[Token], ids: list[int]) -> Iterator[int]:
    """Yields the ids of the tokens and puts them into `ids`."""
    for token in tokens:
        ids.append(token.id)
        yield token.id
