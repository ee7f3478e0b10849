"""The rule by which a new model takes an old one's place: what it lets pass, and what it says when it does not."""

import numpy as np
import pytest

from crawl2chat.evaluation.promotion import Scores, decide, scores


def exam(hits: list[bool], kind: str = "fact") -> Scores:
    return scores(
        {"kind": kind, "id": f"{kind} {number}", "prompt": "", "truth": "", "correct": hit}
        for number, hit in enumerate(hits)
    )


BEFORE = [number % 10 < 6 for number in range(400)]


@pytest.mark.parametrize(
    ("after", "better", "reason"),
    [
        ([number % 10 < 7 for number in range(400)], True, "better: +0.100"),
        (BEFORE, False, "not better: +0.000 (+0.000 to +0.000) over 400 questions"),
        ([number % 10 < 5 for number in range(400)], False, "not better: -0.100"),
    ],
)
def test_only_a_gain_whose_interval_lies_above_zero_is_enough(after: list[bool], better: bool, reason: str) -> None:
    decision = decide(exam(BEFORE), exam(after))
    assert (decision.better, decision.reason.startswith(reason)) == (better, True), decision.reason


def test_a_kind_that_became_worse_is_refused_by_name() -> None:
    before = exam(BEFORE) | exam([True] * 40, "sum")
    after = exam([True] * 400) | exam([number % 2 > 0 for number in range(40)], "sum")
    decision = decide(before, after)
    assert not decision.better and "but worse at sum (1.00 → 0.50)." in decision.reason


def test_several_prompts_about_one_thing_are_one_observation() -> None:
    rows = [
        {"kind": "fact", "id": str(n % 120), "prompt": str(n), "truth": "", "correct": n % 3 > 0} for n in range(480)
    ]
    decision = decide(scores(rows), scores(rows))
    assert decision.difference.n == 120


def test_the_champions_questions_are_pinned() -> None:
    asked = exam(BEFORE)
    fewer = dict(list(asked.items())[:-7])
    assert decide(asked, fewer).reason == "7 of the champion's 400 questions were not asked of it."
    assert decide(fewer, asked).difference.n == 393
    assert "too few" in decide(exam(BEFORE[:50]), exam([True] * 50)).reason


def test_equal_models_are_rarely_promoted() -> None:
    rng = np.random.default_rng(2)
    chance = rng.random(500)
    promoted = [decide(exam(list(rng.random(500) < chance)), exam(list(rng.random(500) < chance))) for _ in range(40)]
    assert sum(decision.better for decision in promoted) <= 4
