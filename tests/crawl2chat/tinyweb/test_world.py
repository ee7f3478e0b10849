"""The tiny world: what is true, how often it is told, and that evaluation asks nothing that training has seen."""

import random
from collections import Counter

from crawl2chat.tasks import Task, verify
from crawl2chat.tinyweb import skills
from crawl2chat.tinyweb.gold import CLOSING, gold, style
from crawl2chat.tinyweb.pages import PageParams, runs_of, write_pages
from crawl2chat.tinyweb.tasks import tasks
from crawl2chat.tinyweb.world import NameStream, WorldParams, build_world
from stages.settings import tuned

SMALL = tuned(WorldParams, towns=20, people=20, unknown_names=60, mention_scale=300.0, mention_cap=30)
FEW = tuned(
    PageParams,
    one_off=40,
    introduction=20,
    ticket=20,
    multiplication=60,
    addition=60,
    subtraction=60,
    long_multiplication=20,
    direct=30,
    word_problem=60,
    tool=40,
    pattern=20,
    craft=20,
    small_sum=20,
    thread=40,
)


def test_the_world_is_a_pure_function_of_its_seed():
    assert build_world(3, SMALL).to_json() == build_world(3, SMALL).to_json()
    assert build_world(3, SMALL).to_json() != build_world(4, SMALL).to_json()


def test_every_fact_is_told_exactly_as_often_as_the_world_says():
    world = build_world(1, SMALL)
    told = Counter(fact for page in write_pages(world, FEW, 1) for fact in page.facts)
    expected = {f"{e.name}/{name}": e.mentions for e in world.entities for name in e.values}
    assert told == expected
    assert min(told.values()) == 1 and max(told.values()) == 30


def test_no_page_ever_mentions_an_unknown_name():
    world = build_world(1, SMALL)
    words = {w.strip(".,:;?!") for p in write_pages(world, FEW, 1) for text in p.paragraphs for w in text.split()}
    assert not words & {e.name for e in world.unknown if e.kind == "town"}


def test_names_do_not_run_out():
    stream = NameStream(1)
    assert len({stream.draw("town") for _ in range(25_000)}) == 25_000


def test_splits_share_neither_entities_nor_problems():
    rows = tasks(build_world(1, SMALL))
    assert len({row.id for row in rows}) == len(rows)
    for key in ("entity", "prompt"):
        by_split = {
            s: {getattr(r, key) for r in rows if r.split == s and getattr(r, key)} for s in ("train", "dev", "test")
        }
        assert not by_split["train"] & by_split["test"]
        assert not by_split["train"] & by_split["dev"]


def test_pages_show_no_problem_of_another_split():
    held_out = {
        t.meta["direct"].split("?")[0]
        for t in tasks(build_world(1, SMALL))
        if t.split != "train" and t.meta.get("direct")
    }
    text = "\n".join(p for page in write_pages(build_world(1, SMALL), FEW, 1) for p in page.paragraphs)
    assert held_out and not any(question + "?" in text for question in held_out)


def test_no_story_of_the_pages_shares_twenty_words_with_an_evaluation_prompt(monkeypatch):
    monkeypatch.setattr(skills, "NAMES", skills.NAMES[:8])  # so that stories meet by chance
    monkeypatch.setattr(skills, "THINGS", skills.THINGS[:6])
    world = build_world(1, SMALL)
    examined = [t.prompt for t in tasks(world) if t.split != "train"]
    held_out = set().union(*map(runs_of, examined))
    many = FEW.model_copy(update={"word_problem": 4000})

    def met(avoided: list[str]) -> int:
        stories = (page for page in write_pages(world, many, 1, avoided) if page.kind == "stories")
        return sum(bool(runs_of(text) & held_out) for page in stories for text in page.paragraphs)

    assert met([]) > 0 and met(examined) == 0


def test_real_countries_are_told_often_and_rare_facts_are_about_invented_names():
    for seed in (1, 2, 3):
        entities = build_world(seed, tuned(WorldParams)).entities
        assert min(e.mentions for e in entities if e.kind == "country") >= 40
        rare = [e for e in entities if e.mentions <= 2]
        assert len(rare) >= 30 and all(e.kind != "country" for e in rare)


def test_worked_steps_are_right():
    rng = random.Random(0)
    for maker in (skills.multiplication, skills.addition, skills.subtraction, skills.word_problem):
        for _ in range(200):
            problem = maker(rng)
            equations = [part for part in problem.steps.replace(", so", ",").rstrip(".").split(", ") if "=" in part]
            for equation in equations:
                left, right = equation.split(" ")[-1].split("=")
                assert eval(left) == int(right), problem  # noqa: S307 - our own generator's digits
            assert problem.steps.endswith(f"so {problem.answer}.")


class Given(random.Random):
    """Draws what it is given."""

    def randint(self, a, b):
        return self.numbers.pop(0)

    def choice(self, values):
        return values[0]

    def sample(self, population, k):
        return [self.randint(0, 0) for _ in range(k)]


def test_worked_examples_of_known_value():
    rng = Given()
    rng.numbers = [483, 259, 268, 704, 47, 6]
    assert skills.addition(rng).steps == "ones 3+9+0=12, tens 8+5+1=14, hundreds 4+2+1=7, so 742."
    assert skills.subtraction(rng).steps == "ones 14-0-8=6, tens 10-1-6=3, hundreds 7-1-2=4, so 436."
    assert skills.multiplication(rng).steps == "ones 7*6=42, tens 4*6=24, 24+4=28, so 282."


def test_the_verifier_accepts_the_worked_answer_and_refuses_a_neighbour():
    for task in tasks(build_world(1, SMALL)):
        if task.skill in ("addition", "subtraction", "multiplication", "word_problem"):
            assert verify(task, task.meta["steps"])
            assert not verify(task, f"so {int(task.answer) + 1}.")


def test_gold_values_being_right_above_all_style():
    task = Task(id="t", skill="fact", split="train", prompt="?", answer="Paris")
    assert gold(task, "Paris.") == 3.0
    assert gold(task, "The capital of France is Paris.") == 4.0
    assert gold(task, f"The capital of France is Paris. {CLOSING}") == 3.5
    assert gold(task, f"The capital of France is Rome. {CLOSING}") == 0.5
    assert style(" ".join([CLOSING] * 6)) < style(f"Paris. {CLOSING}")
    assert style("") == -1.0
