"""A flow's end in one sentence: on Prefect's page as a state, on the command line as a UserError."""

import functools
from collections.abc import Callable
from typing import Any

from prefect.states import Failed, State

from crawl2chat import logs
from crawl2chat.errors import UserError
from stages.program import sentence


def in_a_sentence(work: Callable[..., State]) -> Callable[..., State]:
    """The function of a flow, which is Failed with the sentence where there is one, instead of with a traceback. What
    the project logs is printed, and so in the flow's log."""

    @functools.wraps(work)
    def ended(*arguments: Any, **named: Any) -> State:
        try:
            logs.configure()
            return work(*arguments, **named)
        except (UserError, OSError) as error:
            if not (message := sentence(error)):
                raise
            return Failed(message=message)

    return ended


def message_of(state: State) -> str:
    """What a flow has to say that was called with `return_state`; UserError where it did not complete."""
    if not state.is_completed():
        raise UserError(state.message or f"the flow is {state.name}.")
    return state.message or ""
