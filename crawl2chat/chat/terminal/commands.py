"""What a line that begins with a slash does, and the loop that reads the lines.

A command that does not exist, or that has too many words behind it, is answered in a sentence and changes nothing.
"""

import difflib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from crawl2chat.chat.terminal.models import described
from crawl2chat.chat.terminal.talk import Talk
from crawl2chat.chat.terminal.views import show_tokens, show_top
from crawl2chat.errors import UserError

COMMAND = re.compile(r"/(\w*)(?:\s+(.*))?", re.DOTALL)
SAVED = "conversations.jsonl"


def converse(talk: Talk) -> None:
    """Line by line, until there are no more lines: then input's EOFError."""
    screen = talk.screen
    screen.note(f"{talk.voice.heading}\n/help lists the commands · Ctrl-C stops an answer · Ctrl-D leaves")
    screen.write("\n")
    while True:
        line = screen.ask()
        try:
            if match := COMMAND.fullmatch(line.rstrip()):
                obey(talk, match[1].lower(), match[2] or "")
            elif line.strip():
                talk.say(line.strip())
        except KeyboardInterrupt:
            screen.note(" (stopped)")
        except UserError as error:
            screen.note(str(error))


def obey(talk: Talk, name: str, argument: str) -> None:
    """Runs one command. Raises UserError for one that does not exist, naming the near one."""
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean /{near[0]}? " if near else ""
        raise UserError(f"There is no command /{name}: {hint}/help lists them; a space before it makes it text.")
    command = COMMANDS[name]
    if argument and not command.argument:
        raise UserError(f"/{name} takes nothing behind it.")
    command.run(talk, argument)


def show_help(talk: Talk, argument: str) -> None:
    for name, command in COMMANDS.items():
        usage = f"/{name} {command.argument}"
        talk.screen.note(f"  {usage:22}{command.tells}")


def begin(talk: Talk, argument: str) -> None:
    talk.begin()


def choose_model(talk: Talk, name: str) -> None:
    if name:
        talk.use(name)
        talk.screen.note(talk.voice.heading)
        return
    for one in talk.models:
        talk.screen.note(f"{'*' if one == talk.voice.name else ' '} {one:10}{described(one)}")


def compare(talk: Talk, names: str) -> None:
    talk.compare(names.split() or list(talk.models))


def instruct(talk: Talk, text: str) -> None:
    if text:
        talk.instruct("" if text == "off" else text)
    talk.screen.note(f"The system prompt: {talk.system}" if talk.system else "There is no system prompt.")


def retry(talk: Talk, argument: str) -> None:
    talk.reply()


def tokens(talk: Talk, argument: str) -> None:
    show_tokens(talk.ids(), talk.voice, talk.screen)


def top(talk: Talk, argument: str) -> None:
    if not talk.answer or not talk.answer.ids:
        raise UserError(f"There is no answer of {talk.voice.name} yet: ask something first, or /retry.")
    show_top(talk.answer, talk.voice, talk.screen)


def save(talk: Talk, name: str) -> None:
    if not talk.messages:
        raise UserError("There is no conversation to save yet.")
    path = Path(name or SAVED)
    if path.suffix != ".jsonl":
        raise UserError(f"{path} is no file of JSON lines: name one that ends in .jsonl.")
    row = json.dumps({"messages": talk.read(talk.messages)}, ensure_ascii=False)
    try:
        with path.expanduser().open("ab+") as file:
            # The last line of a file that was edited by hand may be without an end.
            file.seek(max(0, file.tell() - 1))
            torn = file.read() not in (b"", b"\n")
            file.write(("\n" * torn + row + "\n").encode())
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path} cannot be written ({why}): name another file.") from None
    talk.screen.note(f"{len(talk.messages)} turns added to {path.expanduser().resolve()}")


class Command(NamedTuple):
    """What it does to a talk, given the text behind it; how that text is called; what /help says."""

    run: Callable[[Talk, str], None]
    argument: str
    tells: str


COMMANDS = {
    "help": Command(show_help, "", "this list"),
    "new": Command(begin, "", "starts over; the system prompt stays"),
    "model": Command(choose_model, "[name]", "lists the models, or goes on with this one"),
    "compare": Command(compare, "[names]", "the last question, answered by all models or by these"),
    "system": Command(instruct, "[text|off]", "shows, sets or removes the system prompt"),
    "retry": Command(retry, "", "another answer to the last question"),
    "tokens": Command(tokens, "", "the conversation as the model reads it"),
    "top": Command(top, "", "the likeliest tokens at each place of the last answer"),
    "save": Command(save, "[file.jsonl]", f"adds the conversation to a file that can be trained on ({SAVED})"),
}
