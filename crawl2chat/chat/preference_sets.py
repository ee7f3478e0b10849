"""Human preferences as people publish them, read into one form: a prompt, candidates, and their order.

In: folders of JSON files (hh-rlhf pairs, Open-Assistant trees with ranks, auto-j labels, plain chosen/rejected pairs
and rankings), recognised by what a record holds. Out: rows `{"id", "messages", "candidates", "order", "labeler"}`
where `order` lists indices into `candidates` from best to worst. Sources: Bai et al. 2022 (hh-rlhf), Köpf et al. 2023
(Open-Assistant), Li et al. 2023 (auto-j).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from crawl2chat.chat.datasets import READERS, ROLES, Message, english, keys, recognise, turns, usable_replies
from crawl2chat.records import BadRecord, Broken, read_records

Ranking = dict[str, Any]

HH_TURN = re.compile(r"\n\n(Human|Assistant):")
HH_ROLES = {"Human": "user", "Assistant": "assistant"}
TIE = 2  # auto-j: 0 the first answer is better, 1 the second, 2 neither


def read_preferences(folders: Path | Sequence[Path]) -> tuple[list[Ranking], Broken]:
    """Reads every ranking of every file below one or several folders, in the order of folders, files and records.

    Chat data sets that hold no ranking are passed over, so that Open-Assistant trees may lie among them. What cannot
    teach a preference (ties, equal answers, prompts that differ) is refused and counted by reason. Raises UserError
    where a folder is missing.
    """
    broken = Broken()
    rankings: list[Ranking] = []
    for folder in [folders] if isinstance(folders, Path) else folders:
        for record in read_records(folder, broken):
            kind = recognise(record.value)
            if kind not in PREFERENCES:
                if kind not in READERS:
                    broken.refuse(record.place, "not a preference format", keys(record.value))
                continue
            try:
                for ranking in PREFERENCES[kind](record.value):
                    try:
                        check_ranking(ranking)
                    except BadRecord as error:
                        broken.refuse(record.place + ranking["id"], *error.args)
                    else:
                        rankings.append(ranking | {"id": record.place + ranking["id"]})
            except BadRecord as error:
                broken.refuse(record.place, *error.args)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                broken.refuse(record.place, f"malformed {kind} record", repr(error))
    return rankings, broken


def check_ranking(ranking: Ranking) -> None:
    """Raises BadRecord unless the prompt waits for an answer and the order ranks two or more different ones."""
    if ranking["order"] is None:
        raise BadRecord("tie")
    roles = [message["role"] for message in ranking["messages"] if message["role"] != "system"]
    if not roles or roles[-1] != "user":
        raise BadRecord("prompt does not end with the user")
    if any(a == b for a, b in zip(roles, roles[1:], strict=False)):
        raise BadRecord("roles out of order", " ".join(roles))
    if not all(message["content"].strip() for message in ranking["messages"]):
        raise BadRecord("empty turn")
    answers = [answer.strip() for answer in ranking["candidates"]]
    if not all(answers):
        raise BadRecord("empty answer")
    if len(answers) < 2:
        raise BadRecord("fewer than two answers")
    if len(set(answers)) < len(answers):
        raise BadRecord("identical answers")
    if sorted(ranking["order"]) != list(range(len(answers))):
        raise BadRecord("order does not name every answer once", str(ranking["order"]))


def _pair(record: dict[str, Any]) -> Iterator[Ranking]:
    """chosen and rejected: as hh-rlhf's transcripts, as lists of messages, or as two answers to a prompt."""
    if "prompt" in record:
        prompt = _prompt(record["prompt"])
        answers = [_last(record[side]) for side in ("chosen", "rejected")]
        yield _ranking(prompt, answers, [0, 1], record.get("labeler", "pairs"))
        return
    labeler = "pairs"
    both = [record["chosen"], record["rejected"]]
    if all(isinstance(side, str) for side in both):
        labeler = "hh-rlhf"
        both = [_transcript(side) for side in both]
    chosen, rejected = (turns(side) for side in both)
    if not chosen or not rejected or chosen[:-1] != rejected[:-1]:
        raise BadRecord("prompts differ")
    if chosen[-1]["role"] != "assistant" or rejected[-1]["role"] != "assistant":
        raise BadRecord("does not end with the assistant")
    yield _ranking(chosen[:-1], [chosen[-1]["content"], rejected[-1]["content"]], [0, 1], labeler)


def _auto_j(record: dict[str, Any]) -> Iterator[Ranking]:
    label = record["label"]
    if label not in (0, 1, TIE):
        raise BadRecord("unknown label", repr(label))
    answers = [record["response 1"], record["response 2"]]
    yield _ranking(_prompt(record["prompt"]), answers, None if label == TIE else [label, 1 - label], "auto-j")


def _oasst(record: dict[str, Any]) -> Iterator[Ranking]:
    """Every question in the tree whose answers people ranked (rank 0 is the best)."""
    if not english(record):
        raise BadRecord("not English", record["prompt"]["lang"])
    waiting: list[tuple[list[Message], dict[str, Any]]] = [([], record["prompt"])]
    while waiting:
        before, node = waiting.pop(0)
        messages = [*before, {"role": ROLES[node["role"]], "content": node["text"].strip()}]
        replies = usable_replies(node)
        ranked = [reply for reply in replies if reply.get("rank") is not None]
        if node["role"] == "prompter" and len(ranked) > 1:
            ranks = [reply["rank"] for reply in ranked]
            order = sorted(range(len(ranks)), key=ranks.__getitem__)
            tied = len(set(ranks)) < len(ranks)
            answers = [reply["text"] for reply in ranked]
            yield _ranking(messages, answers, None if tied else order, "open-assistant", f".{node['message_id']}")
        waiting += [(messages, reply) for reply in replies]


def _ranking_record(record: dict[str, Any]) -> Iterator[Ranking]:
    """A ranking in our own form, as a person fills it."""
    prompt = _prompt(record["messages"] if "messages" in record else record["prompt"])
    if not isinstance(record["order"], list):
        raise BadRecord("order is not a list")
    yield _ranking(prompt, record["candidates"], record["order"], record.get("labeler", "rankings"))


def _prompt(prompt: Any) -> list[Message]:
    return turns([{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt)


def _last(answer: Any) -> str:
    """An answer given as text, or as messages of which it is the last."""
    return answer if isinstance(answer, str) else turns(answer)[-1]["content"]


def _transcript(text: str) -> list[dict[str, str]]:
    """hh-rlhf's one-string dialogue as messages."""
    head, *rest = HH_TURN.split(text)
    if head.strip() or not rest:
        raise BadRecord("not a transcript of Human and Assistant")
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return [{"role": HH_ROLES[speaker], "content": content} for speaker, content in pairs]


def _ranking(
    messages: list[Message], answers: list[str], order: list[int] | None, labeler: str, within: str = ""
) -> Ranking:
    """`order` is None where people saw no difference; `within` tells apart the rankings of one record."""
    candidates = [answer.strip() for answer in answers]
    return {"id": within, "messages": messages, "candidates": candidates, "order": order, "labeler": labeler}


PREFERENCES: dict[str, Callable[[dict[str, Any]], Iterator[Ranking]]] = {
    "pair": _pair,
    "auto-j": _auto_j,
    "oasst": _oasst,
    "ranking": _ranking_record,
}
