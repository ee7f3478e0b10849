"""Chat data sets as people publish them, read into one conversation schema for supervised fine-tuning.

In: a folder of JSON files in any of the common formats, recognised by what a record holds. Out: conversations
`{"id", "kind", "messages": [{"role", "content", "tool_calls"?}]}` with roles system, user, assistant and tool. Formats:
messages (OpenAI), ShareGPT (FastChat; function calls as LLaMA-Factory writes them), Alpaca, self-instruct seeds,
Open-Assistant trees (LAION) and Topical-Chat (Amazon).
"""

import json
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from crawl2chat.records import BadRecord, Broken, Record, read_records

Message = dict[str, Any]

# who speaks, in the words of the formats
ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
}


def read_conversations(
    folder: Path, name: str = "Crawl2chat", author: str = "its maker"
) -> tuple[list[dict[str, Any]], Broken]:
    """Reads every conversation of every file below `folder`, in the order of files and records.

    `{{name}}` and `{{author}}` in any text are filled in; a data set that has them is of the kind "identity". Returns
    the conversations and the refused records, counted by reason (`Broken.named` tells which). Raises UserError where
    there is no such folder.
    """
    broken = Broken()
    conversations = []
    identities = set()  # files that speak of the assistant itself
    for record in read_records(folder, broken):
        kind = recognise(record.value)
        if kind not in READERS:
            broken.refuse(record.place, "not a chat format", keys(record.value))
            continue
        try:
            found = [list(messages) for messages in READERS[kind](record.value)]
            for messages in found:
                check_messages(messages)
        except BadRecord as error:
            broken.refuse(record.place, *error.args)
            continue
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            broken.refuse(record.place, f"malformed {kind} record", repr(error))
            continue
        if "{{name}}" in json.dumps(found) or "{{author}}" in json.dumps(found):
            identities.add(record.file)
            found = [_fill(messages, name, author) for messages in found]
        conversations += [
            {"id": identity, "kind": kind, "messages": messages, "file": record.file}
            for identity, messages in zip(_ids(record, len(found)), found, strict=True)
        ]
    for conversation in conversations:
        if conversation.pop("file") in identities:
            conversation["kind"] = "identity"
    return conversations, broken


def recognise(record: Any) -> str:
    """The format of a record, by its keys: one of READERS, "ranking" or "pair" (preferences), or "unknown"."""
    has = record.keys() if isinstance(record, dict) else ()
    for kind, needed in FORMATS.items():
        if all(key in has for key in needed):
            return kind
    return "unknown"


def keys(record: Any) -> str:
    """What a record holds, to name it by in a report."""
    return "keys " + ", ".join(sorted(record)) if isinstance(record, dict) else type(record).__name__


def check_messages(messages: list[Message]) -> None:
    """Raises BadRecord unless the turns can be rendered: [system], then user and assistant in turn, ending with the
    assistant; a turn of the assistant may call one tool, whose result and the assistant's next turn must follow."""
    after = {
        "start": {"system", "user"},
        "system": {"user"},
        "user": {"assistant"},
        "assistant": {"user"},
        "call": {"tool"},
        "tool": {"assistant"},
    }
    last = "start"
    for number, message in enumerate(messages, start=1):
        role = message["role"]
        if role not in after[last]:
            raise BadRecord("roles out of order", f"turn {number}: {role} after {last}")
        if not message["content"].strip() and not message.get("tool_calls"):
            raise BadRecord("empty turn", f"turn {number}: {role}")
        last = "call" if message.get("tool_calls") else role
    if last != "assistant":
        raise BadRecord("no answer", f"ends with {last}")


def turns(messages: Any) -> list[Message]:
    """Messages in OpenAI's form (role, content, tool_calls) as ours: roles by ROLES, content a string, one call a turn.

    Several calls in one turn become calls one after another, each followed by its own result.
    """
    if not isinstance(messages, list):
        raise BadRecord("messages are not a list")
    ours: list[Message] = []
    waiting: list[tuple[str | None, dict[str, str]]] = []  # calls whose results have not come yet
    for number, message in enumerate(messages, start=1):
        role = ROLES.get(str(message.get("role"))) if isinstance(message, dict) else None
        if role is None:
            raise BadRecord("unknown role", f"turn {number}: {keys(message)}")
        content = _content(message.get("content"), number)
        if role == "tool":
            if not waiting:
                raise BadRecord("roles out of order", f"turn {number}: a result without a call")
            answers = [i for i, (name, _) in enumerate(waiting) if name and name == message.get("tool_call_id")]
            _, call = waiting.pop(answers[0] if answers else 0)
            if not ours[-1].get("tool_calls"):
                ours.append({"role": "assistant", "content": ""})
            ours[-1]["tool_calls"] = [call]
            ours.append({"role": "tool", "content": content})
            continue
        if waiting:
            raise BadRecord("a call without a result", f"turn {number}")
        ours.append({"role": role, "content": content})
        calls = message.get("tool_calls")
        if calls and role == "assistant":
            waiting = [(one.get("id"), _call(one.get("function", one))) for one in calls]
            ours[-1]["tool_calls"] = [waiting[0][1]]
    return ours


def best_path(tree: dict[str, Any]) -> list[Message]:
    """The conversation people liked best in an Open-Assistant tree: the best-ranked answer each time, and where several
    questions go on from it, the one with the longest continuation."""
    path: list[Message] = []
    node: dict[str, Any] | None = tree["prompt"]
    while node is not None:
        path.append(node)
        replies = usable_replies(node)
        if node["role"] == "prompter":
            node = min(replies, key=lambda r: (r.get("rank") is None, r.get("rank") or 0), default=None)
        else:
            node = max(replies, key=_depth, default=None)
    while path and path[-1]["role"] == "prompter":  # a question nobody answered teaches nothing
        path.pop()
    return [{"role": ROLES[node["role"]], "content": node["text"].strip()} for node in path]


def usable_replies(node: dict[str, Any]) -> list[dict[str, Any]]:
    """A tree node's replies that were neither deleted nor rejected by reviewers."""
    replies = node.get("replies") or []
    return [r for r in replies if not r.get("deleted") and r.get("review_result") is not False]


def english(tree: dict[str, Any]) -> bool:
    return tree["prompt"].get("lang", "en") == "en"


def _depth(node: dict[str, Any]) -> int:
    return 1 + max(map(_depth, usable_replies(node)), default=0)


def _messages(record: dict[str, Any]) -> Iterator[list[Message]]:
    yield turns(record["messages"])


def _sharegpt(record: dict[str, Any]) -> Iterator[list[Message]]:
    if not isinstance(record["conversations"], list):
        raise BadRecord("conversations are not a list")
    system = "\n\n".join(part for part in (record.get("system"), _tools(record.get("tools"))) if part)
    messages: list[Message] = [{"role": "system", "content": system}] if system else []
    for number, turn in enumerate(record["conversations"], start=1):
        if not isinstance(turn, dict) or not {"from", "value"} <= turn.keys():
            raise BadRecord("a turn without from and value", f"turn {number}: {keys(turn)}")
        if turn["from"] == "function_call":
            calls = _json(turn["value"], number)
            calls = calls if isinstance(calls, list) else [calls]
            messages.append({"role": "assistant", "content": "", "tool_calls": calls})
        else:
            messages.append({"role": turn["from"], "content": turn["value"]})
    yield turns(messages)


def _alpaca(record: dict[str, Any]) -> Iterator[list[Message]]:
    messages = [{"role": "system", "content": record["system"]}] if record.get("system") else []
    for question, reply in record.get("history") or []:
        messages += [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]
    messages.append({"role": "user", "content": _question(record["instruction"], record.get("input"))})
    messages.append({"role": "assistant", "content": record["output"]})
    yield turns(messages)


def _self_instruct(record: dict[str, Any]) -> Iterator[list[Message]]:
    for instance in record["instances"]:
        yield turns(
            [
                {"role": "user", "content": _question(record["instruction"], instance.get("input"))},
                {"role": "assistant", "content": instance.get("output")},
            ]
        )


def _oasst(record: dict[str, Any]) -> Iterator[list[Message]]:
    if not english(record):
        raise BadRecord("not English", record["prompt"]["lang"])
    path = best_path(record)
    if not path:
        raise BadRecord("no answer")
    yield path


def _topical_chat(record: dict[str, Any]) -> Iterator[list[Message]]:
    """Two people talk: whoever begins is the user. What one says in a row is one turn; a user's last word is cut."""
    messages = []
    speakers: dict[str, str] = {}
    for agent, group in groupby(record["content"], key=lambda turn: turn["agent"]):
        role = speakers.setdefault(agent, "assistant" if speakers else "user")
        messages.append({"role": role, "content": "\n".join(turn["message"].strip() for turn in group)})
    if messages and messages[-1]["role"] == "user":
        messages.pop()
    yield turns(messages)


def _question(instruction: Any, more: Any) -> Any:
    return f"{instruction}\n\n{more}" if more else instruction


def _content(content: Any, number: int) -> str:
    if content is None:
        return ""
    if isinstance(content, list):  # OpenAI's content parts
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise BadRecord("content is not text", f"turn {number}: {type(content).__name__}")
    return content.strip()


def _call(call: Any) -> dict[str, str]:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise BadRecord("a tool call without a name")
    arguments = call.get("arguments", "")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"name": call["name"], "arguments": text}


def _tools(tools: Any) -> str:
    """The tools a conversation may call, as the system prompt that tells them: a call to the unheard-of is a guess."""
    text = tools if isinstance(tools, str) else json.dumps(tools, ensure_ascii=False) if tools else ""
    return f"Tools: {text}" if text.strip() not in ("", "[]") else ""


def _json(text: Any, number: int) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError) as error:
        raise BadRecord("a function call that is not JSON", f"turn {number}") from error


def _fill(messages: list[Message], name: str, author: str) -> list[Message]:
    return [
        message | {"content": message["content"].replace("{{name}}", name).replace("{{author}}", author)}
        for message in messages
    ]


def _ids(record: Record, count: int) -> list[str]:
    return [record.place] if count == 1 else [f"{record.place}.{i}" for i in range(1, count + 1)]


# keys that tell a format, tried in this order
FORMATS: dict[str, tuple[str, ...]] = {
    "ranking": ("candidates", "order"),
    "pair": ("chosen", "rejected"),
    "auto-j": ("prompt", "response 1", "response 2", "label"),
    "oasst": ("message_tree_id", "prompt"),
    "topical_chat": ("content", "conversation_rating"),
    "self_instruct": ("instruction", "instances"),
    "alpaca": ("instruction", "output"),
    "messages": ("messages",),
    "sharegpt": ("conversations",),
}
READERS: dict[str, Callable[[dict[str, Any]], Iterator[list[Message]]]] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "self_instruct": _self_instruct,
    "oasst": _oasst,
    "topical_chat": _topical_chat,
}
