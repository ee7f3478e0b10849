"""Shows how a text is cut into tokens: each piece in a colour of its own, then the ids in the same colours.

    python -m crawl2chat.tokens.view "Hello, world" [--tokenizer models/tokenizer | --ranks cl100k_base.tiktoken]

In: a text, or `-` to read it from standard input. Out: lines for a terminal. White space is made visible (· space, →
tab, ↵ new line); a token that ends inside a character shows its bytes (\\xf0). Without colours pieces stand between
bars.
"""

import argparse
import os
import sys
from pathlib import Path

from crawl2chat.errors import UserError
from crawl2chat.tokens import ranks
from crawl2chat.tokens.splits import SPLITS
from crawl2chat.tokens.tokenizer import Tokenizer

# Light ones of xterm's 256 colours, under black letters: both dark and light terminals show them.
BACKGROUNDS = (189, 194, 223, 224, 159)
VISIBLE = {" ": "·", "\t": "→", "\r": "␍", "\n": "↵"}


def spell(piece: bytes) -> str:
    """A token's bytes as letters on the screen; control characters and cut characters as \\x…"""
    try:
        text = piece.decode()
    except UnicodeDecodeError:
        return "".join(VISIBLE.get(chr(b)) or (chr(b) if 32 < b < 127 else f"\\x{b:02x}") for b in piece)
    return "".join(VISIBLE.get(c) or (c if c.isprintable() else c.encode("unicode_escape").decode()) for c in text)


def render(tokenizer: Tokenizer, text: str, colours: bool) -> str:
    """The pieces, the ids and a line of counts."""
    tokens = tokenizer.encode(text)
    pieces, ids = [], []
    for number, token in enumerate(tokens):
        piece = tokenizer.piece(token)
        letters, label = spell(piece), str(token)
        if colours:
            background = BACKGROUNDS[number % len(BACKGROUNDS)]
            letters, label = (f"\x1b[30;48;5;{background}m{part}\x1b[0m" for part in (letters, label))
        # Lines of the text stay lines on the screen.
        pieces.append(letters + "\n" * piece.count(b"\n"))
        ids.append(label)
    line = ("" if colours else "|").join(pieces)
    size, words = len(text.encode()), len(text.split())
    counts = f"{len(tokens):,} tokens · {size:,} bytes · {len(text):,} characters · {words:,} words"
    if tokens:
        counts += f" · {size / len(tokens):.2f} bytes per token"
    if tokens and words:
        counts += f" · {len(tokens) / words:.2f} tokens per word"
    return "\n\n".join([line.rstrip("\n"), " ".join(ids), f"{counts} · vocabulary {tokenizer.vocab_size:,}"])


def main(arguments: list[str]) -> int:
    """The command line; 0, or 1 when there is no such tokenizer."""
    parser = argparse.ArgumentParser(prog="python -m crawl2chat.tokens.view", description="Show the tokens of a text.")
    parser.add_argument("text", help="what to cut into tokens; - reads standard input")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--tokenizer", type=Path, default=Path("models/tokenizer"), help="a tokenizer's folder")
    which.add_argument("--ranks", type=Path, help="a file of ranks: cl100k_base.tiktoken, GPT-2's vocab.bpe …")
    parser.add_argument("--split", choices=SPLITS, help="how an unknown file of ranks cuts text")
    options = parser.parse_args(arguments)
    try:
        tokenizer = from_ranks(options.ranks, options.split) if options.ranks else Tokenizer.load(options.tokenizer)
        # Bytes as they come: new lines stay what they are, and what is no UTF-8 shows as U+FFFD.
        text = sys.stdin.buffer.read().decode("utf-8", "replace") if options.text == "-" else options.text
        print(render(tokenizer, text, sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def from_ranks(path: Path, split: str | None) -> Tokenizer:
    """The tokenizer of a file of ranks, without writing a folder."""
    if not path.is_file():
        raise UserError(f"{path} is no file; name a file of ranks such as cl100k_base.tiktoken.")
    vocabulary = ranks.read(path)
    return Tokenizer(vocabulary, ranks.split_for(vocabulary, split, path.name))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
