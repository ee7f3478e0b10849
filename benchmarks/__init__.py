"""Paired measurements against peers, each one command: `python -m benchmarks.<name> [--data <folder of real data>]`.

A benchmark prints what a person wants to read and ends with one line of JSON.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from crawl2chat.errors import UserError

# As the stages ask for before torch is imported: OpenMP's waiting threads sleep.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def data_folder(about: str) -> Path | None:
    """The folder given as `--data`, or None. `about` is the benchmark's docstring."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument("--data", type=Path, help="folder with real data; without it the tiny web serves")
    folder = parser.parse_args().data
    if folder and not folder.is_dir():
        raise UserError(f"The folder {folder} does not exist; give --data a folder with crawl/, gold/ and filters/.")
    return folder


# What the contestants need, and what installs it.
PEERS = dict.fromkeys(("accelerate", "py3langid", "transformers"), "`make develop`") | {"trl": "`pip install trl`"}


def command(main: Callable[[], int | None]) -> None:
    """Run a benchmark and exit; a user's mistake is one sentence and exit status 1."""
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
    except ModuleNotFoundError as error:
        if error.name not in PEERS:
            raise
        sys.exit(f"This benchmark compares with {error.name}, which is not installed: {PEERS[error.name]} does that.")
