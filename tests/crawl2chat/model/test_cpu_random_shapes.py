"""Both attentions and both decoders give what the network gives, whatever its shape; and the compiled ones stay within
their memory, as AddressSanitizer sees it."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from model_toys import noisy

from crawl2chat.model.config import ModelConfig, RopeScaling
from crawl2chat.model.cpu import attention, decoding
from crawl2chat.model.decoders import CompiledDecoder, TorchDecoder
from crawl2chat.model.network import Kernel, Transformer

ROOT = Path(__file__).parents[3]


def random_model(rng: np.random.Generator) -> Transformer:
    kv_heads = int(rng.integers(1, 4))
    config = ModelConfig(
        vocab_size=int(rng.integers(40, 200)),
        hidden_size=16 * int(rng.integers(1, 6)),
        num_hidden_layers=int(rng.integers(1, 4)),
        num_attention_heads=kv_heads * int(rng.integers(1, 4)),
        num_key_value_heads=kv_heads,
        head_dim=32 * int(rng.integers(1, 4)),
        intermediate_size=16 * int(rng.integers(1, 8)),
        max_position_embeddings=160,
        rope_scaling=RopeScaling(8.0, 1.0, 4.0, 64) if rng.random() < 0.3 else None,
        tie_word_embeddings=bool(rng.random() < 0.5),
        qk_norm=bool(rng.random() < 0.5),
    )
    return noisy(config, seed=int(rng.integers(1000)), vocab_multiple=int(rng.choice([1, 64])))


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest difference, as a share of the largest value."""
    return ((found.double() - expected.double()).abs().max() / (1e-3 + expected.double().abs().max())).item()


def compare_attentions(model: Transformer, rng: np.random.Generator) -> None:
    """Losses and gradients of packed rows, in both precisions, against those of SDPA in float32."""
    B, T = int(rng.integers(1, 5)), int(rng.integers(1, 150))
    ids = torch.from_numpy(rng.integers(0, model.config.vocab_size, (B, T)))
    documents = torch.from_numpy(np.sort(rng.integers(0, 5, (B, T)))) if rng.random() < 0.8 else None

    def learned(kernel: Kernel, half: bool) -> list[torch.Tensor]:
        model.kernel = kernel
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            losses = model.token_losses(model(ids, documents), ids.roll(-1, 1))
        losses.mean().backward()
        return [losses.detach(), *(weight.grad.clone() for weight in model.parameters())]

    exact = learned("sdpa", False)
    for expected, found in zip(exact, learned("compiled", False), strict=True):
        assert difference(found, expected) < 2e-4
    for expected, theirs, found in zip(exact, learned("sdpa", True), learned("compiled", True), strict=True):
        assert difference(found, expected) < 2 * difference(theirs, expected) + 0.02


@torch.inference_mode()
def compare_decoders(model: Transformer, rng: np.random.Generator) -> None:
    """Scores after prompts of any lengths and after each of the next tokens, against the network over the whole
    text."""
    texts = [rng.integers(0, model.config.vocab_size, n) for n in rng.integers(5, 150, int(rng.integers(1, 9)))]
    slots = rng.permutation(len(texts))
    model.kernel = "sdpa"
    expected = torch.stack([model.logits(model(torch.from_numpy(text)[None]))[0, -5:] for text in texts])
    for kind in (TorchDecoder, CompiledDecoder):
        for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 0.05)):
            decoder = kind(model, len(texts), dtype)
            scores = [decoder.read([text[:-4].tolist() for text in texts], slots)]
            for step in range(-4, 0):
                ids, places = np.array([text[step] for text in texts]), np.array([len(text) + step for text in texts])
                scores.append(decoder.step(ids, places, slots))
            assert difference(torch.stack(scores, 1), expected) < tolerance, (kind, dtype)


def compare(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    assert attention.fits(model.config.head_dim, torch.bfloat16) and decoding.fits(model, torch.bfloat16)
    compare_attentions(model, rng)
    compare_decoders(model, rng)


@pytest.mark.parametrize("seed", range(8))
def test_every_way_gives_what_the_network_gives(seed: int) -> None:
    compare(seed)


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_compiled_code_stays_within_its_memory(compiler: str, tmp_path: Path) -> None:
    runtime = sanitizer(compiler, tmp_path)
    if runtime is None:
        pytest.skip(f"{compiler} has no AddressSanitizer here")
    environment = os.environ | {
        "CXX": f"{compiler} -fsanitize=address {'-shared-libasan' if compiler == 'clang++' else ''}",
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests/toys'}",
    }
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "compared" in done.stdout, done.stderr[-4000:]


def sanitizer(compiler: str, folder: Path) -> str | None:
    """The library that has to be loaded first, if the compiler can build with it."""
    name = "libasan.so" if compiler == "g++" else "libclang_rt.asan-x86_64.so"
    (folder / "empty.cpp").write_text("")
    command = f"{compiler} -fsanitize=address -fopenmp -shared -fPIC empty.cpp -o empty.so"
    try:
        subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)
        found = subprocess.run([compiler, f"-print-file-name={name}"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip() if Path(found.stdout.strip()).is_file() else None


if __name__ == "__main__":
    for number in range(100, 103):
        compare(number)
    print("compared")
