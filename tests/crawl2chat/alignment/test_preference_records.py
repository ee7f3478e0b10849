"""Preference files, the simulated labeler, and the terminal ranker."""

import json

import numpy as np
import pytest

from crawl2chat.alignment import preferences, rank
from crawl2chat.errors import UserError

PROMPT = {
    "id": "p1",
    "messages": [{"role": "user", "content": "Which?"}],
    "candidates": [{"text": text, "finished": True} for text in ("red", "green", "blue")],
    "split": "train",
}


def write(path, *records):
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
    return path


def test_pairs_of_an_order_leave_ties_out():
    assert preferences.pairs([2, [0, 3], 1]) == [(2, 0), (2, 3), (2, 1), (0, 1), (3, 1)]
    assert preferences.pairs([[0, 1]]) == []
    assert preferences.gold_pairs([1.0, 2.0, 1.0, None]) == [(1, 0), (1, 2)]


def test_the_same_prompt_always_falls_on_the_same_side():
    messages = [[{"role": "user", "content": str(i)}] for i in range(400)]
    sides = [preferences.prompt_split(each, 0.25) for each in messages]
    assert sides == [preferences.prompt_split(each, 0.25) for each in messages]
    assert 70 < sides.count("test") < 130


@pytest.mark.parametrize("flipped", [0.0, 0.1, 0.25, 0.4])
def test_the_labeler_flips_the_share_of_pairs_it_was_told_to(flipped):
    generator = np.random.default_rng(0)
    gold = generator.choice([0.0, 0.5, 3.0, 3.5], size=(2000, 5)).tolist()
    noise = preferences.noise_for(gold, flipped)
    wrong = total = 0
    for scores in gold:
        given = set(preferences.pairs(preferences.simulate(scores, noise, generator)))
        truth = preferences.gold_pairs(scores)
        total += len(truth)
        wrong += sum(pair not in given for pair in truth)
    assert wrong / total == pytest.approx(flipped, abs=0.01)


def test_candidates_of_equal_worth_are_tied_without_noise_and_in_any_order_with_it():
    generator = np.random.default_rng(0)
    assert preferences.simulate([1.0, 3.0, 1.0], 0.0, generator) == [1, [0, 2]]
    assert preferences.noise_for([[1.0, 1.0]], 0.25) == 1.0
    firsts = [preferences.simulate([1.0, 1.0], 1.0, generator)[0] for _ in range(400)]
    assert 150 < sum(firsts) < 250


def test_agreement_counts_pairs_both_ordered():
    assert preferences.agreement([[0, 1, 2]], [[0, 2, 1]]) == (2, 3)
    assert preferences.agreement([[0, [1, 2]]], [[2, 1, 0]]) == (0, 2)


@pytest.mark.parametrize(
    ("ranking", "message"),
    [
        ({"prompt_id": "p2", "order": [0, 1]}, "rankings.jsonl:1: prompt_id 'p2' is not among the prompts"),
        (
            {"prompt_id": "p1", "order": [0, 7]},
            "rankings.jsonl:1: candidate 7 is unknown; the prompt has candidates 0 to 2",
        ),
        ({"prompt_id": "p1", "order": [0, True]}, "candidate True is unknown"),
        ({"prompt_id": "p1", "order": [0, [1, 0]]}, "rankings.jsonl:1: candidate 0 is ranked twice"),
        ({"prompt_id": "p1", "order": "0 1"}, "'order' must be a list"),
        ({"prompt_id": "p1", "order": [[0, 1]]}, "no ranking that puts one candidate above another"),
        ("{", "rankings.jsonl:1 is not JSON"),
        ("[]", "rankings.jsonl:1 is not a JSON object"),
    ],
)
def test_bad_rankings_are_named(tmp_path, ranking, message):
    with pytest.raises(UserError, match=message):
        preferences.read_rankings(write(tmp_path / "rankings.jsonl", ranking), {"p1": PROMPT})


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "holds no prompt"),
        ([PROMPT, PROMPT], "prompts.jsonl:2: prompt id 'p1' occurs twice"),
        ([PROMPT | {"candidates": []}], "prompts.jsonl:1: a prompt needs a non-empty 'candidates'"),
    ],
)
def test_bad_prompts_are_named(tmp_path, records, message):
    with pytest.raises(UserError, match=message):
        preferences.read_prompts(write(tmp_path / "prompts.jsonl", *records))
    with pytest.raises(UserError, match="does not exist"):
        preferences.read_prompts(tmp_path / "none.jsonl")


def test_rankings_without_any_order_are_dropped(tmp_path):
    path = write(
        tmp_path / "rankings.jsonl", {"prompt_id": "p1", "order": [[0, 2]]}, "", {"prompt_id": "p1", "order": [2, 0]}
    )
    assert [r["order"] for r in preferences.read_rankings(path, {"p1": PROMPT})] == [[2, 0]]


def test_a_person_ranks_in_the_terminal(tmp_path, monkeypatch, capsys):
    prompts = write(tmp_path / "prompts.jsonl", PROMPT, PROMPT | {"id": "p2"}, PROMPT | {"id": "p3"})
    file = tmp_path / "mine.jsonl"
    typed = iter(["9", "2 2", "3 1=2", "q"])
    monkeypatch.setattr("builtins.input", lambda _: next(typed))
    rank.main([str(prompts), str(file), "--labeler", "anna"])
    (written,) = preferences.read_rankings(file, preferences.read_prompts(prompts))
    assert written["prompt_id"] == "p1" and written["labeler"] == "anna"
    first, tied = written["order"]
    assert sorted([first, *tied]) == [0, 1, 2]
    shown = capsys.readouterr().out
    third = next(line for line in shown.splitlines() if line.startswith("  [3]")).split("] ")[1]
    assert PROMPT["candidates"][first]["text"] == third
    assert "'9' is not one of the numbers 1 to 3" in shown and "ranked twice" in shown

    typed = iter(["", "1 2"])  # goes on with p2: skipped; p3: ranked
    rank.main([str(prompts), str(file), "--labeler", "anna"])
    assert [json.loads(line)["prompt_id"] for line in file.read_text().splitlines()] == ["p1", "p3"]


def test_the_ranker_names_a_missing_file(tmp_path, capsys):
    with pytest.raises(SystemExit):
        rank.main([str(tmp_path / "none.jsonl"), str(tmp_path / "out.jsonl")])
    assert "none.jsonl does not exist" in capsys.readouterr().err


def test_a_ranking_of_a_question_of_the_exam_is_refused(tmp_path):
    task = {"id": "sum-7", "skill": "sum", "split": "test", "prompt": "2+2?", "answer": "4"}
    prompts = preferences.read_prompts(write(tmp_path / "prompts.jsonl", PROMPT | {"task": task}))
    rankings = write(tmp_path / "rankings.jsonl", {"prompt_id": "p1", "order": [0, 1]})
    with pytest.raises(UserError, match="rankings.jsonl:1: prompt 'p1' is the task 'sum-7' of the test split"):
        preferences.read_rankings(rankings, prompts)
