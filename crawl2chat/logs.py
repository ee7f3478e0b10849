"""What the project says while it works: one logger for each floor, plain messages on the terminal.

In: records of the loggers `crawl2chat`, `stages` and `flows`, which every module below gets by `getLogger(__name__)`.
Out: INFO as the plain message on standard output; from WARNING on `warning: …` and `error: …` on standard error, with
secrets shown as `***`.
"""

import logging
import os
import sys

from crawl2chat.errors import UserError
from crawl2chat.secrets import redacted

ROOTS = ("crawl2chat", "stages", "flows")
VARIABLE = "CRAWL2CHAT_LOG_LEVEL"


class Terminal(logging.Handler):
    """Writes to what sys.stdout and sys.stderr are at the time, so that a redirection takes effect."""

    def emit(self, record: logging.LogRecord) -> None:
        severe = record.levelno >= logging.WARNING
        text = redacted(self.format(record))
        text = f"{record.levelname.lower()}: {text}" if severe else text
        print(text, file=sys.stderr if severe else sys.stdout, flush=True)


def configure(level: str | None = None, quiet: bool = False) -> None:
    """Send the project's log records to the terminal.

    Args:
        level: the lowest level shown; the environment variable CRAWL2CHAT_LOG_LEVEL, else INFO, when None.
        quiet: nothing below WARNING, for all processes of a distributed run but that of rank 0.
    """
    name = (level or os.environ.get(VARIABLE) or "INFO").upper()
    levels = logging.getLevelNamesMapping()
    if name not in levels:
        raise UserError(f"{VARIABLE} is {name!r}; the levels are DEBUG, INFO, WARNING and ERROR.")
    handler = Terminal()
    for root in ROOTS:
        logger = logging.getLogger(root)
        logger.handlers = [handler]
        logger.setLevel(max(levels[name], logging.WARNING) if quiet else levels[name])
        # The loggers of datatrove, Prefect and Lightning have handlers of their own at the root.
        logger.propagate = False
