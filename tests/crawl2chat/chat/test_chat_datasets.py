"""Every chat format becomes the one schema; whatever cannot be used is counted under its reason and named."""

import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import zstandard

from crawl2chat.chat.datasets import read_conversations
from crawl2chat.errors import UserError

REAL = os.environ.get("CRAWL2CHAT_REAL_DATA")


def user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def write(folder: Path, name: str, records: list[Any]) -> None:
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / name).write_text(lines)


def read_one(folder: Path, record: Any) -> tuple[str, list[dict[str, Any]]]:
    write(folder, "one.jsonl", [record])
    (conversation,), broken = read_conversations(folder)
    assert not broken
    return conversation["kind"], conversation["messages"]


def refused(folder: Path, record: Any) -> str:
    """The only reason of refusal."""
    write(folder, "one.jsonl", [record])
    conversations, broken = read_conversations(folder)
    assert conversations == [] and broken.named[0].startswith("one.jsonl:1: ")
    (reason,) = broken
    return reason


def test_alpaca_joins_instruction_and_input(tmp_path: Path) -> None:
    record = {"instruction": "Add.", "input": "2 and 3", "output": "5"}
    assert read_one(tmp_path, record) == ("alpaca", [user("Add.\n\n2 and 3"), assistant("5")])


def test_alpaca_history_and_system_come_first(tmp_path: Path) -> None:
    record = {"instruction": "And you?", "output": "Well.", "history": [["Hi", "Hello"]], "system": "Be brief."}
    _, messages = read_one(tmp_path, record)
    assert [m["content"] for m in messages] == ["Be brief.", "Hi", "Hello", "And you?", "Well."]


def test_identity_placeholders_are_filled_and_make_the_kind(tmp_path: Path) -> None:
    write(tmp_path, "me.jsonl", [{"instruction": "Who?", "output": "I am {{name}} by {{author}}."}])
    (conversation,), _ = read_conversations(tmp_path, name="Ada", author="Byron")
    assert conversation["messages"][1]["content"] == "I am Ada by Byron."
    assert conversation["kind"] == "identity"


def test_self_instruct_gives_a_conversation_per_instance(tmp_path: Path) -> None:
    instances = [{"input": "cold", "output": "hot"}, {"input": "", "output": "none"}]
    write(tmp_path, "seeds.jsonl", [{"instruction": "Opposite?", "instances": instances}])
    conversations, _ = read_conversations(tmp_path)
    assert [c["messages"][0]["content"] for c in conversations] == ["Opposite?\n\ncold", "Opposite?"]
    assert [c["id"] for c in conversations] == ["seeds.jsonl:1.1", "seeds.jsonl:1.2"]


def test_sharegpt_tool_calls_become_calls_and_results(tmp_path: Path) -> None:
    said = [
        ("human", "What is 12 times 34?"),
        ("function_call", '{"name": "times", "arguments": {"a": 12, "b": 34}}'),
        ("observation", "408"),
        ("gpt", "It is 408."),
    ]
    record = {"conversations": [{"from": f, "value": v} for f, v in said], "tools": '[{"name": "times"}]'}
    kind, messages = read_one(tmp_path, record)
    call = {"name": "times", "arguments": '{"a": 12, "b": 34}'}
    assert kind == "sharegpt"
    assert messages == [
        {"role": "system", "content": 'Tools: [{"name": "times"}]'},
        user("What is 12 times 34?"),
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "408"},
        assistant("It is 408."),
    ]


def test_calls_made_at_once_are_put_one_after_another_with_their_own_results(tmp_path: Path) -> None:
    calls = [{"id": i, "function": {"name": "calculator", "arguments": e}} for i, e in (("a", "1+1"), ("b", "2+2"))]
    messages = [
        user("Both?"),
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "b", "content": "4"},
        {"role": "tool", "tool_call_id": "a", "content": "2"},
        assistant("2 and 4"),
    ]
    _, found = read_one(tmp_path, {"messages": messages})
    assert [(m.get("tool_calls") or [{}])[0].get("arguments") or m["content"] for m in found] == [
        "Both?",
        "2+2",
        "4",
        "1+1",
        "2",
        "2 and 4",
    ]


def test_oasst_takes_the_best_ranked_answers_and_the_longest_continuation(tmp_path: Path) -> None:
    def node(role: str, text: str, replies: tuple[Any, ...] = (), **more: Any) -> dict[str, Any]:
        return {"role": role, "text": text, "lang": "en", "message_id": text, "replies": list(replies), **more}

    short = node("prompter", "thanks")
    asked = node("prompter", "why?", (node("assistant", "because", rank=0),))
    best = node("assistant", "good", (short, asked), rank=0)
    deleted = node("assistant", "gone", rank=-1, deleted=True)
    tree = {"message_tree_id": "t", "prompt": node("prompter", "hi", (node("assistant", "bad", rank=1), deleted, best))}
    assert read_one(tmp_path, tree) == ("oasst", [user("hi"), assistant("good"), user("why?"), assistant("because")])
    tree["prompt"]["lang"] = "de"
    assert refused(tmp_path, tree) == "not English"


def test_topical_chat_maps_whoever_begins_to_the_user(tmp_path: Path) -> None:
    said = [("agent_2", "Hi."), ("agent_2", "Like tea?"), ("agent_1", "Yes."), ("agent_2", "Bye.")]
    content = [{"agent": agent, "message": message} for agent, message in said]
    (tmp_path / "talk.json").write_text(json.dumps({"t_1": {"content": content, "conversation_rating": {}}}))
    (conversation,), _ = read_conversations(tmp_path)
    assert conversation["id"] == "talk.json:t_1"
    assert conversation["messages"] == [user("Hi.\nLike tea?"), assistant("Yes.")]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([user("hi"), user("hi"), assistant("hello")], "roles out of order"),
        ([user("hi"), {"role": "wizard", "content": "hello"}], "unknown role"),
        ([user("hi"), assistant("  ")], "empty turn"),
        ([user("hi")], "no answer"),
        ([assistant("hello")], "roles out of order"),
        ([user("hi"), {"role": "tool", "content": "4"}, assistant("4")], "roles out of order"),
        ([user("hi"), assistant("a") | {"tool_calls": [{"name": "x"}]}, assistant("b")], "a call without a result"),
        ([user("hi"), assistant("a") | {"tool_calls": [{"nome": "x"}]}], "a tool call without a name"),
        ([user("hi"), {"role": "assistant", "content": 5}], "content is not text"),
        ("hi", "messages are not a list"),
    ],
)
def test_conversations_that_cannot_be_rendered_are_refused(tmp_path: Path, messages: Any, reason: str) -> None:
    assert refused(tmp_path, {"messages": messages}) == reason


@pytest.mark.parametrize("record", [{"text": "no chat"}, [1], "word", None])
def test_other_records_are_not_a_chat_format(tmp_path: Path, record: Any) -> None:
    assert refused(tmp_path, record) == "not a chat format"


def test_a_malformed_record_of_a_known_format_is_refused(tmp_path: Path) -> None:
    assert refused(tmp_path, {"instruction": "Do.", "instances": [5]}) == "malformed self_instruct record"


def test_packed_files_read_as_plain_ones_in_the_order_of_names(tmp_path: Path) -> None:
    record = {"messages": [user("hi"), assistant("hello")]}
    line = json.dumps(record).encode() + b"\n"
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(line))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress(line) + zstandard.compress(line))
    (tmp_path / "a.json").write_text(json.dumps([record], indent=2))
    (tmp_path / "d.json").write_bytes(line * 2)  # lines, whatever the name says
    (tmp_path / "about.json").write_text('{"kind": "none"}')
    conversations, broken = read_conversations(tmp_path)
    assert [c["id"] for c in conversations] == [
        "a.json:1",
        "b.jsonl.gz:1",
        "c.jsonl.zst:1",
        "c.jsonl.zst:2",
        "d.json:1",
        "d.json:2",
    ]
    assert not broken


def test_broken_lines_and_files_are_counted_and_named_and_the_rest_is_read(tmp_path: Path) -> None:
    good = json.dumps({"messages": [user("hi"), assistant("hello")]})
    (tmp_path / "lines.jsonl").write_text(f'{good}\n{{"messages": [\n\n{good}\n')
    (tmp_path / "whole.json").write_text('[\n{"messages":\n')
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress((good + "\n").encode() * 2000)[:-20])
    (tmp_path / "notes.txt").write_text("hello")
    conversations, broken = read_conversations(tmp_path)
    assert {"lines.jsonl:1", "lines.jsonl:4", "cut.jsonl.gz:1"} <= {c["id"] for c in conversations}
    named = " | ".join(broken.named)
    assert "lines.jsonl:2: not JSON" in named and "whole.json: not JSON" in named
    assert broken["file breaks off or is not what its ending says"] == 1
    assert "notes.txt: not a .json or .jsonl file" in named


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere: no such folder"):
        read_conversations(tmp_path / "nowhere")


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CRAWL2CHAT_REAL_DATA names no folder")
def test_every_real_chat_file_is_read() -> None:
    conversations, broken = read_conversations(Path(str(REAL)) / "chat")
    assert not broken
    assert Counter(c["id"].partition(":")[0] for c in conversations) == {
        "LLaMA-Factory__alpaca_en_demo.json.gz": 999,
        "LLaMA-Factory__glaive_toolcall_en_demo.json.gz": 300,
        "LLaMA-Factory__identity.json.gz": 91,
        "Open-Assistant__en_100_tree.jsonl.gz": 100,
        "Topical-Chat__test_freq.json.gz": 539,
        "Topical-Chat__valid_freq.json.gz": 539,
        "Topical-Chat__valid_rare.json.gz": 539,
        "self-instruct__seed_tasks.jsonl.gz": 175,
    }
    calls = [call for c in conversations for m in c["messages"] for call in m.get("tool_calls", [])]
    assert len(calls) == 211
    assert not any("{{" in m["content"] for c in conversations if c["kind"] == "identity" for m in c["messages"])
