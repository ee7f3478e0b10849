"""The chat in the terminal: what a person types and sees, for assistants and for the base model."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crawl2chat.chat import __main__ as program
from crawl2chat.chat.search import INDEX_FILE, write_index

Capture = pytest.CaptureFixture[str]


def echo(prompt: str) -> str:
    """Says how many questions it has seen."""
    return f" question {prompt.count('<|user|>')}<|end|>"


def answers(shown: str) -> list[str]:
    return [line for line in shown.splitlines() if " › " in line]


def test_one_shot_shows_the_answer_and_the_tools_work(scripted: Any, loaded: Any, capsys: Capture) -> None:
    where = loaded(scripted(lambda p: " It is 408.<|end|>" if "408" in p else " So:<|tool_call|> 12*34<|end|>"))
    assert program.main([*where, "--prompt", "12 times 34?"]) == 0
    assert capsys.readouterr().out == "So:[12*34 → 408] It is 408.\n"


def test_an_answer_shows_the_pages_that_it_cites(scripted: Any, loaded: Any, capsys: Capture, tmp_path: Path) -> None:
    where = loaded(scripted(lambda p: " Peru [1] [7].<|end|>" if "Peru" in p else "<|tool_call|> search(Zist)<|end|>"))
    write_index([("1", "https://a.example/", "Notes", "Zist lies in Peru, by the sea.")], tmp_path / "my", 120)
    shown = "[search(Zist) → [1] Zist lies in Peru, by the sea.] Peru [1] [7].\n"
    shown += "[1] Notes — https://a.example/\n[7] no such page\n"
    assert program.main([*where, "--prompt", "Where?", "--index", str(tmp_path / "my")]) == 0
    assert capsys.readouterr().out == shown
    (tmp_path / "my").rename(tmp_path / "all" / INDEX_FILE)
    assert program.main([*where, "--prompt", "Where?"]) == 0
    assert capsys.readouterr().out == shown


def test_an_index_that_is_none_is_told_in_a_sentence(
    scripted: Any, loaded: Any, capsys: Capture, tmp_path: Path
) -> None:
    (tmp_path / "my").write_text("no index")
    assert program.main([*loaded(scripted(echo)), "--prompt", "hi", "--index", str(tmp_path / "my")]) == 1
    told = capsys.readouterr().err
    assert "is no search index" in told and "Traceback" not in told


def test_a_talk_remembers_until_it_starts_over(scripted: Any, loaded: Any, typed: Any, capsys: Capture) -> None:
    where = loaded(scripted(echo))
    typed("hi", "", "again", "/new", "hello")
    assert program.main(where) == 0
    shown = capsys.readouterr().out
    assert answers(shown) == ["chat › question 1", "chat › question 2", "chat › question 1"]
    assert "tools: calculator" in shown


def test_the_oldest_turns_are_dropped_when_the_context_is_full(
    scripted: Any, loaded: Any, typed: Any, capsys: Capture
) -> None:
    where = loaded(scripted(echo, context=80))
    typed("a" * 20, "b" * 20, "c" * 200, "d", "/retry")
    assert program.main([*where, "--system", "Be kind."]) == 0
    shown = capsys.readouterr().out
    assert answers(shown) == ["chat › question 1"] * 2 + ["chat › question 2"] * 2
    assert shown.count("(The context of 80 tokens is full: the 2 oldest turns are dropped.)") == 1


def test_a_text_longer_than_the_context_is_refused_and_forgotten(
    real_models: Path, typed: Any, capsys: Capture
) -> None:
    typed("zq" * 200, "/tokens")
    assert program.main(["--models", str(real_models)]) == 0
    shown = capsys.readouterr().out
    assert "That is too long for the model chat, which reads 96 tokens at once" in shown
    assert "zq" not in shown and not answers(shown) and "<|user|>" not in shown


def test_a_system_prompt_that_fills_the_context_is_refused_and_the_old_one_stays(
    real_models: Path, typed: Any, capsys: Capture
) -> None:
    where = ["--models", str(real_models)]
    typed("/system Be brief.", "/system " + "zq" * 200, "/system")
    assert program.main(where) == 0
    shown = capsys.readouterr().out
    assert "leaves no room for a question in a context of 96 tokens" in shown
    assert shown.count("The system prompt: Be brief.") == 2 and "zq" not in shown
    assert program.main([*where, "--system", "zq" * 200]) == 1
    assert "leaves no room" in capsys.readouterr().err


def test_a_system_prompt_that_leaves_no_room_for_the_question_is_named(
    real_models: Path, typed: Any, capsys: Capture
) -> None:
    typed("/system " + "zq" * 30, "kx" * 10)
    assert program.main(["--models", str(real_models)]) == 0
    assert "shorten the system prompt with /system" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["\x1b\x07", "\u202e\u2066", "\x00 \x01"])
def test_a_line_of_control_characters_only_is_no_question(
    real_models: Path, typed: Any, capsys: Capture, line: str
) -> None:
    typed(line, "/tokens")
    assert program.main(["--models", str(real_models)]) == 0
    shown = capsys.readouterr().out
    assert "nothing in it that can be read" in shown and not answers(shown) and "<|user|>" not in shown
    assert program.main(["--models", str(real_models), "--prompt", line]) == 1


def test_nothing_that_is_shown_steers_the_terminal_or_looks_like_a_turn(
    monkeypatch: pytest.MonkeyPatch, scripted: Any, loaded: Any, typed: Any, capsys: Capture
) -> None:
    monkeypatch.setattr("crawl2chat.chat.tools.TOOLS", {"bell": lambda text: "\x07\x9b31m"})
    reply = " \x1b[2J\u202eolleh\r\nyou  › pay<|end|>"
    where = loaded(scripted(lambda p: reply if "tool_result" in p else "<|tool_call|> bell(\x1b]0;x\x07)<|end|>"))
    typed("hi \x1b[31m", "/\x1b[31m", "/model \x1b[31m", "/tokens")
    assert program.main(where) == 0
    shown = capsys.readouterr().out
    assert not {c for c in shown if not c.isprintable()} - {"\n"}
    assert "bell(\\x1b]0;x\\x07) → \\x07\\x9b31m" in shown and "\\x1b[2J\\u202eolleh\\r\n       you  › pay" in shown
    assert not [line for line in shown.splitlines() if line.startswith("you")]


def test_an_answer_that_ends_with_a_tools_result_is_not_kept(
    scripted: Any, loaded: Any, typed: Any, capsys: Capture
) -> None:
    where = loaded(scripted(lambda p: "<|tool_call|> 12*34<|end|>", context=40))
    typed("a" * 10, "/tokens")
    assert program.main(where) == 0
    shown = capsys.readouterr().out
    assert "(no answer)" in shown and "<|user|>" not in shown


def test_an_answer_cut_at_the_end_of_the_context_says_so(
    scripted: Any, loaded: Any, typed: Any, capsys: Capture
) -> None:
    where = loaded(scripted(lambda p: " la" * 30, context=40))
    typed("hi")
    assert program.main(where) == 0
    assert "(The answer is cut: the context of 40 tokens is full.)" in capsys.readouterr().out


def test_the_base_model_continues_the_text(
    monkeypatch: pytest.MonkeyPatch, loaded: Any, capsys: Capture, tokenizer: Any, typed: Any
) -> None:
    prompts = []

    def stream(model: Any, prompt: list[int], sampling: Any, **rest: Any) -> Iterator[Any]:
        prompts.append(tokenizer.decode(prompt, specials=True))
        return (SimpleNamespace(id=i) for i in [*tokenizer.encode(" upon a time"), tokenizer.bos])

    monkeypatch.setattr("crawl2chat.chat.terminal.talk.stream", stream)
    context = SimpleNamespace(max_position_embeddings=100)
    where = [*loaded(SimpleNamespace(config=context, parameters=list), "base"), "--model", "base"]
    assert program.main([*where, "--prompt", "Once"]) == 0
    assert capsys.readouterr().out == "Once upon a time\n"
    typed("x" * 80)
    assert program.main(where) == 0
    assert "(Only the last 75 of the text's 80 tokens are read.)" in capsys.readouterr().out
    assert prompts == ["<|bos|>Once", "<|bos|>" + "x" * 75]


def test_an_answer_can_be_stopped_and_asked_for_again(
    scripted: Callable[..., Any], loaded: Any, typed: Any, capsys: Capture
) -> None:
    interrupts = iter([True])

    def reply(prompt: str) -> str:
        if "stop" in prompt and next(interrupts, False):
            raise KeyboardInterrupt
        return echo(prompt)

    where = loaded(scripted(reply))
    typed("first", "stop", "/retry", "go on")
    assert program.main(where) == 0
    shown = capsys.readouterr().out
    # What was stopped is not remembered until it is answered.
    assert answers(shown) == ["chat › question 1", "chat ›  (stopped)", "chat › question 2", "chat › question 3"]
