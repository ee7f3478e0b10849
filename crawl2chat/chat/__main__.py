"""Talk with a model in the terminal: `python -m crawl2chat.chat`, or one question with --prompt.

In: model folders (weights and tokenizer) of the pipeline. Out: a model's words as it writes them, with every tool call
and result. The base model is no assistant: it is an internet simulator that continues whatever is typed, which is what
`--model base` is there to show.
"""

import argparse
import logging
import os
import sys
from pathlib import Path

from crawl2chat import logs
from crawl2chat.errors import UserError

# OpenMP's threads spin while they wait for each other. Where another process wants the same cores that costs ten times
# the work (427 against 4,003 tokens/s generated). Sleeping instead must be asked for before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

logger = logging.getLogger(__name__)


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m crawl2chat.chat", description="Talk with a model of the pipeline.")
    parser.add_argument("--model", help="the name of a model: chat, or the only one there is; /model lists them")
    parser.add_argument("--models", type=Path, default=Path("models"), help="a folder of models, or a model's own")
    parser.add_argument("--index", type=Path, help="a search index; by default the one beside the model")
    parser.add_argument("--system", default="", help="a system prompt")
    parser.add_argument("--prompt", help="say this one thing, show the answer and leave")
    parser.add_argument("--temperature", type=float, default=0.7, help="0 takes the likeliest word each time")
    parser.add_argument("--max-new-tokens", type=int, default=200, help="tokens of a turn at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    if not (0 <= options.temperature < float("inf") and options.max_new_tokens > 0 and options.seed >= 0):
        parser.error("--temperature and --seed are 0 or larger, --max-new-tokens is 1 or larger")
    return options


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    # These import torch.
    from crawl2chat.chat.terminal import history
    from crawl2chat.chat.terminal.commands import converse
    from crawl2chat.chat.terminal.models import find_models
    from crawl2chat.chat.terminal.screen import Screen, harmless
    from crawl2chat.chat.terminal.talk import Talk

    for stream in (sys.stdin, sys.stdout):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    screen = Screen()
    try:
        logs.configure()
        models = find_models(options.models)
        talk = Talk(models, options.model or (next(iter(models)) if len(models) == 1 else "chat"), options, screen)
        if options.prompt is not None:
            talk.say(options.prompt)
            return 0
        with history.kept():
            converse(talk)
    except UserError as error:
        logger.error(harmless(str(error)))
        return 1
    except (EOFError, KeyboardInterrupt):
        screen.write("\n")
    except BrokenPipeError:
        # Nobody reads any more; what Python still writes at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
