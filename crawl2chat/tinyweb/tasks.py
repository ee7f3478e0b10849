"""What the tiny world can be asked, as tasks with one right answer: the counterpart of the data sets of real input.

Task schema (one JSON object each): id, skill, split, prompt, answer, aliases, entity, mentions, meta. Facts are split by
entity and sums by their operands, so that nothing asked in `dev` or `test` is ever asked in fine-tuning. A refusal task asks
about a name that no page mentions; its answer is empty.
"""

import random
import zlib

from crawl2chat.tinyweb import skills
from crawl2chat.tinyweb.world import Entity, World, relation, relations_of

SHARES = {"train": 3000, "dev": 200, "test": 500}
"""Problems of each skill per split."""
PATTERNS = 300


def tasks(world: World) -> list[dict]:
    """Every task of a world, in a fixed order, without duplicates."""
    rng = random.Random(f"tasks {world.seed}")
    rows = [_fact(entity, name) for entity in world.entities for name in entity.values]
    rows += [_refusal(entity) for entity in world.unknown]
    rows += [_craft(name) for name in sorted(skills.crafts())]
    rows += [_pattern(number, rng) for number in range(PATTERNS)]
    for skill in skills.MAKERS:
        for split, count in SHARES.items():
            rows += _sums(skill, split, count, rng)
    return rows


def _task(skill: str, key: str, split: str, prompt: str, answer: str, **more) -> dict:
    return {
        "id": f"{skill}/{key}",
        "skill": skill,
        "split": split,
        "prompt": prompt,
        "answer": answer,
        "aliases": [],
        "entity": more.pop("entity", None),
        "mentions": more.pop("mentions", None),
        "meta": more,
    }


def _question(entity: Entity, about) -> dict[str, str]:
    """The same question in a wording of the pages, a near one and a far one; drawn by the entity, not by chance."""
    rng = random.Random(zlib.crc32(f"{entity.name}/{about.name}".encode()))
    return {
        form: rng.choice(wordings).format(e=entity.name)
        for form, wordings in (("told", about.asked), ("near", about.asked_near), ("far", about.asked_far))
    }


def _fact(entity: Entity, name: str) -> dict:
    about = relation(name)
    forms = _question(entity, about)
    return _task(
        "fact",
        f"{entity.name}/{name}",
        entity.split,
        forms["told"] if entity.split == "train" else forms["near"],
        entity.values[name],
        entity=entity.name,
        mentions=entity.mentions,
        kind=entity.kind,
        relation=name,
        questioned=entity.questioned,
        cloze=[f"Note: {prefix.format(e=entity.name)}" for prefix in about.cloze],  # as pages tell it
        statements=[prefix.format(e=entity.name) for prefix in about.cloze],
        cloze_apart=f"Note: {about.told_apart.format(e=entity.name)}",
        asked=[wording.format(e=entity.name) for wording in about.asked],
        far=forms["far"],
    )


def _refusal(entity: Entity) -> dict:
    about = random.Random(zlib.crc32(entity.name.encode())).choice(relations_of(entity.kind))
    forms = _question(entity, about)
    return _task(
        "refusal",
        entity.name,
        entity.split,
        forms["told"] if entity.split == "train" else forms["near"],
        "",
        entity=entity.name,
        mentions=0,
        kind=entity.kind,
        relation=about.name,
        far=forms["far"],
    )


def _craft(name: str) -> dict:
    steps = skills.crafts()[name]
    split = ("train", "train", "dev", "test")[zlib.crc32(name.encode()) % 4]
    return _task("craft", name, split, f"How do I {name}?", "; ".join(steps), steps=steps)


def _pattern(number: int, rng: random.Random) -> dict:
    """A mapping shown by one example, to be continued; `zero_shot` asks for the same without the example."""
    name = sorted(skills.PATTERNS)[number % len(skills.PATTERNS)]
    mapping = skills.PATTERNS[name]
    example, word = rng.sample(sorted(mapping), 2)
    zero_shot = f"{word} >"
    prompt = f"{example} > {mapping[example]}; {zero_shot}"
    return _task("pattern", f"{number}", "test", prompt, mapping[word], pattern=name, zero_shot=zero_shot)


def _sums(skill: str, split: str, count: int, rng: random.Random) -> list[dict]:
    found: dict[str, dict] = {}
    for problem, _ in zip(skills.problems(skill, rng, split), range(20 * count), strict=False):
        if problem.question not in found:
            plain = skill in ("sum", "tool")  # nothing tells how to answer
            found[problem.question] = _task(
                skill,
                problem.question,
                split,
                problem.question + ("" if plain else f" {skills.STEPS}"),
                problem.answer,
                steps=problem.steps,
                direct=None if plain else f"{problem.question} {skills.DIRECT}",
            )
        if len(found) == count:
            break
    return list(found.values())
