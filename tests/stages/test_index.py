"""Stage index: the same corpus gives the same bytes, titles may be missing, and what it finds is measured."""

import hashlib
from pathlib import Path

import polars as pl
import pytest

from crawl2chat.chat.search import INDEX_FILE, Index
from crawl2chat.errors import UserError
from crawl2chat.tasks import Task, write_tasks
from stages.files import read_yaml
from stages.index import IndexParams, index
from stages.settings import PROJECT, tuned


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    texts = ["Note: Vilda Kort works as a baker.\nTarno is a town in Peru.", "The well of Tarno is old.", "…"]
    pages = {
        "id": ["a", "b", "c"],
        "url": ["https://a.example/", "", ""],
        "title": ["", "Old\nwells", ""],
        "text": texts,
    }
    (tmp_path / "corpus").mkdir()
    pl.DataFrame(pages).write_parquet(tmp_path / "corpus" / "documents-00000.parquet")
    return tmp_path / "corpus"


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    def fact(entity: str, prompt: str, answer: str, mentions: int, split: str = "test") -> Task:
        return Task(
            id=prompt, skill="fact", split=split, prompt=prompt, answer=answer, entity=entity, mentions=mentions
        )

    (tmp_path / "tasks").mkdir()
    write_tasks(
        tmp_path / "tasks",
        [
            fact("Vilda Kort", "What is Vilda Kort by trade?", "baker", 1),
            fact("Tarno", "What stands in the middle of Tarno?", "well", 9),
            fact("Tarno", "Which country is Tarno in?", "Chile", 9),
            fact("Tarno", "Name the country.", "Peru", 9, "train"),
            Task(id="r", skill="refusal", split="test", prompt="Where is Brom?", answer="", entity="Brom"),
        ],
    )
    return tmp_path / "tasks"


def test_pages_are_counted_and_what_is_found_is_measured(corpus: Path, tasks: Path, tmp_path: Path) -> None:
    metrics = index(corpus, tasks, tmp_path / "out.sqlite", tuned(IndexParams))
    assert (metrics["pages"], metrics["passages"]) == (3, 4)
    assert metrics["bytes"] == (tmp_path / "out.sqlite").stat().st_size
    assert (metrics["found_n"], metrics["found"]) == (3, 0.6667)
    assert (metrics["found_rare_n"], metrics["found_rare"], metrics["found_first"]) == (1, 1.0, 0.3333)
    assert metrics["found_low"] < metrics["found"] < metrics["found_high"]


def test_a_page_without_title_or_address_can_be_cited(corpus: Path, tasks: Path, tmp_path: Path) -> None:
    index(corpus, tasks, tmp_path / "out.sqlite", tuned(IndexParams))
    found = Index(tmp_path / "out.sqlite")
    assert found.search("baker")[0][1:] == ("", "https://a.example/")
    assert found.search("well")[0][1:] == ("Old wells", "b")


def test_the_same_corpus_gives_the_same_bytes(corpus: Path, tasks: Path, tmp_path: Path) -> None:
    for name in "ab":
        index(corpus, tasks, tmp_path / name, tuned(IndexParams))
    one, other = (hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in "ab")
    assert one == other


def test_the_out_lies_where_the_chat_looks_for_it() -> None:
    assert read_yaml(PROJECT / "dvc.yaml")["stages"]["index"]["outs"][0] == f"models/{INDEX_FILE}"


def test_a_folder_without_documents_is_told_in_a_sentence(tasks: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no documents-\*.parquet"):
        index(tasks, tasks, tmp_path / "out.sqlite", tuned(IndexParams))
