"""The simulator's tables count what they say they count."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from crawl2chat.evaluation import simulator
from crawl2chat.evaluation.simulator import PROMPT, RECITAL, recital_windows, window_hashes

BOS = 99
WIDTH = PROMPT + RECITAL


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8, 13])
def test_runs_have_equal_hashes_exactly_when_they_are_equal(width) -> None:
    ids = np.random.default_rng(0).integers(0, 3, 400).astype(np.uint16)
    hashes = window_hashes(ids, width)
    runs = [tuple(ids[i : i + width]) for i in range(len(ids) - width + 1)]
    assert len(hashes) == len(runs)
    assert len({(run, int(number)) for run, number in zip(runs, hashes, strict=True)}) == len(set(runs))
    assert len(set(hashes.tolist())) == len(set(runs))


@pytest.fixture(scope="module")
def corpus() -> tuple[np.ndarray, np.ndarray]:
    """A document once, one five times, one twenty times; and a held-out text of which half was in training too."""
    rng = np.random.default_rng(1)
    once, some, often, new = (np.append(BOS, rng.integers(0, 90, 80)) for _ in range(4))
    order = [once] + [some] * 5 + [often] * 20
    return np.concatenate(order).astype(np.uint16), np.concatenate([new, once]).astype(np.uint16)


def test_windows_fall_into_the_band_of_their_occurrences(corpus) -> None:
    train, held_out = corpus
    runs = Counter(tuple(train[i : i + WIDTH]) for i in range(len(train) - WIDTH + 1))
    found = recital_windows(train, held_out, BOS, each=10, seed=0)
    assert set(found) == {(0, 0), (1, 1), (4, 7), (16, 10**12)}
    for (low, high), windows in found.items():
        assert len(windows) == 10 and BOS not in windows
        assert len({tuple(w) for w in windows.tolist()}) == 10
        assert all(low <= runs[tuple(w)] <= high for w in windows.tolist())


def test_reciting_means_every_token(corpus, monkeypatch) -> None:
    windows = recital_windows(*corpus, BOS, each=10, seed=0)
    known = {tuple(w[:PROMPT]): w[PROMPT:] for w in windows[16, 10**12].tolist()}
    almost = {tuple(w[:PROMPT]): [*w[PROMPT:-1], 1 + w[-1]] for w in windows[4, 7].tolist()}

    def generate(model, prompts, sampling):
        return [SimpleNamespace(ids=(known | almost).get(tuple(p[1:]), [0] * RECITAL)) for p in prompts]

    monkeypatch.setattr(simulator, "generate", generate)
    table = simulator.regurgitation(None, SimpleNamespace(bos=BOS), windows)
    assert [(line["what"], line["value"], line["n"]) for line in table] == [
        ("held out", 0.0, 10),
        ("1", 0.0, 10),
        ("4-7", 0.0, 10),
        ("16+", 1.0, 10),
    ]
    assert table[-1]["low"] == pytest.approx(0.7225, abs=1e-3)


def test_shots_show_other_words_of_the_same_pattern(monkeypatch) -> None:
    tasks = [
        SimpleNamespace(answer=f"{word}{kind}", meta={"pattern": kind, "zero_shot": f"{word} >"})
        for kind in ("up", "first")
        for word in "abcdefghij"
    ]
    seen: list[str] = []

    def continuations(model, tokenizer, prompts, **rest):
        seen.extend(prompts)
        return [f" {p.split()[-2]}up; x" for p in prompts]

    monkeypatch.setattr(simulator, "continuations", continuations)
    table = simulator.patterns_by_shots(None, None, tasks, seed=0)
    assert [(line["what"], line["value"], line["n"]) for line in table] == [(str(k), 0.5, 20) for k in simulator.SHOTS]
    for prompt in seen:
        *shown, asked = [part.split(" >") for part in prompt.strip().split("; ")]
        assert len(shown) in simulator.SHOTS and asked[0] not in [word for word, _ in shown]
        assert len({answer.strip()[1:] for _, answer in shown}) <= 1
