"""The lines typed, for the arrow keys: kept between sessions in the user's state folder (XDG Base Directory)."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

# The newest lines that are kept.
LINES = 1000


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Gives `input` editing and the lines of earlier sessions; adds this session's at the end.

    Without readline, or where the file can't be read or written, the talk goes on without. Lines from a pipe are not
    kept.
    """
    try:
        import readline
    except ImportError:
        readline = None
    if readline is None or not sys.stdin.isatty():
        yield
        return
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    file = Path(state) / "crawl2chat" / "chat_history"
    with contextlib.suppress(OSError):
        readline.read_history_file(file)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            readline.set_history_length(LINES)
            readline.write_history_file(file)
