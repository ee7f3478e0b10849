"""The lines typed are kept for the next session, so many and no more, and never stand in the way."""

import sys
from pathlib import Path

import pytest

from crawl2chat.chat.terminal import history

readline = pytest.importorskip("readline")


@pytest.fixture(autouse=True)
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readline.clear_history()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)


def lines() -> list[str]:
    return [readline.get_history_item(i + 1) for i in range(readline.get_current_history_length())]


def test_lines_are_there_in_the_next_session_the_newest_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "LINES", 3)
    with history.kept():
        for line in "abcde":
            readline.add_history(line)
    readline.clear_history()
    with history.kept():
        assert lines() == ["c", "d", "e"]


def test_a_state_folder_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with history.kept():
        readline.add_history("a")
    assert (tmp_path / "state").read_text() == "a file"


def test_a_session_that_fails_keeps_its_lines() -> None:
    with pytest.raises(EOFError), history.kept():
        readline.add_history("a")
        raise EOFError
    readline.clear_history()
    with history.kept():
        assert lines() == ["a"]


def test_lines_from_a_pipe_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with history.kept():
        readline.add_history("a")
    assert not (tmp_path / "state").exists()
