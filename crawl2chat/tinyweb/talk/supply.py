"""Talk for a corpus of the tiny web: topics from its tasks, conversations to learn from, scripts to be examined with.

Only what the base model knows is asked as a fact: to train an answer that the model does not have would train it to
invent (Llama 3 §4.3.6).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from crawl2chat.chat.identity import Identity
from crawl2chat.chat.mixture import Style
from crawl2chat.chat.search import Index
from crawl2chat.chat.tools import run_tool
from crawl2chat.evaluation.dialogues import Said, Script, filled, slots_of
from crawl2chat.tasks import ProbedTask, Task
from crawl2chat.tinyweb.talk.dialogues import Dialogue, dialogue
from crawl2chat.tinyweb.talk.kinds import available
from crawl2chat.tinyweb.talk.topics import SENTENCES, Subject, Topics, Turn
from crawl2chat.tinyweb.world import NameStream

HARD = {
    "yes_no": 2.2,
    "decimals": 2.2,
    "spelling": 1.5,
    "large_sum": 1.6,
    "return": 1.3,
    "recall_first": 1.5,
    "open_book": 1.5,
    "word_problem": 1.6,
    "identity": 1.3,
    "follow_up": 1.2,
}
"""Kinds that take more practice than people's talk alone would give, and how much more."""
SHORT = {"fact", "follow_up", "return", "small_sum"}
"""Kinds that some answer by the bare word, in this share of cases."""
BARE = 0.2
PLAIN = {"", "greeting", "thanks", "identity", "abilities"}
"""Kinds whose answers are all polite phrase."""


def subjects_of(probes: Sequence[ProbedTask], split: str, known: bool) -> list[Subject]:
    """Entities of a split with the facts that the base model knows, or with those that it does not. For training it
    knows what it answers or at least completes; in an exam only what it answers."""
    facts: dict[tuple[str, str], dict[str, str]] = {}
    for task in probes:
        name = task.meta.get("relation")
        knows = task.known or (split == "train" and task.cloze)
        if task.split == split and task.entity and name in SENTENCES and knows == known:
            facts.setdefault((task.entity, task.meta["kind"]), {})[name] = task.answer
    return [Subject(entity, kind, answers) for (entity, kind), answers in sorted(facts.items())]


def topics_of(
    probes: Sequence[ProbedTask], tasks: Sequence[Task], identity: Identity, index: Index, split: str, seed: int
) -> Topics:
    """What can be talked about; unknown names are those of the split and others that are nobody's."""
    names = NameStream(seed)
    taken = {task.entity for task in (*probes, *tasks) if task.entity}
    unknown: dict[str, list[str]] = {"town": [], "person": []}
    for task in tasks:
        if task.skill == "refusal" and task.split == split and task.entity:
            unknown[task.meta["kind"]].append(task.entity)
    rng = Random(f"unknown {split} {seed}")

    def new_name(kind: str) -> str:
        if unknown[kind] and rng.random() < 0.5:
            return rng.choice(unknown[kind])
        while (name := names.draw(kind)) in taken:
            pass
        return name

    return Topics(
        split,
        subjects_of(probes, split, known=True),
        new_name,
        identity,
        lambda name, arguments: run_tool(name, arguments).text,
        vague=subjects_of(probes, split, known=False),
        search=lambda query: [source.passage for source in index.search(query)],
        often=HARD,
    )


def conversations(topics: Topics, count: int, style: Style, seed: int) -> Iterator[dict[str, Any]]:
    """Conversations in the schema of chat data, kind `talk`; without a system prompt in the styles people write in."""
    rng = Random(f"talk {seed}")
    for number in range(count):
        talk = dialogue(topics, rng)
        if not talk.system:
            talk = Dialogue([as_people_write(turn, style, rng) for turn in talk.turns])
        yield {"id": f"talk/{number}", "kind": "talk", "messages": talk.messages()}


def as_people_write(turn: Turn, style: Style, rng: Random) -> Turn:
    """An answer by the bare word, with a polite phrase, or, most often, as it is: preferences choose between them."""
    if turn.kind in PLAIN:
        return turn
    bare = turn.word and turn.kind in SHORT and rng.random() < BARE
    return replace(turn, answer=style.apply(f"{turn.word}." if bare else turn.answer, rng))


def scripts(topics: Topics, each: int, seed: int) -> list[Script]:
    """An exam: for every kind of segment `each` conversations in which it occurs."""
    rng = Random(f"exam {topics.split} {seed}")
    found = []
    for kind in (*available(topics), "system_prompt"):
        for number in range(each):
            found.append(script(f"{kind}/{number}", dialogue(topics, rng, about=kind)))
    return found


def script(name: str, talk: Dialogue) -> Script:
    turns = [Said(turn.say, turn.kind, turn.expect, turn.reject, turn.number) for turn in talk.turns]
    return Script(name, tuple(turns), talk.system)


def fill_slots(found: Sequence[Script], topics: Topics, seed: int) -> list[Script]:
    """People's scripts with names of this world for their slots: {person}, {town2.goods}, {unknown_person}, {name}."""
    result = []
    for each in found:
        rng = Random(f"slots {seed} {each.id}")
        values = dict(topics.identity.model_dump())
        wanted = slots_of(each) - set(values)
        heads = sorted({slot.split(".")[0] for slot in wanted})
        taken: set[str] = set()
        for head in heads:
            if head.startswith("unknown_"):
                values[head] = topics.new_name(head.removeprefix("unknown_").rstrip("0123456789"))
                continue
            kind = head.rstrip("0123456789")
            needed = {slot.split(".")[1] for slot in wanted if slot.startswith(f"{head}.")}
            fitting = [s for s in topics.subjects if s.kind == kind and needed <= set(s.facts) and s.name not in taken]
            if not fitting:
                break
            subject = rng.choice(fitting)
            taken.add(subject.name)
            values |= {head: subject.name} | {f"{head}.{name}": answer for name, answer in subject.facts.items()}
        if wanted <= set(values):
            result.append(filled(each, values))
    return result
