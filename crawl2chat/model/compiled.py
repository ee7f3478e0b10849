"""The project's C++: compiled for this machine when it is first wanted, half a second's work for each file and type of number.
Where there is no compiler, PyTorch does the same more slowly."""

import ctypes
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

ELEMENTS = {torch.float32: "float", torch.bfloat16: "uint16_t"}
VECTORS = {  # what torch finds in the processor, and the compiler's names for it
    "AVX512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx2", "-mfma"],
    "AVX2": ["-mavx2", "-mfma"],
}


@cache
def library(name: str, dtype: torch.dtype) -> Any:
    """The functions of `name`.cpp for numbers of this type; None where they cannot be compiled."""
    flags = ["-std=c++17", "-O3", "-ffp-contract=fast", "-fPIC", f"-DELEMENT={ELEMENTS[dtype]}"]
    flags += VECTORS.get(torch.backends.cpu.get_cpu_capability(), [])
    compiler, source = os.environ.get("CXX", "c++"), Path(__file__).with_name(f"{name}.cpp")
    try:
        with tempfile.TemporaryDirectory() as place:
            parts, built = Path(place) / f"{name}.o", Path(place) / f"{name}.so"
            subprocess.run([compiler, *flags, "-fopenmp", "-c", source, "-o", parts], check=True, capture_output=True)
            # Linked without OpenMP's library: the one that torch has loaded serves both, and its threads do not wait for
            # the processor while those of another one work.
            subprocess.run([compiler, "-shared", parts, "-o", built], check=True, capture_output=True)
            return ctypes.CDLL(str(built))
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", b"").decode(errors="replace").strip() or error
        print(f"{name}.cpp is not compiled, PyTorch does its work more slowly: {reason}", file=sys.stderr)
        return None
