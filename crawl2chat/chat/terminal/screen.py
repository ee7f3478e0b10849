"""Where the talk is shown: plain text, with a little colour where that is a terminal.

Whatever a model, a tool or a user wrote is text here. Characters that would steer the terminal or turn the reading
direction round are spelled, so that nothing but a style of ours ever reaches the terminal as an escape sequence.
"""

import os
import sys
import unicodedata

# Codes of "Select Graphic Rendition" (ECMA-48).
STYLES = {"": "", "dim": "2", "user": "1;36", "model": "1;32", "special": "1;97;45"}
PROMPT = "you  › "


def harmless(text: str) -> str:
    """The text with control, format and unassigned characters as \\x1b or \\u202e; lines, tabs and spaces stay."""
    return "".join(
        c if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs" else ascii(c)[1:-1] for c in text
    )


class Screen:
    """Writes to standard output; in colour where both ends are a terminal and NO_COLOR is unset."""

    def __init__(self) -> None:
        self.colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def write(self, text: str, style: str = "", indent: int = 0) -> None:
        """Shows text at once, in a style's name or codes; further lines of it are indented."""
        text = harmless(text).replace("\n", "\n" + " " * indent)
        codes = STYLES.get(style, style) if self.colours and text else ""
        print(f"\x1b[{codes}m{text}\x1b[0m" if codes else text, end="", flush=True)

    def note(self, text: str) -> None:
        """A line that the program itself says."""
        self.write(text, "dim")
        self.write("\n")

    def ask(self) -> str:
        """The user's next line, empty where Ctrl-C drops it. Raises EOFError when there is none."""
        typing = sys.stdin.isatty()
        # Readline does not count what stands between \x01 and \x02.
        coloured = f"\x01\x1b[{STYLES['user']}m\x02{PROMPT}\x01\x1b[0m\x02"
        try:
            return input(coloured if self.colours and typing else PROMPT)
        except KeyboardInterrupt:
            if not typing:
                raise
            self.write("\n")
            return ""
