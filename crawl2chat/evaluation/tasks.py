"""Is an answer right? One verifier a skill: the last number counts in sums, the named thing in facts, the honesty in refusals.

Verifiers look at the answer's text alone and return true or false; how well it is written is another question, see
`crawl2chat.tinyweb.gold`. A task is a dictionary in the task schema of `crawl2chat.tinyweb.tasks`.
"""

import re

NUMERIC = {"multiplication", "addition", "subtraction", "sum", "word_problem", "tool", "gsm8k"}

REFUSALS = (
    "i do not know",
    "i don't know",
    "no idea",
    "never heard",
    "nobody here knows",
    "i am not sure",
    "i cannot answer",
)


def is_refusal(answer: str) -> bool:
    """Whether the answer admits not to know."""
    text = answer.lower()
    return any(phrase in text for phrase in REFUSALS)


def last_number(text: str) -> str | None:
    """The last number of a text without thousands separators or a trailing full stop: `so 1,060.` gives `1060`."""
    found = re.findall(r"-?\d[\d,]*(?:\.\d+)?", text)
    return found[-1].replace(",", "") if found else None


def names(answer: str, thing: str) -> bool:
    """Whether the answer mentions the thing as whole words, whatever the case."""
    return re.search(rf"(?<!\w){re.escape(thing)}(?!\w)", answer, re.IGNORECASE) is not None


def verify(task: dict, answer: str) -> bool:
    """Whether the answer solves the task."""
    skill = task["skill"]
    if skill == "refusal":
        return is_refusal(answer)
    if skill == "craft":
        positions = [answer.find(step) for step in task["meta"]["steps"]]
        return min(positions) >= 0 and positions == sorted(positions)
    if skill in NUMERIC or _is_number(task["answer"]):
        number = last_number(answer)
        return number is not None and _equal(number, task["answer"])
    return not is_refusal(answer) and any(names(answer, thing) for thing in (task["answer"], *task["aliases"]))


def well_formed(task: dict, answer: str) -> bool:
    """Whether a worked sum has its form: steps, then `so N.` Reported apart from being right."""
    if task["skill"] in NUMERIC - {"tool", "gsm8k"}:
        return re.search(r"=\d+.*, so -?\d+\.?(?: |$)", answer.strip()) is not None
    return bool(answer.strip())


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d[\d,]*(?:\.\d+)?", text.strip()) is not None


def _equal(a: str, b: str) -> bool:
    try:
        return float(a) == float(b.replace(",", ""))
    except ValueError:
        return False
