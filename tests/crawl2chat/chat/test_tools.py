"""The calculator is exact, bounded and never evaluates; every call is answered with text, in bounded time."""

import sys
import threading
import time
from pathlib import Path

import pytest

from crawl2chat.chat.search import with_search, write_index
from crawl2chat.chat.tools import (
    NOT_FOUND,
    TOOLS,
    Source,
    calculator,
    parse_call,
    run_tool,
    run_tool_in_time,
    tool,
)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("12*34", "408"),
        ("9.9 - 9.11", "0.79"),
        ("0.1 + 0.2", "0.3"),
        ("1/3*3", "1"),
        ("1/3", "0.333333333333"),
        ("10 ÷ 4", "2.5"),
        ("3 × (4 − 1) =", "9"),
        ("-7 // 2", "-4"),
        ("7.5 % 2", "1.5"),
        ("2**100", "1267650600228229401496703205376"),
        ("2**-2", "0.25"),
        ("123456789012345678901234567890 + 1", "123456789012345678901234567891"),
        ("1,000 + 007", "1007"),
        ("1/10**15", "1e-15"),
        ('len("ubiquitous")', "10"),
        ('"strawberry".count("r")', "3"),
        ('len("a,bcd") * 2', "10"),
    ],
)
def test_calculator_is_exact(expression: str, result: str) -> None:
    assert calculator(expression) == result


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("1/0", "division by zero"),
        ("5 % 0", "division by zero"),
        ("0**-1", "division by zero"),
        ("2**0.5", "whole"),
        ("(1+", "not an expression"),
        ("", "not an expression"),
        ("1 + " * 60 + "1", "longer than"),
        ("9**9**9**9", "too large"),
        ("1e999", "too large"),
        ("(1/3)**-99999999", "too large"),
        ("((2**500)*(2**500))", "too large"),
        ("True + 1", "not a number"),
        ('__import__("os")', "only numbers"),
        ("(1).__class__", "only numbers"),
        ('"a" * 999999999', "only numbers"),
        ('"a".format("b")', "only numbers"),
        ("[n for n in (1,)]", "only numbers"),
        ("1 if 1 else 2", "only numbers"),
        ("x := 1", "not an expression"),
        ("1 << 99999999999", "only numbers"),
        ("\x00", "not an expression"),
        ("(" * 190 + "1" + ")" * 5, "not an expression"),
    ],
)
def test_calculator_refuses_in_words_and_at_once(expression: str, reason: str) -> None:
    start = time.perf_counter()
    result = calculator(expression)
    assert result.startswith("error: ") and reason in result
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("text", "call"),
    [
        (" 12*34", ("calculator", "12*34")),
        ("calculator(12*34)", ("calculator", "12*34")),
        ('len("abc")', ("calculator", 'len("abc")')),
        ("(1+2)*(3)", ("calculator", "(1+2)*(3)")),
        ('search({"query": "f(x)"})', ("search", '{"query": "f(x)"}')),
    ],
)
def test_a_bare_expression_is_meant_for_the_calculator(text: str, call: tuple[str, str]) -> None:
    assert parse_call(text) == call


def test_a_tool_is_a_registered_function_and_its_errors_are_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawl2chat.chat.tools.TOOLS", dict(TOOLS))

    @tool
    def reverse(arguments: str) -> str:
        return arguments[::-1]

    @tool
    def broken(arguments: str) -> str:
        raise RuntimeError("out of order")

    assert run_tool("reverse", "abc").text == "cba"
    assert run_tool("reverse", "").text == "nothing"  # a turn of the tool's may not be empty
    assert run_tool("broken", "x").text == "error: out of order"
    there = ", ".join(sorted([*TOOLS, "broken", "reverse"]))
    assert run_tool("oven", "x").text == f"error: no tool oven; there are: {there}"


@pytest.mark.parametrize("wait", ["sleeping", "working"])
def test_a_tool_that_hangs_is_given_up(wait: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawl2chat.chat.tools.TIME_LIMIT", 0.2)
    stop = threading.Event()

    def hang(arguments: str) -> str:
        while not stop.is_set():
            time.sleep(0.1 if wait == "sleeping" else 0)
        return "too late"

    start = time.perf_counter()
    assert run_tool_in_time("hang", "x", {"hang": hang}).text == "error: no result within 0.2 seconds"
    assert time.perf_counter() - start < 2
    stop.set()


def test_what_a_tool_may_do_wrong_is_a_result() -> None:
    def leave(arguments: str) -> str:
        sys.exit("bye")

    tools = {"leave": leave, "none": lambda arguments: None, "number": lambda arguments: 7}
    assert run_tool("leave", "", tools).text == "error: bye"
    for name in ("none", "number"):
        assert run_tool(name, "", tools).text.startswith("error: ")  # type: ignore[arg-type]


def test_sources_are_numbered_and_no_source_is_a_sentence() -> None:
    pages = [Source("A is B.", "Title", "https://a.example/"), Source("C is D.", "", "https://c.example/")]
    tools = {"find": lambda arguments: pages if arguments else []}
    assert run_tool("find", "x", tools) == ("[1] A is B. [2] C is D.", tuple(pages))
    assert run_tool("find", "x", tools, first=4).text == "[4] A is B. [5] C is D."
    assert run_tool("find", "", tools) == (NOT_FOUND, ())


def test_search_is_the_registry_and_one_tool_more(tmp_path: Path) -> None:
    write_index([("1", "https://a.example/", "Title", "Zist lies in Peru, by the sea.")], tmp_path / "index", 120)
    tools = with_search(tmp_path / "index")
    assert set(tools) == {*TOOLS, "search"} and set(with_search(None)) == set(TOOLS)
    found = Source("Zist lies in Peru, by the sea.", "Title", "https://a.example/")
    assert run_tool("search", "Zist country", tools) == (f"[1] {found.passage}", (found,))
    assert {run_tool("search", query, tools).text for query in ("Bruno", '"*"', "")} == {NOT_FOUND}


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("letters( cat)", "c-a-t: 3 letters"),
        ('letters("strawberry")', "s-t-r-a-w-b-e-r-r-y: 10 letters"),
        ("letters()", "error: no word"),
        ("count( r, strawberry)", "3"),
        ("count( R, strawberry)", "3"),
        ('count( "n", banana)', "2"),
        ("count( .......)", "7"),
    ],
)
def test_letters_are_seen_by_tools(call: str, result: str) -> None:
    name, arguments = parse_call(call)
    assert run_tool(name, arguments).text == result
