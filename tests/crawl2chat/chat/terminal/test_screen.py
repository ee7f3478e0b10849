"""Text of others reaches the terminal as text: what would steer it is spelled."""

import builtins
import sys

import pytest

from crawl2chat.chat.terminal.screen import Screen, harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\rb\x08\x7f\x9b", "a\\rb\\x08\\x7f\\x9b"),
        ("\u202e\u2066\u200f\ufeff\u2028", "\\u202e\\u2066\\u200f\\ufeff\\u2028"),
        ("\ud800\U000e0041", "\\ud800\\U000e0041"),
        ("Zoë 12\u00a0€ 你好 🙂\n\tb", "Zoë 12\u00a0€ 你好 🙂\n\tb"),
    ],
)
def test_control_characters_are_spelled_and_letters_stay(text: str, shown: str) -> None:
    assert harmless(text) == shown


def test_only_styles_send_escapes_and_lines_of_a_turn_are_indented(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen()
    screen.colours = True
    screen.write("\x1b[0m a\nb", "dim", indent=2)
    assert capsys.readouterr().out == "\x1b[2m\\x1b[0m a\n  b\x1b[0m"
    screen.colours = False
    screen.write("a", "dim")
    assert capsys.readouterr().out == "a"


@pytest.mark.parametrize("terminal", [True, False])
def test_control_c_drops_a_line_that_is_typed_and_leaves_a_pipe(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(builtins, "input", interrupted)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: terminal)
    if terminal:
        assert Screen().ask() == ""
    else:
        with pytest.raises(KeyboardInterrupt):
            Screen().ask()
