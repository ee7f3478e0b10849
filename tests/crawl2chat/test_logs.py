"""Log records reach the terminal as a person and a flow read them."""

import logging

import pytest

from crawl2chat.errors import UserError
from crawl2chat.logs import configure


def speak() -> None:
    logger = logging.getLogger("crawl2chat.training.loop")
    for level in ("debug", "info", "warning", "error"):
        getattr(logger, level)("%s %d", level, 1)


def test_information_is_plain_output_and_warnings_are_marked_on_standard_error(capsys, monkeypatch) -> None:
    monkeypatch.delenv("CRAWL2CHAT_LOG_LEVEL", raising=False)
    configure()
    configure()  # no message comes twice
    speak()
    shown = capsys.readouterr()
    assert shown.out == "info 1\n"
    assert shown.err == "warning: warning 1\nerror: error 1\n"


def test_the_environment_sets_the_level(capsys, monkeypatch) -> None:
    monkeypatch.setenv("CRAWL2CHAT_LOG_LEVEL", "debug")
    configure()
    speak()
    assert capsys.readouterr().out == "debug 1\ninfo 1\n"
    monkeypatch.setenv("CRAWL2CHAT_LOG_LEVEL", "loud")
    with pytest.raises(UserError, match="CRAWL2CHAT_LOG_LEVEL is 'LOUD'; the levels are DEBUG"):
        configure()


def test_a_quiet_process_only_warns(capsys, monkeypatch) -> None:
    monkeypatch.setenv("CRAWL2CHAT_LOG_LEVEL", "DEBUG")
    configure(quiet=True)
    speak()
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err == "warning: warning 1\nerror: error 1\n"
