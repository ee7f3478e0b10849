"""Every preference format becomes prompt, candidates and order; what holds no preference is refused by reason."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from crawl2chat.chat.preference_sets import read_preferences
from crawl2chat.records import Broken

REAL = os.environ.get("CRAWL2CHAT_REAL_DATA")

TALK = "\n\nHuman: hi\n\nAssistant: hello\n\nHuman: tea?\n\nAssistant:"


def read(folder: Path, *records: Any) -> tuple[list[dict[str, Any]], Broken]:
    (folder / "some.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_preferences(folder)


def test_hh_transcripts_share_their_prompt(tmp_path: Path) -> None:
    (ranking,), broken = read(tmp_path, {"chosen": TALK + " Yes.", "rejected": TALK + " No."})
    assert not broken
    assert [m["content"] for m in ranking["messages"]] == ["hi", "hello", "tea?"]
    assert [m["role"] for m in ranking["messages"]] == ["user", "assistant", "user"]
    assert (ranking["id"], ranking["candidates"], ranking["order"]) == ("some.jsonl:1", ["Yes.", "No."], [0, 1])


def test_pairs_with_a_prompt_come_as_text_or_as_messages(tmp_path: Path) -> None:
    last = [{"role": "assistant", "content": "Yes."}]
    prompt = [{"role": "user", "content": "tea?"}]
    rankings, broken = read(
        tmp_path,
        {"prompt": "tea?", "chosen": "Yes.", "rejected": "No.", "labeler": "ann"},
        {"prompt": prompt, "chosen": prompt + last, "rejected": "No."},
        {"chosen": prompt + last, "rejected": [*prompt, {"role": "assistant", "content": "No."}]},
    )
    assert not broken
    assert [r["labeler"] for r in rankings] == ["ann", "pairs", "pairs"]
    for ranking in rankings:
        assert ranking["messages"] == prompt and ranking["candidates"] == ["Yes.", "No."]


def test_auto_j_labels_name_the_better_answer_and_ties_go(tmp_path: Path) -> None:
    answers = {"prompt": "tea?", "response 1": "No.", "response 2": "Yes."}
    rankings, broken = read(tmp_path, *(answers | {"label": label} for label in (0, 1, 2, 3)))
    assert [r["order"] for r in rankings] == [[0, 1], [1, 0]]
    assert broken == {"tie": 1, "unknown label": 1}


def test_oasst_ranks_order_the_answers_at_every_depth(tmp_path: Path) -> None:
    def node(role: str, text: str, replies: tuple[Any, ...] = (), **more: Any) -> dict[str, Any]:
        return {"role": role, "text": text, "lang": "en", "message_id": text, "replies": list(replies), **more}

    tied = node("prompter", "tied?", (node("assistant", "e", rank=0), node("assistant", "f", rank=0)))
    deep = node("prompter", "why?", (node("assistant", "c", rank=1), node("assistant", "d", rank=0)))
    worst = node("assistant", "b", (deep, tied), rank=2)
    answers = (node("assistant", "a", rank=1), worst, node("assistant", "x", rank=0), node("assistant", "unranked"))
    rankings, broken = read(tmp_path, {"message_tree_id": "t", "prompt": node("prompter", "hi", answers)})
    assert [(r["candidates"], r["order"]) for r in rankings] == [(["a", "b", "x"], [2, 0, 1]), (["c", "d"], [1, 0])]
    assert [m["content"] for m in rankings[1]["messages"]] == ["hi", "b", "why?"]
    assert [r["id"] for r in rankings] == ["some.jsonl:1.hi", "some.jsonl:1.why?"]
    assert broken == {"tie": 1}


def test_rankings_a_person_filled_are_read_and_checked(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "tea?"}], "candidates": ["a", "b", "c"], "labeler": "ann"}
    orders = ([2, 0, 1], [0, 0, 1], [0, 1], [0, 1, 3])
    (ranking,), broken = read(tmp_path, *(row | {"order": order} for order in orders))
    assert ranking["order"] == [2, 0, 1] and ranking["labeler"] == "ann"
    assert broken == {"order does not name every answer once": 3}


@pytest.mark.parametrize(
    ("chosen", "rejected", "reason"),
    [
        (TALK + " Yes.", "\n\nHuman: other\n\nAssistant: No.", "prompts differ"),
        (TALK, TALK + " No.", "empty answer"),
        (TALK + " No.", TALK + " No.", "identical answers"),
        ("Yes.", "No.", "not a transcript of Human and Assistant"),
        (
            "\n\nHuman: a\n\nAssistant: b\n\nAssistant: c",
            "\n\nHuman: a\n\nAssistant: b\n\nAssistant: d",
            "prompt does not end with the user",
        ),
        ("\n\nHuman: a\n\nHuman: b\n\nAssistant: c", "\n\nHuman: a\n\nHuman: b\n\nAssistant: d", "roles out of order"),
        ("\n\nHuman: a", "\n\nHuman: a", "does not end with the assistant"),
        (5, 6, "messages are not a list"),
    ],
)
def test_pairs_without_a_preference_are_refused(tmp_path: Path, chosen: Any, rejected: Any, reason: str) -> None:
    rankings, broken = read(tmp_path, {"chosen": chosen, "rejected": rejected})
    assert rankings == [] and broken == {reason: 1}
    assert broken.named[0].startswith("some.jsonl:1")


def test_chat_data_sets_among_the_folders_are_passed_over(tmp_path: Path) -> None:
    rankings, broken = read(tmp_path, {"instruction": "Do.", "output": "Done."}, {"text": "what?"})
    assert rankings == [] and broken == {"not a preference format": 1}


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CRAWL2CHAT_REAL_DATA names no folder")
def test_every_real_preference_is_read_or_counted() -> None:
    folder = Path(str(REAL))
    rankings, broken = read_preferences([folder / "preferences", folder / "chat"])
    assert Counter(r["labeler"] for r in rankings) == {"hh-rlhf": 2299, "auto-j": 1017, "open-assistant": 212}
    files = Counter(place.partition(":")[0].partition("__")[0] for place in broken.named)
    assert files == {"hh-rlhf": 2312 - 2299, "auto-j": 1392 - 1017}
    assert broken == {
        "tie": 373,
        "identical answers": 1,
        "empty answer": 5,
        "roles out of order": 4,
        "prompts differ": 5,
    }
