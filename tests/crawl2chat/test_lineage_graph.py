"""Before and after a path, also of a file inside a folder, and the picture of it."""

from xml.etree import ElementTree

from crawl2chat.lineage import Step, after, before, draw, maker, ordered

STEPS = [
    Step("exam", {"models/b": "4"}, {"plots": "5"}),
    Step("crawl", {"inputs": "0"}, {"data/crawl": "1"}),
    Step("train", {"data/text": "2"}, {"models/a": "3", "curve.csv": "c"}),
    Step("tune", {"models/a": "3", "data/crawl/tasks": "t"}, {"models/b": "4"}),
    Step("clean", {"data/crawl/pages": "p"}, {"data/text": "2"}),
    Step("apart", {"data/crawl/pages_of_others": "x"}, {"data/apart": "y"}),
]


def names(steps: list[Step]) -> list[str]:
    return [step.name for step in steps]


def test_every_step_stands_after_what_it_reads() -> None:
    order = names(ordered(STEPS))
    assert order.index("crawl") < order.index("clean") < order.index("train") < order.index("tune")
    assert order.index("tune") < order.index("exam")


def test_what_a_path_came_from() -> None:
    assert names(before(STEPS, "models/a")) == ["crawl", "clean", "train"]
    assert names(before(STEPS, "models/b/model.safetensors")) == ["crawl", "clean", "train", "tune"]
    assert names(before(STEPS, "inputs")) == [] and maker(STEPS, "models") is None


def test_what_a_file_inside_a_folder_reached() -> None:
    assert names(after(STEPS, "data/crawl/pages/x.warc.gz")) == ["clean", "train", "tune", "exam"]
    assert names(after(STEPS, "data/crawl/tasks/sums.jsonl")) == ["tune", "exam"]
    assert names(after(STEPS, "plots")) == []


def test_the_picture_has_every_step_and_hand_over_and_the_same_bytes() -> None:
    picture = draw(STEPS, ["crawl", "clean"])
    drawing = ElementTree.fromstring(picture)
    assert [len(list(drawing.iter(f"{{http://www.w3.org/2000/svg}}{kind}"))) for kind in ("circle", "path")] == [6, 6]
    assert "models/a 3, curve.csv c" in picture and draw(STEPS, ["clean", "crawl"]) == picture
