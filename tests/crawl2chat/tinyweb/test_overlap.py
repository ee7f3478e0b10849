"""No question of the exam stands in what models learn from: pages, conversations, prompts of reinforcement learning."""

import re
from random import Random

import pytest

from crawl2chat.chat import mixture
from crawl2chat.chat.identity import QUESTIONS, Identity
from crawl2chat.tinyweb import gold
from crawl2chat.tinyweb.pages import write_pages
from crawl2chat.tinyweb.skills import craft_text
from crawl2chat.tinyweb.talk.supply import conversations, scripts
from crawl2chat.tinyweb.talk.topics import Subject, Topics
from crawl2chat.tinyweb.tasks import tasks
from crawl2chat.tinyweb.world import World, build_world
from stages.crawl import CrawlParams
from stages.settings import tuned

PIP = Identity(name="Pip", maker="the makers", version="7", training_data="some pages")
BY_HEART = {"identity", "craft", "pattern"}
"""Kinds of the exam that are learnt word for word, on purpose; the report says so."""
SHORT = 12
"""Characters up to which a line is nobody's own: `thanks`, `7*8`."""


def topics(world: World, split: str) -> Topics:
    subjects = [Subject(e.name, e.kind, e.values) for e in world.entities if e.split == split]
    return Topics(split, subjects, build_world(4, tuned(CrawlParams).world).names.draw, PIP, lambda name, text: "1")


def plain(text: str) -> str:
    """Capitals, marks and spaces do not count."""
    return " ".join(re.findall(r"[\w.+*/=-]+", text.lower().rstrip("?.!")))


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(3, tuned(CrawlParams).world)


@pytest.fixture(scope="module")
def learnt(world: World) -> str:
    """All that is said to a model in training, one text."""
    params = tuned(CrawlParams).pages
    few = params.model_copy(update={"thread": 2000, "introduction": 500, "ticket": 100, "one_off": 500})
    texts = [paragraph for page in write_pages(world, few, 1) for paragraph in page.paragraphs]
    practice = [task for task in tasks(world) if task.split == "train"]
    texts += [task.prompt for task in practice]  # of reason, preferences and rlhf, and so of all rankings
    texts += [wording for task in practice for wording in task.meta.get("asked") or ()]
    style, rng = mixture.Style(0.3, gold.CLOSING, gold.EMPTY_TALK), Random(1)
    rows = [*conversations(topics(world, "train"), 3000, style, 1), *mixture.identity_conversations(PIP, 200, [], rng)]
    for skill in ("craft", "tool", "word_problem", "multiplication"):
        rows += mixture.skill_conversations(practice, skill, 60, style, rng, craft_text)
    texts += [turn["content"] for row in rows for turn in row["messages"] if turn["role"] == "user"]
    return " \n ".join(map(plain, texts))


def overlap(items: list[tuple[str, str]], learnt: str) -> dict[str, set[str]]:
    """The items (kind, text) that occur, by kind."""
    found: dict[str, set[str]] = {}
    for kind, text in items:
        if len(plain(text)) > SHORT and plain(text) in learnt:
            found.setdefault(kind, set()).add(text)
    return found


def test_no_question_of_the_exam_is_learnt_but_those_by_heart(world: World, learnt: str) -> None:
    asked = [(task.skill, task.prompt) for task in tasks(world) if task.split == "test"]
    asked += [("far", task.meta["far"]) for task in tasks(world) if task.split == "test" and task.meta.get("far")]
    asked += [("identity", question) for questions in QUESTIONS.values() for question in questions]
    found = overlap(asked, learnt)
    assert set(found) <= BY_HEART, found
    assert found["identity"]  # the search would have found the others too


def test_nobody_asks_in_the_conversation_exam_what_was_learnt(world: World, learnt: str) -> None:
    lines = [(turn.kind, turn.say) for script in scripts(topics(world, "test"), 10, 1) for turn in script.turns]
    found = overlap([(kind, text) for kind, text in lines if kind], learnt)
    assert not found, found
