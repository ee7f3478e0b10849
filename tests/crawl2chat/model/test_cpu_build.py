"""A compiler that is missing, fails or hangs costs speed and a warning, nothing else."""

import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from model_toys import noisy

from crawl2chat.model.config import ModelConfig
from crawl2chat.model.cpu import attention, build, decoding
from crawl2chat.model.generate import Sampling, generate

MODEL = ModelConfig(75, 48, 3, 4, 2, 16, 80, 320)


@pytest.fixture
def empty_cache() -> Iterator[None]:
    build.compiled_library.cache_clear()
    yield
    build.compiled_library.cache_clear()


def completions(seed: int = 0) -> list[list[int]]:
    done = generate(noisy(MODEL), [[1, 2, 3], [4]], Sampling(20, temperature=0), seed=seed, dtype=torch.float32)
    return [completion.ids for completion in done]


def test_without_a_compiler_pytorch_answers_and_says_why(monkeypatch, caplog, empty_cache) -> None:
    expected = completions()
    build.compiled_library.cache_clear()
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert completions() == expected
    assert "more slowly" in caplog.text and "no-such-compiler" in caplog.text
    with pytest.raises(ValueError, match="cannot be compiled here: use the kernel sdpa"):
        attention.attend(*[torch.zeros(1, 1, 1, 32)] * 3, torch.zeros(1, 1, dtype=torch.long))


def test_the_compilers_own_words_are_in_the_warning(monkeypatch, caplog, empty_cache) -> None:
    monkeypatch.setenv("CXX", "c++ --no-such-option")
    assert build.library("attend.cpp", torch.float32) is None
    assert "no-such-option" in caplog.text


def test_a_compiler_that_hangs_is_ended_with_what_it_started(monkeypatch, caplog, tmp_path: Path, empty_cache) -> None:
    script = tmp_path / "compiler"
    script.write_text(f"#!/bin/sh\nsleep 1000 &\necho $! > {tmp_path}/pid\nwait\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CXX", str(script))
    monkeypatch.setattr(build, "TIME_LIMIT", 1.0)
    assert build.library("decode.cpp", torch.float32) is None
    assert "timed out after 1.0 seconds" in caplog.text
    for _ in range(50):
        if not is_running(int((tmp_path / "pid").read_text())):
            break
        time.sleep(0.1)
    else:
        pytest.fail("what the compiler started still runs")


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_kernels_can_be_turned_off_one_by_one(monkeypatch) -> None:
    model = noisy(MODEL)
    assert attention.fits(32, torch.float32) and decoding.fits(model, torch.float32)
    monkeypatch.setenv(build.SWITCH, "attend")
    assert not attention.fits(32, torch.float32) and decoding.fits(model, torch.float32)
    monkeypatch.setenv(build.SWITCH, "attend,decode")
    assert not attention.fits(32, torch.float32) and not decoding.fits(model, torch.float32)


def test_a_call_with_too_few_arguments_is_refused() -> None:
    for source, functions in {"attend.cpp": ("attend", "attend_backward"), "decode.cpp": ("decode",)}.items():
        for function in functions:
            with pytest.raises(ValueError, match=f"{function}: the number of arguments is not the one"):
                build.library(source, torch.float32).call(function, [1] * 3, [0] * 3)
