"""How every program of the project ends: 0, or 1 after one sentence about what a user can mend. A traceback is for
defects only."""

import errno
import functools
import logging
from collections.abc import Callable

from crawl2chat import logs
from crawl2chat.errors import UserError

logger = logging.getLogger(__name__)

Main = Callable[[list[str]], int]


def program(main: Main) -> Main:
    """`main` with that ending, and with the project's log on the terminal."""

    @functools.wraps(main)
    def ended(arguments: list[str]) -> int:
        try:
            logs.configure()
            return main(arguments)
        except (UserError, OSError) as error:
            if not (told := sentence(error)):
                raise
            logger.error(told)
            return 1

    return ended


def sentence(error: UserError | OSError) -> str:
    """What a user can do about an error; empty for a defect."""
    if isinstance(error, UserError):
        return str(error)
    place = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk is full{place}: make room (`dvc gc --workspace`, old runs in .work/), then run it again; it "
            "goes on from the last checkpoint."
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"the folder cannot be written{place}: give yourself the right to, or work in another copy of the project."
        )
    return ""
