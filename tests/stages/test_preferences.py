"""Prompts, rollouts and rankings, by the simulated labeler, by people, and as given."""

import json
import os
from pathlib import Path

import pytest
from alignment_toys import CPU, contents, make_world, write

from crawl2chat.alignment.preferences import gold_pairs, read_prompts, read_rankings
from crawl2chat.errors import UserError
from crawl2chat.tracking import Tracker
from stages.preferences import PreferencesParams, preferences
from stages.settings import tuned

SMALL = {"skills": ["addition"], "prompts": 60, "candidates": 4, "max_new_tokens": 20}

# What the project ships: no rankings by people.
RANKINGS = Path(__file__).parents[2] / "inputs" / "rankings"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("preferences"))


def run(world, out, seed=1, rankings=RANKINGS, **changes):
    return preferences(
        world["policy"],
        world["tasks"],
        world["pairs"],
        world["chat"],
        rankings,
        world["index"],
        out,
        tuned(PreferencesParams, **SMALL | changes),
        CPU,
        seed,
        Tracker(),
        out.parent / "work",
    )


def test_rollouts_are_ranked_with_the_noise_asked_for(world, tmp_path):
    metrics = run(world, tmp_path / "out", prompts=120)
    prompts = read_prompts(tmp_path / "out" / "prompts.jsonl")
    rankings = read_rankings(tmp_path / "out" / "rankings.jsonl", prompts)
    assert metrics["prompts"] == len(prompts) and metrics["rankings"] == len(rankings)
    assert 0.65 < metrics["consistent_with_gold"] < 0.85
    assert 0.4 < metrics["labeler_agreement"] < 0.8
    assert {prompt["split"] for prompt in prompts.values()} == {"train", "test"}
    for prompt in prompts.values():
        texts = [(candidate["text"], candidate["finished"]) for candidate in prompt["candidates"]]
        assert len(set(texts)) == len(texts) >= 2
        assert prompt["task"].split == "train"


def test_without_noise_the_order_is_that_of_gold(world, tmp_path):
    metrics = run(world, tmp_path / "out", flipped=0.0)
    assert metrics["consistent_with_gold"] == 1
    prompts = read_prompts(tmp_path / "out" / "prompts.jsonl")
    assert any(gold_pairs([c["gold"] for c in prompt["candidates"]]) for prompt in prompts.values())


def test_same_seed_same_bytes_and_another_seed_not(world, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        run(world, tmp_path / name / "out", seed)
    a, b, c = (contents(tmp_path / name / "out") for name in "abc")
    assert a == b and a != c


def test_people_may_rank_the_prompts(world, tmp_path):
    run(world, tmp_path / "first")
    name = next(iter(read_prompts(tmp_path / "first" / "prompts.jsonl")))
    mine = tmp_path / "mine.jsonl"
    write(mine, [{"prompt_id": name, "order": [1, 0], "labeler": "anna"}])
    metrics = run(world, tmp_path / "second", rankings=mine)
    assert metrics["rankings"] == 1
    assert json.loads((tmp_path / "second" / "rankings.jsonl").read_text())["labeler"] == "anna"


def test_the_rankings_of_several_people_lie_in_one_folder(world, tmp_path):
    run(world, tmp_path / "first")
    first, second = list(read_prompts(tmp_path / "first" / "prompts.jsonl"))[:2]
    (tmp_path / "people").mkdir()
    write(tmp_path / "people" / "anna.jsonl", [{"prompt_id": first, "order": [1, 0], "labeler": "anna"}])
    write(tmp_path / "people" / "ben.jsonl", [{"prompt_id": second, "order": [0, 1], "labeler": "ben"}])
    assert run(world, tmp_path / "second", rankings=tmp_path / "people")["rankings"] == 2


def test_pairs_of_others_take_the_same_form(world, tmp_path):
    said = "\n\nHuman: Hi number {}\n\nAssistant: {}"
    rows = [{"chosen": said.format(i, "Hello."), "rejected": said.format(i, "No.")} for i in range(20)]
    folder = tmp_path / "pairs"
    folder.mkdir()
    write(folder / "hh.jsonl", [*rows, {"chosen": said.format(1, "a"), "rejected": said.format(2, "b")}])
    metrics = run(world | {"pairs": folder}, tmp_path / "out", source="pairs")
    assert (metrics["prompts"], metrics["rankings"], metrics["refused"]) == (20, 20, 1)
    assert metrics["labeler_agreement"] is None
    prompts = read_prompts(tmp_path / "out" / "prompts.jsonl")
    ranking = read_rankings(tmp_path / "out" / "rankings.jsonl", prompts)[0]
    best = prompts[ranking["prompt_id"]]["candidates"][ranking["order"][0]]
    assert best == {"text": "Hello.", "finished": True, "gold": None}


def test_no_pairs_at_all_is_an_error(world, tmp_path):
    with pytest.raises(UserError, match="nothing was ranked"):
        run(world, tmp_path / "out", source="pairs")


@pytest.mark.real
@pytest.mark.skipif("CRAWL2CHAT_REAL_DATA" not in os.environ, reason="CRAWL2CHAT_REAL_DATA names no folder")
def test_real_pairs_and_ranked_replies(world, tmp_path):
    data = Path(os.environ["CRAWL2CHAT_REAL_DATA"])
    folders = {"pairs": data / "preferences", "chat": data / "chat"}
    metrics = run(world | folders, tmp_path / "out", source="pairs", prompts=10_000)
    prompts = read_prompts(tmp_path / "out" / "prompts.jsonl")
    rankings = read_rankings(tmp_path / "out" / "rankings.jsonl", prompts)
    assert {r["labeler"] for r in rankings} == {"hh-rlhf", "auto-j", "open-assistant"}
    assert metrics["rankings"] > 3000 and metrics["pairs"] >= metrics["rankings"]
