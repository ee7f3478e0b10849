"""Tools the assistant may call while it answers, and the registry that a user adds one to.

In: the text behind `<|tool_call|>`, such as `12*34` (the calculator) or `name(arguments)`. Out: the result as text,
never empty; an error is a result too, since a model can react to it. A new tool is a
function from text to text:

    @tool
    def reverse(arguments: str) -> str:
        return arguments[::-1]

A tool that finds passages returns a list of `Source`: the result numbers them, and an answer that ends in `[1]` cites
the first one's page (loop.py). A tool that needs a file, as `search` does, is no part of the registry: search.py.
"""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from threading import Thread
from typing import NamedTuple

from crawl2chat.chat.conversation import DEFAULT_TOOL


class Source(NamedTuple):
    """A passage, and the page that it stands on."""

    passage: str
    title: str
    address: str


Tool = Callable[[str], str | list[Source]]
TOOLS: dict[str, Tool] = {}

NAMED_CALL = re.compile(r"([A-Za-z_]\w*)\((.*)\)", re.DOTALL)
FAILED = "error: "  # how a result begins that is none
NOT_FOUND = "No page tells this."  # instead of sources
TIME_LIMIT = 10.0  # seconds

# Bounds on the calculator. Within them no operation takes longer than a few microseconds.
MAX_LENGTH = 200  # characters of an expression
MAX_BITS = 512  # of a numerator or denominator: about 150 digits
DECIMALS = 12  # shown of a result that is not whole

Number = int | Fraction


class Result(NamedTuple):
    """What a tool gave: the text that enters the conversation, and the sources behind its numbers, if it has any."""

    text: str
    sources: tuple[Source, ...] = ()


def tool(function: Tool) -> Tool:
    """Registers a tool under the function's name."""
    TOOLS[function.__name__] = function
    return function


def parse_call(text: str) -> tuple[str, str]:
    """(name, arguments) of a call as the model wrote it: `name(arguments)`, or a bare expression for the calculator."""
    text = text.strip()
    match = NAMED_CALL.fullmatch(text)
    if match and match[1] not in FUNCTIONS:
        return match[1], match[2]
    return DEFAULT_TOOL, text


def run_tool(name: str, arguments: str, tools: Mapping[str, Tool] | None = None, first: int = 1) -> Result:
    """The result of one of the tools, by default of the registry; its sources are numbered from `first`.

    Never raises: an unknown tool or a failing one gives a result that says so.
    """
    tools = TOOLS if tools is None else tools
    if name not in tools:
        return Result(f"{FAILED}no tool {name}; there are: {', '.join(sorted(tools))}")
    try:
        given = tools[name](arguments)
        if isinstance(given, str):
            return Result(given.strip() or "nothing")
        numbered = [f"[{number}] {source.passage}" for number, source in enumerate(given, start=first)]
        return Result(" ".join(numbered) or NOT_FOUND, tuple(given))
    except (Exception, SystemExit) as error:  # a tool of the user's may raise anything, and the conversation must go on
        return Result(f"{FAILED}{error}")


def run_tool_in_time(name: str, arguments: str, tools: Mapping[str, Tool] | None = None, first: int = 1) -> Result:
    """`run_tool`, but a tool that takes longer than `TIME_LIMIT` gives a result that says so.

    It goes on in its thread, which ends with the process.
    """
    done: list[Result] = []
    thread = Thread(target=lambda: done.append(run_tool(name, arguments, tools, first)), daemon=True)
    thread.start()
    thread.join(TIME_LIMIT)
    return done[0] if done else Result(f"{FAILED}no result within {TIME_LIMIT:g} seconds")


@tool
def calculator(expression: str) -> str:
    """Exact arithmetic on + - * / // % ** and parentheses (also × and ÷), `len("...")` and `"...".count("...")`.

    Fractions are exact until the end: 9.9 - 9.11 is 0.79. A result that is not whole is shown with up to 12 decimals.
    Works on a whitelist of syntax, never by eval. What cannot be computed gives a text that begins with "error:".
    """
    try:
        return _shown(_value(_parsed(expression)))
    except Refused as error:
        return f"{FAILED}{error}"


@tool
def letters(word: str) -> str:
    """The letters of a word and how many: a model sees tokens, so it asks. `cat` gives `c-a-t: 3 letters`."""
    word = word.strip().strip("\"'")[:MAX_LENGTH]
    return f"{'-'.join(word)}: {len(word)} letters" if word else f"{FAILED}no word"


@tool
def count(arguments: str) -> str:
    """How often a letter occurs in a text, `r, strawberry`; or how many characters there are, `....`."""
    part, comma, text = arguments.strip().partition(",")
    if comma and part.strip() and text.strip():
        return str(text.lower().count(part.strip().strip("\"'").lower()))
    return str(len(arguments.strip()))


class Refused(ValueError):
    """An expression the calculator does not compute; the text says why."""


def _parsed(expression: str) -> ast.expr:
    if len(expression) > MAX_LENGTH:
        raise Refused(f"longer than {MAX_LENGTH} characters")
    text = expression.strip().rstrip("=").replace("×", "*").replace("÷", "/").replace("−", "-")
    if '"' not in text and "'" not in text:
        text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)  # 1,000 is a number, not a pair
        text = re.sub(r"(?<![\w.])0+(?=\d)", "", text)  # 007 is a number too
    try:
        with warnings.catch_warnings(action="ignore"):  # on odd literals, which are the model's doing
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Refused("not an expression") from error


def _value(node: ast.expr) -> Number:
    match node:
        case ast.Constant(value=bool()):
            raise Refused("not a number")
        case ast.Constant(value=int() as whole):
            return _bounded(whole)
        case ast.Constant(value=float() as value):
            return _bounded(Fraction(repr(value)) if abs(value) < 2**MAX_BITS else 2**MAX_BITS)
        case ast.BinOp(left, operation, right) if type(operation) in OPERATIONS:
            return _bounded(OPERATIONS[type(operation)](_value(left), _value(right)))
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand)
        case ast.UnaryOp(ast.UAdd(), operand):
            return _value(operand)
        case ast.Call(ast.Name(name), [ast.Constant(value=str() as text)], []) if name in FUNCTIONS:
            return FUNCTIONS[name](text)
        case ast.Call(ast.Attribute(ast.Constant(value=str() as text), name), [ast.Constant(value=str() as part)], []):
            if name in METHODS:
                return METHODS[name](text, part)
    raise Refused("only numbers, + - * / // % **, parentheses, len and count on quoted text")


def _divided(a: Number, b: Number) -> Number:
    if b == 0:
        raise Refused("division by zero")
    return Fraction(a) / b


def _divided_whole(a: Number, b: Number) -> Number:
    if b == 0:
        raise Refused("division by zero")
    return a // b


def _rest(a: Number, b: Number) -> Number:
    if b == 0:
        raise Refused("division by zero")
    return a % b


def _power(a: Number, b: Number) -> Number:
    if b != int(b):
        raise Refused("an exponent must be whole")
    if a == 0 and b < 0:
        raise Refused("division by zero")
    base = Fraction(a)
    if max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(b) > 2 * MAX_BITS and abs(a) not in (0, 1):
        raise Refused("too large")  # before it is computed
    return base ** int(b)


def _bounded(value: Number) -> Number:
    exact = Fraction(value)
    if max(exact.numerator.bit_length(), exact.denominator.bit_length()) > MAX_BITS:
        raise Refused("too large")
    return exact


def _shown(value: Number) -> str:
    exact = Fraction(value)
    if exact.denominator == 1:
        return str(exact.numerator)
    with localcontext() as context:
        context.prec = len(str(abs(exact.numerator // exact.denominator))) + DECIMALS
        quotient = Decimal(exact.numerator) / Decimal(exact.denominator)
    text = f"{quotient:.{DECIMALS}f}".rstrip("0").rstrip(".")
    return text if float(text) else f"{quotient:.6g}"


OPERATIONS: dict[type, Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: _divided,
    ast.FloorDiv: _divided_whole,
    ast.Mod: _rest,
    ast.Pow: _power,
}
FUNCTIONS: dict[str, Callable[[str], int]] = {"len": len}
METHODS: dict[str, Callable[[str, str], int]] = {"count": str.count}
