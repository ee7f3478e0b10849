"""The chat in the terminal: what a person types and sees, for assistants and for the base model."""

import builtins
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crawl2chat.chat import __main__ as terminal
from crawl2chat.chat.search import INDEX_FILE, write_index


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def lines(*said: str) -> None:
        waiting = iter(said)

        def ask(prompt: str = "") -> str:
            line = next(waiting, None)
            if line is None:
                raise EOFError
            return line

        monkeypatch.setattr(builtins, "input", ask)

    return lines


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tokenizer: Any) -> Callable[[Any], None]:
    return lambda model: monkeypatch.setattr(terminal, "load", lambda folder: (model, tokenizer))


def echo(prompt: str) -> str:
    """Says how many turns of the user's it has seen."""
    return f" turn {prompt.count('<|user|>')}<|end|>"


def test_one_shot_shows_the_answer_and_the_tools_work(
    scripted: Callable[..., Any], loaded: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    loaded(scripted(lambda p: " It is 408.<|end|>" if "408" in p else " So:<|tool_call|> 12*34<|end|>"))
    assert terminal.main(["--prompt", "12 times 34?"]) == 0
    assert capsys.readouterr().out == "So:[12*34 → 408] It is 408.\n"


def test_an_answer_shows_the_pages_that_it_cites(
    scripted: Callable[..., Any], loaded: Callable[[Any], None], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write_index([("1", "https://a.example/", "Notes", "Zist lies in Peru, by the sea.")], tmp_path / INDEX_FILE, 120)
    loaded(scripted(lambda p: " Peru [1].<|end|>" if "Peru" in p else "<|tool_call|> search(Zist)<|end|>"))
    assert terminal.main(["--models", str(tmp_path), "--prompt", "Where?"]) == 0
    found = "[search(Zist) → [1] Zist lies in Peru, by the sea.] "
    assert capsys.readouterr().out == found + "Peru [1].\n[1] Notes — https://a.example/\n"


def test_a_talk_remembers_until_it_starts_over(
    scripted: Callable[..., Any],
    loaded: Callable[[Any], None],
    typed: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    loaded(scripted(echo))
    typed("hi", "", "again", "/new", "hello")
    assert terminal.main([]) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if "turn" in line] == [
        "chat › turn 1",
        "chat › turn 2",
        "chat › turn 1",
    ]
    assert "tools: calculator" in shown


def test_the_oldest_exchange_is_forgotten_when_the_context_is_full(
    scripted: Callable[..., Any],
    loaded: Callable[[Any], None],
    typed: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    loaded(scripted(echo, context=80))
    typed("a" * 20, "b" * 20, "c" * 200, "d")
    assert terminal.main(["--system", "Be kind."]) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if "turn" in line] == ["chat › turn 1"] * 2 + ["chat › turn 2"]
    assert "That is too long for this model, which reads 80 tokens at once" in shown


def test_the_base_model_continues_the_text(
    monkeypatch: pytest.MonkeyPatch, loaded: Callable[[Any], None], capsys: pytest.CaptureFixture[str], tokenizer: Any
) -> None:
    prompts = []

    def stream(model: Any, prompt: list[int], sampling: Any, **rest: Any) -> Iterator[Any]:
        prompts.append(tokenizer.decode(prompt, specials=True))
        return (SimpleNamespace(id=i) for i in [*tokenizer.encode(" upon a time"), tokenizer.bos])

    monkeypatch.setattr("crawl2chat.model.generate.stream", stream)
    loaded(SimpleNamespace(config=SimpleNamespace(max_position_embeddings=100)))
    assert terminal.main(["--model", "base", "--prompt", "Once"]) == 0
    assert prompts == ["<|bos|>Once"]
    assert capsys.readouterr().out == "Once upon a time\n"


def test_an_answer_can_be_stopped_and_the_talk_goes_on(
    monkeypatch: pytest.MonkeyPatch,
    scripted: Callable[..., Any],
    loaded: Callable[[Any], None],
    typed: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    def reply(prompt: str) -> str:
        if "stop" in prompt:
            raise KeyboardInterrupt
        return echo(prompt)

    loaded(scripted(reply))
    typed("stop", "go on")
    assert terminal.main([]) == 0
    shown = capsys.readouterr().out
    assert "(stopped)" in shown and "chat › turn 1" in shown  # what was stopped is not remembered


def test_a_model_that_is_not_there_is_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text("{}")
    assert terminal.main(["--models", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert (
        "no such model; choose --model base, or train it, or name the folder of the models with --models" in told
        and "Traceback" not in told
    )
