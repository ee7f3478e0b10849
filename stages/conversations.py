"""Stage conversations: the mixture for supervised fine-tuning.

Reads the probe's results, the tasks and the user's chat data sets; writes train.jsonl and val.jsonl. What the base
model knows becomes answers, what it does not know becomes refusals, skills become worked examples and tool calls.
"""

import random
from pathlib import Path

from pydantic import Field

from crawl2chat.chat.identity import Identity
from crawl2chat.errors import UserError
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker


class ConversationsParams(Params):
    facts: int = Field(ge=0)
    # Share of answers that are more than the bare word.
    styled: float = Field(ge=0, le=1)
    refusals: int = Field(ge=0)
    # Conversations per skill of the tasks.
    skills: dict[str, int]
    # Sums answered with nothing but the number.
    direct: int = Field(ge=0)
    identity: int = Field(ge=0)
    # Talk of one to eight turns about anything.
    talk: int = Field(ge=0)
    who: Identity
    # At most this many conversations of the user's data sets.
    datasets: int = Field(ge=0)
    # Longer conversations of the data sets are left out, and counted.
    max_characters: int = Field(ge=1)
    val_share: float = Field(gt=0, lt=1)


def conversations(
    probes: Path,
    tasks: Path,
    chat: Path,
    index: Path,
    out: Path,
    params: ConversationsParams,
    seed: int,
    tracker: Tracker,
) -> dict:
    """Mix the conversations; the metrics count them by kind."""
    from crawl2chat.chat import mixture
    from crawl2chat.chat.datasets import read_conversations
    from crawl2chat.chat.search import Index
    from crawl2chat.jsonl import write_jsonl
    from crawl2chat.splits import position
    from crawl2chat.tasks import read_probes, read_tasks
    from crawl2chat.tinyweb.gold import CLOSING, EMPTY_TALK
    from crawl2chat.tinyweb.skills import craft_text
    from crawl2chat.tinyweb.talk import supply

    rng = random.Random(f"conversations {seed}")
    style = mixture.Style(params.styled, CLOSING, EMPTY_TALK)
    probed, all_tasks = read_probes(probes / "probes.jsonl"), read_tasks(tasks)
    unknown = [task for task in all_tasks if task.skill == "refusal"]
    names = [task.entity.split()[0] for task in unknown if task.split == "train" and task.entity]
    topics = supply.topics_of(probed, all_tasks, params.who, Index(index), "train", seed)
    rows = [
        *mixture.fact_conversations(probed, params.facts, style, rng),
        *mixture.refusal_conversations(probed, unknown, params.refusals, style, rng),
        *mixture.direct_conversations(all_tasks, params.direct, rng),
        *mixture.identity_conversations(params.who, params.identity, names, rng),
        *supply.conversations(topics, params.talk, style, seed),
    ]
    for skill, count in sorted(params.skills.items()):
        rows += mixture.skill_conversations(all_tasks, skill, count, style, rng, craft_text)
    found, broken = read_conversations(chat, name=params.who.name, author=params.who.maker)
    short = [row for row in found if sum(len(m["content"]) for m in row["messages"]) <= params.max_characters]
    rng.shuffle(short)
    rows += short[: params.datasets]
    if len(rows) < 2:
        raise UserError(
            "no conversation came together: raise the numbers in the section conversations, or supply chat data."
        )
    rng.shuffle(rows)
    by_hash = sorted((position(row["id"], buckets=2**32), row["id"]) for row in rows)
    held_out = {name for _, name in by_hash[: max(1, round(len(rows) * params.val_share))]}
    out.mkdir(parents=True)
    write_jsonl(out / "train.jsonl", [row for row in rows if row["id"] not in held_out])
    write_jsonl(out / "val.jsonl", [row for row in rows if row["id"] in held_out])
    tracker.table("conversations", [{"kind": row["kind"], "messages": str(row["messages"])} for row in rows[:200]])
    kinds = sorted({row["kind"] for row in rows})
    return {
        "conversations": len(rows),
        "refusals": sum(row["kind"] == "refusal" for row in rows),
        "kinds": {kind: sum(row["kind"] == kind for row in rows) for kind in kinds},
        "datasets_read": len(found),
        "datasets_too_long": len(found) - len(short),
        "unreadable": dict(sorted(broken.items())),
    }
