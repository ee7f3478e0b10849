"""Compiles this folder's C++ for this machine when a kernel is first used: half a second for each file and type of
number. Where there is no compiler, PyTorch does the same work more slowly.

`CXX` names the compiler (default `c++`), with options if it needs any. `CRAWL2CHAT_WITHOUT_KERNELS=attend,decode` turns
kernels off, to measure what they save or to rule them out.
"""

import ctypes
import logging
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import torch

logger = logging.getLogger(__name__)
SWITCH = "CRAWL2CHAT_WITHOUT_KERNELS"
# Seconds for a call of the compiler.
TIME_LIMIT = 60.0
ELEMENTS = {torch.float32: "float", torch.bfloat16: "uint16_t"}
# What torch finds in the processor, and the compiler's options for it.
VECTORS = {
    "AVX512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"],
    "AVX2": ["-mavx2", "-mfma"],
}


class Library:
    """The compiled functions of one file. Each takes whole numbers, addresses of tensors and a number of threads."""

    def __init__(self, path: Path) -> None:
        self.functions = ctypes.CDLL(str(path))
        # Floats in a vector of the processor.
        self.lanes: int = self.functions.lanes()
        # Columns of a matrix that lie together.
        self.panel = 2 * self.lanes

    def call(self, function: str, numbers: Sequence[int], addresses: Sequence[int]) -> None:
        """Calls a function; ValueError where it refuses its arguments. The tensors must outlive the call."""
        compiled = getattr(self.functions, function)
        compiled.restype = ctypes.c_char_p
        refusal = compiled(
            (ctypes.c_int64 * len(numbers))(*numbers),
            ctypes.c_int64(len(numbers)),
            (ctypes.c_void_p * len(addresses))(*addresses),
            ctypes.c_int64(len(addresses)),
            torch.get_num_threads(),
        )
        if refusal:
            raise ValueError(f"{function}: {refusal.decode()}")


def library(source: str, dtype: torch.dtype) -> Library | None:
    """The functions of a C++ file for numbers of `dtype`; None where they are turned off or cannot be compiled."""
    off = os.environ.get(SWITCH, "").split(",")
    return None if dtype not in ELEMENTS or source.removesuffix(".cpp") in off else compiled_library(source, dtype)


@cache
def compiled_library(source: str, dtype: torch.dtype) -> Library | None:
    flags = ["-std=c++17", "-O3", "-ffp-contract=fast", "-fPIC", f"-DELEMENT={ELEMENTS[dtype]}"]
    flags += VECTORS.get(torch.backends.cpu.get_cpu_capability(), [])
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    try:
        with tempfile.TemporaryDirectory() as folder:
            parts, built = Path(folder) / "kernel.o", Path(folder) / "kernel.so"
            compile_with([*compiler, *flags, "-fopenmp", "-c", str(Path(__file__).with_name(source)), "-o", str(parts)])
            # Linked without OpenMP's library, which torch has loaded: with a second one in the process the threads of
            # both would wait for the same cores. clang's calls are in no library but its own.
            try:
                compile_with([*compiler, "-shared", str(parts), "-o", str(built)])
                return Library(built)
            except OSError:
                compile_with([*compiler, "-shared", "-fopenmp", str(parts), "-o", str(built)])
                return Library(built)
    except (OSError, subprocess.SubprocessError) as error:
        reason = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip() or error
        logger.warning("%s is not compiled, PyTorch does its work more slowly: %s", source, reason)
        return None


def compile_with(command: Sequence[str]) -> None:
    """Runs a compiler; whatever it has started ends with it at the time limit."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            _, errors = process.communicate(timeout=TIME_LIMIT)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, stderr=errors)
