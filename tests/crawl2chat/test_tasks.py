"""Tasks: what counts as right and what must not, and how folders are read."""

import json

import pytest

from crawl2chat.errors import UserError
from crawl2chat.tasks import (
    ProbedTask,
    Task,
    is_refusal,
    last_number,
    read_probes,
    read_tasks,
    verify,
    well_formed,
    write_tasks,
)


def task(skill: str, answer: str, **rest) -> Task:
    return Task(**{"id": "t", "split": "train", "prompt": "?", "skill": skill, "answer": answer} | rest)


FACT = task("fact", "Rome", aliases=("Roma",))
SUM = task("subtraction", "216")


@pytest.mark.parametrize(
    ("text", "number"),
    [("so 1,060.", "1060"), ("it is -3", "-3"), ("3.5 metres", "3.5"), ("none", None), ("7*6=42, so 42.", "42")],
)
def test_the_last_number_counts(text, number):
    assert last_number(text) == number


@pytest.mark.parametrize(
    ("asked", "answer", "right"),
    [
        (FACT, "It is Rome.", True),
        (FACT, "Roma.", True),
        (FACT, "Romeo.", False),
        (FACT, "I do not know, perhaps Rome.", False),
        (SUM, "ones 4-0-8=6, so 216.", True),
        (SUM, "216 minus something is 215.", False),
        (SUM, "", False),
        (task("refusal", ""), "I do not know.", True),
        (task("refusal", ""), "Paris.", False),
        (task("gsm8k", "1080"), "That makes 1,080 dollars.", True),
    ],
)
def test_verify(asked, answer, right):
    assert verify(asked, answer) is right


def test_a_craft_is_right_when_its_steps_come_in_order():
    craft = task("craft", "", meta={"steps": ["boil", "pour"]})
    assert verify(craft, "First boil, then pour.")
    assert not verify(craft, "First pour, then boil.")
    assert not verify(craft, "First boil.")


def test_form_and_result_are_judged_apart():
    assert well_formed(SUM, "ones 4-0-8=6, so 999.") and not verify(SUM, "ones 4-0-8=6, so 999.")
    assert not well_formed(SUM, "216.") and verify(SUM, "216.")


def test_refusals_are_recognised():
    assert is_refusal("I do not know.") and is_refusal("No idea") and not is_refusal("Paris.")


def test_tasks_come_back_as_they_were_written_by_skill_and_split(tmp_path):
    tasks = [FACT, SUM, task("fact", "Oslo", id="u", split="test", entity="Norway", mentions=3, meta={"far": "Where?"})]
    write_tasks(tmp_path, tasks)
    assert read_tasks(tmp_path) == [tasks[0], tasks[2], tasks[1]]
    assert read_tasks(tmp_path, ["fact"], ["test"]) == [tasks[2]]
    assert read_tasks(tmp_path, splits=["dev"]) == []
    first = (tmp_path / "fact.jsonl").read_text().splitlines()[0]
    assert list(json.loads(first)) == sorted(Task.__dataclass_fields__)
    with pytest.raises(UserError, match="holds no dev or test task of subtraction; skills there: fact, subtraction"):
        read_tasks(tmp_path, ["subtraction"], ["dev", "test"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"a\.jsonl:2 is not JSON"),
        ("[]", r"a\.jsonl:2 is not a JSON object; correct or remove"),
        (json.dumps(SUM.record() | {"answer": 216}), r"a\.jsonl:2: 'answer' of the task: .* string; correct or remove"),
        (json.dumps(SUM.record() | {"split": "practice"}), r"a\.jsonl:2: 'split' of the task: .*'train'"),
        (json.dumps(SUM.record() | {"promt": "?"}), r"a\.jsonl:2: 'promt' of the task"),
    ],
)
def test_a_bad_line_is_named_with_its_key(tmp_path, line, message):
    (tmp_path / "a.jsonl").write_text(json.dumps(SUM.record()) + "\n" + line + "\n")
    with pytest.raises(UserError, match=message):
        read_tasks(tmp_path)


def test_probed_tasks_keep_the_task_and_leave_out_what_was_not_asked(tmp_path):
    probed = ProbedTask(**vars(FACT), cloze=True, answers=["Rome"], rate=1.0, known=True)
    assert list(probed.record()) == [*sorted(Task.__dataclass_fields__), "cloze", "answers", "rate", "known"]
    (tmp_path / "probes.jsonl").write_text(json.dumps(probed.record()) + "\n")
    assert read_probes(tmp_path / "probes.jsonl") == [probed]
    assert verify(probed, "Roma.")
