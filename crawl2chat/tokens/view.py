"""Shows how a text is cut into tokens: each piece in a colour of its own, then the ids in the same colours.

In: a tokenizer and a text. Out: lines for a terminal. White space is made visible (· space, →
tab, ↵ new line); a token that ends inside a character shows its bytes (\\xf0). Without colours pieces stand between
bars.
"""

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
