"""Talk of the tiny web: answers are right, splits share no wording, the same seed gives the same conversations."""

import re
from collections import Counter
from itertools import product
from random import Random

import pytest

from crawl2chat.chat.identity import Identity
from crawl2chat.chat.tools import run_tool
from crawl2chat.evaluation.dialogues import Heard, is_right
from crawl2chat.tinyweb.pages import fact_pieces, thread_pieces
from crawl2chat.tinyweb.talk.dialogues import dialogue
from crawl2chat.tinyweb.talk.kinds import MAKERS
from crawl2chat.tinyweb.talk.phrasing import CHOICE, blocks, forms, spoken
from crawl2chat.tinyweb.talk.supply import script
from crawl2chat.tinyweb.talk.topics import SENTENCES, Subject, Topics
from crawl2chat.tinyweb.world import World, build_world
from stages.crawl import CrawlParams
from stages.settings import tuned

TOLD = re.compile(r" => |/")
LISTS = {"outside things", "words to spell", "first names", "pet names", "named things", "things", "small things"}
LISTS |= {"colours", "foods", "places", "jobs", "cities"}
"""Blocks of words, which may occur anywhere: exams ask for others, but nothing hides them."""
PIP = Identity(name="Pip", maker="the makers", version="7", training_data="some pages")


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(3, tuned(CrawlParams).world)


def topics(world: World, split: str) -> Topics:
    subjects = [Subject(e.name, e.kind, e.values) for e in world.entities if e.split == split]

    def search(query: str) -> list[str]:
        return [
            SENTENCES[name].format(e=subject.name, a=answer)
            for subject in subjects
            if query.startswith(subject.name)
            for name, answer in subject.facts.items()
        ]

    new_name = build_world(4, tuned(CrawlParams).world).names.draw
    tool = lambda name, arguments: run_tool(name, arguments).text  # noqa: E731
    return Topics(split, subjects, new_name, PIP, tool, subjects[:5], search)


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_every_answer_to_learn_from_would_pass_the_exam(world: World, split: str) -> None:
    talk, rng = topics(world, split), Random(1)
    wrong = []
    for number in range(600):
        one = dialogue(talk, rng)
        for said, turn in zip(script(str(number), one).turns, one.turns, strict=True):
            if said.kind and not is_right(said, Heard(turn.answer, finished=True)):
                wrong.append((said, turn.answer))
    assert not wrong


def test_every_kind_occurs_and_can_be_asked_for(world: World) -> None:
    talk, rng = topics(world, "test"), Random(2)
    for kind in MAKERS:
        turns = dialogue(talk, rng, about=kind).turns
        assert turns
    kinds = Counter(turn.kind for _ in range(500) for turn in dialogue(talk, rng).turns)
    assert {"fact", "follow_up", "return", "open_book", "system_prompt", "calculator", "spelling"} <= set(kinds)


def test_the_same_seed_gives_the_same_talk(world: World) -> None:
    talks = [[dialogue(topics(world, "train"), Random(5)) for _ in range(20)] for _ in range(2)]
    assert talks[0] == talks[1]


def reserved_forms() -> dict[str, dict[str, list[str]]]:
    """The forms of every block of which some are kept for exams, by split."""
    found = {}
    for name in blocks():
        parts = {split: list(forms(name, split)) for split in ("train", "dev", "test")}
        if name == "told":  # what is said, questions for it, and the answer
            parts = {
                split: [text for line in lines for text in TOLD.split(line)[:-1]] for split, lines in parts.items()
            }
        if name not in LISTS and (parts["dev"] or parts["test"]):
            found[name] = parts
    return found


def expanded(form: str) -> list[str]:
    """All alternatives of a form."""
    choices = [match[1].split("|") for match in CHOICE.finditer(form)]
    pieces = CHOICE.sub("\0", form).split("\0")
    texts = ("".join(a + b for a, b in zip(pieces, (*chosen, ""), strict=True)) for chosen in product(*choices))
    return [" ".join(text.split()) for text in texts]


def occurs(form: str, text: str) -> bool:
    """Whether a form stands in a sentence, its slots taken by a few words; capitals and end marks do not count."""
    parts = [part.strip().rstrip("?.!").lower() for part in re.split(r"\{\w+\}", form)]
    if not all(part in text for part in parts):
        return False
    words = (re.sub(r"^\b|\b$", r"\\b", re.escape(part)) for part in parts)
    return re.search(r"\s?[^.?!:,]{1,30}?\s?".join(words), text) is not None


def test_no_reserved_wording_occurs_on_pages_or_in_conversations(world: World) -> None:
    rng, talk = Random(6), topics(world, "train")
    said = {piece.text.lower() for piece in (*fact_pieces(world, talk, rng), *thread_pieces(talk, 2000, rng))}
    said |= {turn.say.lower() for _ in range(3000) for turn in dialogue(talk, rng).turns}
    by_word: dict[str, list[str]] = {}
    for text in said:
        for word in set(re.findall(r"\w+", text)):
            by_word.setdefault(word, []).append(text)
    leaked = {}
    for name, parts in reserved_forms().items():
        for split in ("dev", "test"):
            for form in (text for line in parts[split] for text in expanded(line)):
                words = re.findall(r"\w+", re.sub(r"\{\w+\}", " ", form.lower()))
                if len("".join(words)) < 6:  # "So {q}": no wording of its own
                    continue
                rarest = min((by_word.get(word, []) for word in words), key=len)
                if hit := next((text for text in rarest if occurs(form, text)), None):
                    leaked[name, form] = hit[:200]
    assert not leaked, "\n".join(f"{key}: {hit}" for key, hit in leaked.items())


def test_splits_of_a_block_share_no_form() -> None:
    shared = {}
    for name, lines in reserved_forms().items():
        parts = {
            split: {text.lower().rstrip("?.!") for line in lines[split] for text in expanded(line)} for split in lines
        }
        assert all(parts.values()), name
        both = parts["train"] & parts["dev"] | parts["train"] & parts["test"] | parts["dev"] & parts["test"]
        shared |= {name: sorted(both)} if both else {}
    assert not shared


def test_typing_leaves_names_alone() -> None:
    rng = Random(7)
    texts = {spoken("Where does Braldo Kest live?", rng, ("Braldo Kest",)) for _ in range(300)}
    assert len(texts) > 10
    assert all("Braldo Kest" in text for text in texts)
