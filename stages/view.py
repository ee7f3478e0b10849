"""How a text is cut into tokens, by the pipeline's tokenizer or a published one: a program for people, no stage.

    python -m stages.view "Hello, world" [--tokenizer models/tokenizer | --ranks cl100k_base.tiktoken]

In: a text, or `-` to read it from standard input. Out: lines for a terminal (crawl2chat/tokens/view.py).
"""

import argparse
import os
import sys
from pathlib import Path

from crawl2chat.errors import UserError
from crawl2chat.tokens import ranks
from crawl2chat.tokens.splits import SPLITS
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tokens.view import render
from stages.program import program


@program
def main(arguments: list[str]) -> int:
    """The command line; 0, or 1 when there is no such tokenizer."""
    parser = argparse.ArgumentParser(prog="python -m stages.view", description="Show the tokens of a text.")
    parser.add_argument("text", help="what to cut into tokens; - reads standard input")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--tokenizer", type=Path, default=Path("models/tokenizer"), help="a tokenizer's folder")
    which.add_argument("--ranks", type=Path, help="a file of ranks: cl100k_base.tiktoken, GPT-2's vocab.bpe …")
    parser.add_argument("--split", choices=SPLITS, help="how an unknown file of ranks cuts text")
    options = parser.parse_args(arguments)
    tokenizer = from_ranks(options.ranks, options.split) if options.ranks else Tokenizer.load(options.tokenizer)
    # Bytes as they come: new lines stay what they are, and what is no UTF-8 shows as U+FFFD.
    text = sys.stdin.buffer.read().decode("utf-8", "replace") if options.text == "-" else options.text
    print(render(tokenizer, text, sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return 0


def from_ranks(path: Path, split: str | None) -> Tokenizer:
    """The tokenizer of a file of ranks, without writing a folder."""
    if not path.is_file():
        raise UserError(f"{path} is no file; name a file of ranks such as cl100k_base.tiktoken.")
    vocabulary = ranks.read(path)
    return Tokenizer(vocabulary, ranks.split_for(vocabulary, split, path.name))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
