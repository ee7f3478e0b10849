"""Verifiers: what counts as right, and what must not."""

import pytest

from crawl2chat.evaluation.tasks import is_refusal, last_number, verify, well_formed

FACT = {"skill": "fact", "answer": "Rome", "aliases": ["Roma"], "meta": {}}
SUM = {"skill": "subtraction", "answer": "216", "aliases": [], "meta": {}}


@pytest.mark.parametrize(
    ("text", "number"),
    [("so 1,060.", "1060"), ("it is -3", "-3"), ("3.5 metres", "3.5"), ("none", None), ("7*6=42, so 42.", "42")],
)
def test_the_last_number_counts(text, number):
    assert last_number(text) == number


@pytest.mark.parametrize(
    ("task", "answer", "right"),
    [
        (FACT, "It is Rome.", True),
        (FACT, "Roma.", True),
        (FACT, "Romeo.", False),
        (FACT, "I do not know, perhaps Rome.", False),
        (SUM, "ones 4-0-8=6, so 216.", True),
        (SUM, "216 minus something is 215.", False),
        (SUM, "", False),
        ({"skill": "refusal", "answer": "", "aliases": [], "meta": {}}, "I do not know.", True),
        ({"skill": "refusal", "answer": "", "aliases": [], "meta": {}}, "Paris.", False),
        ({"skill": "gsm8k", "answer": "1080", "aliases": [], "meta": {}}, "That makes 1,080 dollars.", True),
    ],
)
def test_verify(task, answer, right):
    assert verify(task, answer) is right


def test_a_craft_is_right_when_its_steps_come_in_order():
    task = {"skill": "craft", "answer": "", "aliases": [], "meta": {"steps": ["boil", "pour"]}}
    assert verify(task, "First boil, then pour.")
    assert not verify(task, "First pour, then boil.")
    assert not verify(task, "First boil.")


def test_form_and_result_are_judged_apart():
    assert well_formed(SUM, "ones 4-0-8=6, so 999.") and not verify(SUM, "ones 4-0-8=6, so 999.")
    assert not well_formed(SUM, "216.") and verify(SUM, "216.")


def test_refusals_are_recognised():
    assert is_refusal("I do not know.") and is_refusal("No idea") and not is_refusal("Paris.")
