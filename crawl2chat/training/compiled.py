"""torch.compile where it is wanted and possible, and sums on a CPU that come out the same every time."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

logger = logging.getLogger(__name__)
Function = TypeVar("Function", bound=Callable)


def maybe_compile(function: Function, wanted: str, work: Path) -> Function:
    """The function compiled, for `wanted` "on", or "auto" where it can be. All runs below one folder `.work` share one
    compile cache, so that the same graph is compiled once."""
    if wanted == "off":
        return function
    home = next((folder for folder in work.parents if folder.name == ".work"), work)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(home / "compile")  # by now torch has set it to a temporary folder
    if wanted == "auto" and (problem := compiler_problem()):
        logger.warning("torch.compile does not work here, training runs uncompiled, which is slower: %s", problem)
        return function
    return torch.compile(function, dynamic=False)


def compiler_problem() -> str | None:
    """Why torch.compile cannot turn a small function into code here; None where it can."""
    try:
        torch.compile(lambda x: x * 2 + 1, dynamic=False)(torch.ones(8))
    except Exception as error:  # no compiler, no Python headers, no room on disk: training goes on without
        return f"{type(error).__name__}: {error}"
    return None


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """On a CPU, the same sums in the same order every time: compiled code would otherwise add up the embedding's
    gradient in whatever order its threads arrive. On other devices speed comes first."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that costs time
    torch.use_deterministic_algorithms(before or device.type == "cpu")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
