"""Talk with a model in the terminal: `python -m crawl2chat.chat`, or one question with --prompt.

In: a model folder (weights and tokenizer) of the pipeline. Out: its words as it writes them, with every tool call and
result. The base model is no assistant: it is an internet simulator that continues whatever is typed, which is what
`--model base` is there to show.
"""

import argparse
import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawl2chat import logs
from crawl2chat.errors import UserError

# OpenMP's threads spin while they wait for each other. Where another process wants the same cores that costs ten times
# the work (427 against 4,003 tokens/s generated). Sleeping instead must be asked for before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from crawl2chat.model.network import Transformer
    from crawl2chat.tokens.tokenizer import Tokenizer

logger = logging.getLogger(__name__)
MODELS = {
    "base": "continues your text as the web would",
    "sft": "answers, as shown by examples",
    "reasoner": "answers, trained where answers can be checked",
    "chat": "answers, trained on what people prefer",
}
HELP = "/new starts over · Ctrl-C stops an answer · Ctrl-D leaves"


class Screen:
    """Where the talk is shown: plain text, with a little colour where that is a terminal."""

    def __init__(self) -> None:
        self.colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def write(self, text: str, style: str = "") -> None:
        codes = {"dim": "2", "you": "1;36", "it": "1;32"}
        print(f"\x1b[{codes[style]}m{text}\x1b[0m" if self.colours and style else text, end="", flush=True)

    def ask(self) -> str:
        """The user's next line. Raises EOFError when there is none."""
        if not self.colours:
            return input("you  › ")
        return input("\x01\x1b[1;36m\x02you  › \x01\x1b[0m\x02")  # \x01…\x02: readline must not count these


class Talk:
    """One conversation with one model."""

    def __init__(self, model: "Transformer", tokenizer: "Tokenizer", options: argparse.Namespace, screen: Screen):
        from crawl2chat.chat.search import index_of
        from crawl2chat.chat.tools import with_search

        self.model, self.tokenizer, self.options, self.screen = model, tokenizer, options, screen
        self.tools = with_search(options.index or index_of(options.models / options.model))
        self.seed = options.seed
        self.begin()

    def begin(self) -> None:
        """Forgets what was said."""
        self.messages: list[dict[str, Any]] = []
        if self.options.system:
            self.messages.append({"role": "system", "content": self.options.system})

    def say(self, text: str) -> None:
        """Shows the model's answer to a line, or the base model's continuation of it."""
        self.seed += 1  # the same line twice may be answered differently
        if self.options.model == "base":
            self.screen.write(text, "dim")
            for piece in self.continued(text):
                self.screen.write(piece)
        else:
            self.answered(text)
        self.screen.write("\n")

    def continued(self, text: str) -> Iterator[str]:
        from crawl2chat.chat.loop import readable
        from crawl2chat.model.generate import Sampling, stream

        room = self.model.config.max_position_embeddings * 3 // 4
        prompt = [self.tokenizer.bos, *self.tokenizer.encode(text)[-room:]]
        tokens = stream(
            self.model,
            prompt,
            Sampling(
                self.options.max_new_tokens,
                {self.tokenizer.bos, self.tokenizer.end},
                temperature=self.options.temperature,
            ),
            seed=self.seed,
        )
        return readable((token.id for token in tokens), self.tokenizer)

    def answered(self, text: str) -> None:
        from crawl2chat.chat.loop import Answer, stream_answer

        messages = self.fitting([*self.messages, {"role": "user", "content": text}])
        pieces = stream_answer(
            self.model,
            self.tokenizer,
            messages,
            max_new_tokens=self.options.max_new_tokens,
            temperature=self.options.temperature,
            seed=self.seed,
            tools=self.tools,
        )
        opening = True  # every text starts with a space that nobody needs to see
        for piece in pieces:
            if isinstance(piece, Answer):
                if piece.text:
                    self.messages = messages + piece.messages
                    self.screen.write("".join(f"\n{citation}" for citation in piece.citations), "dim")
                else:
                    self.screen.write("(no answer)", "dim")
            elif piece.kind == "text":
                self.screen.write(piece.text.lstrip() if opening else piece.text)
                opening = opening and not piece.text.strip()
            elif piece.kind == "call":
                self.screen.write(f"[{piece.text}", "dim")
            else:
                self.screen.write(f" → {piece.text}] ", "dim")
                opening = True

    def fitting(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The messages without the oldest exchanges, so that a quarter of the context is left for the answer."""
        from crawl2chat.chat.conversation import render_prompt

        context = self.model.config.max_position_embeddings
        system = [message for message in messages if message["role"] == "system"]
        rest = messages[len(system) :]
        while len(render_prompt(system + rest, self.tokenizer)) > context * 3 // 4:
            later = [i for i, message in enumerate(rest) if i and message["role"] == "user"]
            if not later:
                raise UserError(
                    f"That is too long for this model, which reads {context} tokens at once: say it shorter."
                )
            rest = rest[later[0] :]
        return system + rest


def load(folder: Path) -> "tuple[Transformer, Tokenizer]":
    """Model and tokenizer of a model folder. Raises UserError where there is none."""
    if not (folder / "config.json").is_file():
        there = sorted(path.parent.name for path in folder.parent.glob("*/config.json"))
        instead = f"choose --model {' or '.join(there)}, or " if there else ""
        raise UserError(f"{folder}: no such model; {instead}train it, or name the folder of the models with --models.")
    import torch

    from crawl2chat.model.folder import load_model
    from crawl2chat.tokens.tokenizer import Tokenizer

    return load_model(folder, "cuda" if torch.cuda.is_available() else "cpu"), Tokenizer.load(folder)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m crawl2chat.chat", description="Talk with a model of the pipeline.")
    tell = ", ".join(f"{name} ({what})" for name, what in MODELS.items())
    parser.add_argument("--model", choices=MODELS, default="chat", help=tell)
    parser.add_argument("--models", type=Path, default=Path("models"), help="the folder that holds the models")
    parser.add_argument("--index", type=Path, help="a search index; by default the one beside the model")
    parser.add_argument("--system", default="", help="a system prompt")
    parser.add_argument("--prompt", help="say this one thing, show the answer and leave")
    parser.add_argument("--temperature", type=float, default=0.7, help="0 takes the likeliest word each time")
    parser.add_argument("--max-new-tokens", type=int, default=200, help="tokens of a turn at most")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def converse(talk: Talk, screen: Screen) -> None:
    """Line by line, until there are no more lines."""
    name = talk.options.model
    size = sum(weight.numel() for weight in talk.model.parameters())
    tools = "" if name == "base" else f" · tools: {', '.join(sorted(talk.tools))}"
    screen.write(f"{name}: {MODELS[name]} · {size:,} parameters{tools}\n{HELP}\n\n", "dim")
    while True:
        line = screen.ask().strip()
        if line == "/new":
            talk.begin()
        elif line:
            screen.write("" if name == "base" else f"{name:4} › ", "it")
            try:
                talk.say(line)
            except KeyboardInterrupt:
                screen.write(" (stopped)\n", "dim")
            except UserError as error:
                screen.write(f"{error}\n", "dim")


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    screen = Screen()
    try:
        logs.configure()
        talk = Talk(*load(options.models / options.model), options, screen)
        if options.prompt is not None:
            talk.say(options.prompt)
            return 0
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  (gives input() editing and history)
        if hasattr(sys.stdin, "reconfigure"):
            sys.stdin.reconfigure(errors="replace")
        converse(talk, screen)
    except UserError as error:
        logger.error(error)
        return 1
    except (EOFError, KeyboardInterrupt):
        screen.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
