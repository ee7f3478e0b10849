"""The conversation exam: scripts are read and filled, played in step, and judged turn by turn."""

from pathlib import Path

import pytest

from crawl2chat.errors import UserError
from crawl2chat.evaluation.dialogues import (
    Heard,
    Said,
    Script,
    filled,
    is_right,
    mean_over_kinds,
    play,
    read_scripts,
    runs_on,
    slots_of,
    summarize,
)
from crawl2chat.tasks import with_digits


def heard(text: str, *tools: str, finished: bool = True) -> Heard:
    return Heard(text, finished, tools)


@pytest.mark.parametrize(
    ("said", "answer", "right"),
    [
        (Said("2+2", "small_sum", number=4), heard("2 plus 2 is 4."), True),
        (Said("2+2", "small_sum", number=4), heard("That makes four."), True),
        (Said("2+2", "small_sum", number=4), heard("4 plus 2 is 6."), False),
        (Said("2+2", "small_sum", number=4), heard("I have no number for you."), False),
        (Said("hi", "greeting", (r"\b(hello|hi)\b",)), heard("HELLO there."), True),
        (Said("hi", "greeting", (r"\b(hello|hi)\b",)), heard("I said Nurkin."), False),
        (Said("Is it?", "yes_no", (r"\byes\b",), (r"\bno\b",)), heard("Yes and no."), False),
        (Said("4821*37", "calculator", number=178377, tool="calculator"), heard("178377", "calculator"), True),
        (Said("4821*37", "calculator", number=178377, tool="calculator"), heard("178377"), False),
        (Said("hi", "greeting", ("hello",)), heard("Hello", finished=False), False),
        (Said("hi", "greeting", ()), heard("  "), False),
    ],
)
def test_an_answer_is_judged_by_what_it_must_and_must_not_hold(said: Said, answer: Heard, right: bool) -> None:
    assert is_right(said, answer) is right


@pytest.mark.parametrize(
    ("answer", "on"),
    [
        (heard("Riga."), False),
        (heard("Riga. Question: What is the capital of Peru? Answer: Lima."), True),
        (heard("word " * 61), True),
        (heard("Riga", finished=False), True),
    ],
)
def test_an_answer_that_goes_on_into_something_else_is_a_run_on(answer: Heard, on: bool) -> None:
    assert runs_on(answer) is on


def test_number_words_count_as_numbers() -> None:
    assert with_digits("Seven times eight is fifty-six, not forty or Nineteen.") == "7 times 8 is 56, not 40 or 19."
    assert with_digits("someone often tented") == "someone often tented"


def test_slots_are_filled_in_lines_and_taken_literally_in_expressions() -> None:
    script = Script("a", (Said("Where is {town}?", "fact", (r"\b{town.country}\b",)),), "You are {name}.")
    assert slots_of(script) == {"town", "town.country", "name"}
    done = filled(script, {"town": "Torvin", "town.country": "C++", "name": "Pip"})
    assert done.turns[0].say == "Where is Torvin?"
    assert done.turns[0].expect == (r"\bC\+\+\b",)
    assert done.system == "You are Pip."


def test_a_script_is_played_to_its_end_whatever_the_model_answers() -> None:
    seen = []

    def answer(conversations: list[list[dict]]) -> list[Heard]:
        seen.append([[message["content"] for message in talk] for talk in conversations])
        return [heard(f"echo {talk[-1]['content']}") for talk in conversations]

    scripts = [
        Script("long", (Said("one"), Said("two", "fact", ("two",)), Said("three", "fact", ("four",))), "Be kind."),
        Script("short", (Said("alone", "greeting", ("alone",)),)),
    ]
    rows = play(scripts, answer)
    assert [(row["id"], row["turn"], row["correct"]) for row in rows] == [
        ("long", 1, None),
        ("long", 2, True),
        ("long", 3, False),
        ("short", 1, True),
    ]
    assert seen[1] == [["Be kind.", "one", "echo one", "two"]]
    assert [len(batch) for batch in seen] == [2, 1, 1]


def test_the_mean_over_kinds_weighs_kinds_and_not_turns() -> None:
    rows = [{"kind": "a", "correct": True}] * 30 + [{"kind": "b", "correct": False}] * 10
    metrics = mean_over_kinds("x", rows)
    assert metrics["x"] == 0.5
    assert metrics["x_n"] == 40
    assert metrics["x_low"] < 0.5 < metrics["x_high"]
    assert mean_over_kinds("x", [])["x"] is None


def test_the_summary_tells_first_turns_from_later_ones_and_counts_run_ons() -> None:
    common = {"source": "families", "answer": "Yes.", "refused": False}
    rows = [
        common | {"kind": "fact", "turn": 1, "correct": True, "run_on": False},
        common | {"kind": "fact", "turn": 2, "correct": False, "run_on": True},
        common | {"kind": "", "turn": 3, "correct": None, "run_on": False},
    ]
    metrics = summarize(rows)
    assert metrics["conversation"] == 0.5
    assert metrics["conversation_first"] == 1
    assert metrics["conversation_later"] == 0
    assert metrics["run_on_n"] == 3
    assert metrics["talk_fact_n"] == 2


FILE = """
patterns: {greets: hello}
dialogues:
- id: one
  turns:
  - {say: hi, kind: greeting, expect: ["@greets"]}
"""


def test_a_file_of_dialogues_is_read_with_its_patterns(tmp_path: Path) -> None:
    (tmp_path / "people.yaml").write_text(FILE)
    (script,) = read_scripts(tmp_path)
    assert script.source == "people"
    assert script.turns == (Said("hi", "greeting", ("hello",)),)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("say: hi", "sai: hi", "people.yaml is no file of dialogues"),
        ("@greets", "@greats", "'one' names the pattern @greats"),
        ("greets: hello", "greets: '('", "is no regular expression"),
        ("dialogues:", "talks:", "people.yaml is no file of dialogues"),
        ("- id: one", "- {id: one, turns: []}\n- id: one", "'one' occurs twice"),
        ("{say: hi", "[say: hi", "people.yaml is no file of dialogues"),
    ],
)
def test_a_bad_file_gets_a_sentence(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in FILE
    (tmp_path / "people.yaml").write_text(FILE.replace(old, new))
    with pytest.raises(UserError) as error:
        read_scripts(tmp_path)
    assert words in str(error.value)


def test_the_strangers_dialogues_are_whole() -> None:
    scripts = read_scripts(Path("inputs/exam"))
    assert len(scripts) >= 100
    kinds = [turn.kind for script in scripts for turn in script.turns if turn.kind]
    assert min(kinds.count(kind) for kind in set(kinds)) >= 20
    later = sum(bool(turn.kind) for script in scripts for turn in script.turns[1:])
    assert later > len(kinds) / 2
