"""What the tiny world can be asked, as tasks with one right answer: the counterpart of the data sets of real input.

Facts are split by entity and sums by their operands, so that no question of `dev` or `test` is ever asked in
fine-tuning. A refusal task asks about a name that no page mentions; its answer is empty.
"""

import random
import zlib

from crawl2chat.chat.identity import Identity
from crawl2chat.splits import split_of
from crawl2chat.tasks import Task
from crawl2chat.tinyweb import skills
from crawl2chat.tinyweb.talk.kinds import MAKERS
from crawl2chat.tinyweb.talk.phrasing import forms, pick
from crawl2chat.tinyweb.talk.topics import Subject, Topics
from crawl2chat.tinyweb.world import Entity, Relation, World, relation, relations_of

SHARES = {"train": 3000, "dev": 200, "test": 500}
"""Problems of each skill per split."""
PATTERNS = 300
TALK = ("greeting", "thanks", "private", "outside", "yes_no")
"""What a greeting, a farewell, a wish for private data and the like ask of an answer."""
TALK_SHARES = {"train": 400, "dev": 60, "test": 120}
SKILLS = ("multiplication", "addition", "subtraction", "sum", "word_problem", "tool", "long_multiplication")


def tasks(world: World) -> list[Task]:
    """Every task of a world, in a fixed order, without duplicates."""
    rng = random.Random(f"tasks {world.seed}")
    rows = [fact_task(entity, name) for entity in world.entities for name in entity.values]
    rows += [refusal_task(entity) for entity in world.unknown]
    rows += [craft_task(name) for name in sorted(skills.crafts())]
    rows += [pattern_task(number, rng) for number in range(PATTERNS)]
    for split, count in TALK_SHARES.items():
        rows += talk_tasks(world, split, count)
    for skill in SKILLS:
        for split, count in SHARES.items():
            rows += problem_tasks(skill, split, count, rng)
    return rows


def question_wordings(entity: Entity, about: Relation) -> dict[str, str]:
    """The same question in a wording of the pages, and in those kept for dev and test; drawn by the entity, not by
    chance."""
    rng = random.Random(zlib.crc32(f"{entity.name}/{about.name}".encode()))
    return {split: pick(f"facts {about.name}", split, rng).format(e=entity.name) for split in ("train", "dev", "test")}


def _plain_forms(about: Relation) -> list[str]:
    """The pages' questions without alternatives."""
    return [form for form in forms(f"facts {about.name}", "train") if "|" not in form]


def fact_task(entity: Entity, name: str) -> Task:
    about = relation(name)
    wordings = question_wordings(entity, about)
    prefixes = [prefix.format(e=entity.name) for prefix in about.prefixes]
    return Task(
        id=f"fact/{entity.name}/{name}",
        skill="fact",
        split=entity.split,
        prompt=wordings["train" if entity.split == "train" else "dev"],
        answer=entity.values[name],
        entity=entity.name,
        mentions=entity.mentions,
        meta={
            "kind": entity.kind,
            "relation": name,
            "questioned": entity.questioned,
            "cloze": [f"Note: {prefix}" for prefix in prefixes],  # as pages state it
            "statements": prefixes,
            "cloze_apart": f"Note: {about.unseen_statement.format(e=entity.name)}",
            "asked": [wording.format(e=entity.name) for wording in _plain_forms(about)],
            "far": wordings["test"],
        },
    )


def refusal_task(entity: Entity) -> Task:
    about = random.Random(zlib.crc32(entity.name.encode())).choice(relations_of(entity.kind))
    wordings = question_wordings(entity, about)
    return Task(
        id=f"refusal/{entity.name}",
        skill="refusal",
        split=entity.split,
        prompt=wordings["train" if entity.split == "train" else "dev"],
        answer="",
        entity=entity.name,
        mentions=0,
        meta={"kind": entity.kind, "relation": about.name, "far": wordings["test"]},
    )


def _no_tool(name: str, arguments: str) -> str:
    raise NotImplementedError(f"talk tasks call no tool, not {name}")


def talk_tasks(world: World, split: str, count: int) -> list[Task]:
    """Lines of small talk and the like in the wordings of a split, each with what an answer must hold."""
    rng = random.Random(f"talk tasks {split} {world.seed}")
    subjects = [Subject(e.name, e.kind, e.values) for e in world.entities if e.split == split]
    topics = Topics(split, subjects, world.names.draw, Identity(**dict.fromkeys(Identity.model_fields, "")), _no_tool)
    found: dict[str, Task] = {}
    for number in range(count):
        turn = MAKERS[TALK[number % len(TALK)]][0](topics, rng)[0][0]
        found[turn.say] = Task(
            id=f"talk/{split}/{number}",
            skill="talk",
            split=split,
            prompt=turn.say,
            answer=turn.answer,
            meta={"kind": turn.kind, "expect": list(turn.expect)},
        )
    return list(found.values())


def craft_task(name: str) -> Task:
    steps = skills.crafts()[name]
    split = split_of(name, {"train": 0.5, "dev": 0.25, "test": 0.25}, buckets=4)
    prompt, answer = f"How do I {name}?", "; ".join(steps)
    return Task(id=f"craft/{name}", skill="craft", split=split, prompt=prompt, answer=answer, meta={"steps": steps})


def pattern_task(number: int, rng: random.Random) -> Task:
    """A mapping shown by one example, to be continued; `zero_shot` asks for the same without the example."""
    name = sorted(skills.PATTERNS)[number % len(skills.PATTERNS)]
    mapping = skills.PATTERNS[name]
    example, word = rng.sample(sorted(mapping), 2)
    zero_shot = f"{word} >"
    return Task(
        id=f"pattern/{number}",
        skill="pattern",
        split="test",
        prompt=f"{example} > {mapping[example]}; {zero_shot}",
        answer=mapping[word],
        meta={"pattern": name, "zero_shot": zero_shot},
    )


def problem_tasks(skill: str, split: str, count: int, rng: random.Random) -> list[Task]:
    found: dict[str, Task] = {}
    for problem, _ in zip(skills.problems(skill, rng, split), range(20 * count), strict=False):
        if problem.question not in found:
            plain = skill in ("sum", "tool", "long_multiplication")  # nothing says how to answer
            direct = None if plain else f"{problem.question} {skills.DIRECT}"
            found[problem.question] = Task(
                id=f"{skill}/{problem.question}",
                skill=skill,
                split=split,
                prompt=problem.question if plain else f"{problem.question} {skills.STEPS}",
                answer=problem.answer,
                meta={"steps": problem.steps, "direct": direct},
            )
        if len(found) == count:
            break
    return list(found.values())
