"""The three ways of asking see the same facts, and a citation counts for what its passage says."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from crawl2chat.chat.loop import Answer
from crawl2chat.chat.search import Index, write_index
from crawl2chat.chat.tools import TOOLS, Tool, run_tool
from crawl2chat.evaluation.search_exam import examine_search
from crawl2chat.tasks import ProbedTask

TRADES = {"Vilda Kort": "baker", "Bruno Stam": "judge", "Lena Fusk": "poet", "Zora Hal": "nurse", "Otto Pesk": "miner"}


def trade(entity: str, known: bool = False, split: str = "test") -> ProbedTask:
    return ProbedTask(
        id=entity,
        skill="fact",
        split=split,
        prompt=f"What is the job of {entity}?",
        answer=TRADES[entity],
        entity=entity,
        mentions=1,
        meta={"relation": "job"},
        cloze=False,
        answers=[],
        rate=0.0,
        known=known,
    )


PROBES = [
    *(trade(entity) for entity in ("Vilda Kort", "Bruno Stam", "Lena Fusk")),
    trade("Zora Hal", known=True),
    trade("Otto Pesk", split="train"),
]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """Pages that state the trades of two vague facts of three."""
    text = "Vilda Kort works as a baker.\nBruno Stam works as a judge, and not as a poet.\nLena Fusk lives in Rome."
    write_index([("1", "https://a.example/", "Trades", text)], tmp_path / "index", 120)
    return Index(tmp_path / "index")


def examinee(answer_from: Callable[[str, str], str]) -> Callable[[Sequence[str], Mapping[str, Tool]], list[Answer]]:
    """Searches where it can; then says answer_from(question, result of the search or nothing)."""

    def ask(prompts: Sequence[str], tools: Mapping[str, Tool]) -> list[Answer]:
        answers = []
        for prompt in prompts:
            given = Answer([])
            result = ""
            if "search" in tools:
                result, sources = run_tool("search", prompt, tools)
                given.sources += sources
                given.tool_calls.append({"name": "search", "arguments": prompt, "result": result})
            given.messages.append({"role": "assistant", "content": answer_from(prompt, result)})
            answers.append(given)
        return answers

    return ask


def read_out(question: str, result: str) -> str:
    """Knows what stands in front of it and nothing else; cites what it found."""
    trades = [trade for trade in TRADES.values() if f"as a {trade}" in f"{question} {result}"]
    return f"{trades[0] if trades else 'I do not know'}{' [1]' if result else ''}."


def test_an_examinee_that_reads_is_right_where_there_is_something_to_read(index: Index) -> None:
    metrics, rows = examine_search(examinee(read_out), PROBES, index)
    assert (metrics["vague_closed"], metrics["vague_pasted"], metrics["vague_searched"]) == (0.0, 1.0, 1.0)
    assert metrics["vague_closed_n"] == 2 and metrics["vague_not_stated"] == 1
    assert (metrics["vague_called"], metrics["vague_cited"], metrics["vague_false_citation"]) == (1.0, 1.0, 0.0)
    assert metrics["vague_search_gain"] == 1.0
    assert {row["id"] for row in rows} == {"Vilda Kort", "Bruno Stam"} and len(rows) == 6
    assert rows[-1]["citations"] == ["[1] Trades — https://a.example/"]
    assert rows[2]["prompt"] == "Vilda Kort works as a baker. What is the job of Vilda Kort?"


@pytest.mark.parametrize(
    ("says", "false", "cited"),
    [
        ("miner [1].", 1.0, 1.0),  # the page says otherwise
        ("baker [7].", 1.0, 0.0),  # no such page
        ("baker [1] [7].", 1.0, 1.0),
        ("I do not know [1].", 1.0, 1.0),  # cites a page for nothing
        ("poet [1].", 0.5, 1.0),  # half the pages name the word, and yet it is wrong
    ],
)
def test_a_citation_whose_passage_lacks_the_answer_is_false(
    index: Index, says: str, false: float, cited: float
) -> None:
    metrics, _ = examine_search(examinee(lambda question, result: says), PROBES, index)
    assert (metrics["vague_false_citation"], metrics["vague_cited"]) == (false, cited)
    assert metrics["vague_false_citation_n"] == 2


def test_the_right_answer_from_memory_cites_nothing(index: Index) -> None:
    def remember(question: str, result: str) -> str:
        return next(trade for entity, trade in TRADES.items() if entity in question)

    metrics, _ = examine_search(examinee(remember), PROBES, index)
    assert metrics["vague_closed"] == metrics["vague_searched"] == 1.0
    assert metrics["vague_cited"] == 0.0 and metrics["vague_false_citation_n"] == 0
    assert metrics["vague_false_citation"] is None


def test_without_vague_facts_nothing_is_asked(index: Index) -> None:
    def refuse(prompts: Sequence[str], tools: Mapping[str, Tool]) -> list[Answer]:
        raise AssertionError("asked")

    metrics, rows = examine_search(refuse, PROBES[3:], index)
    assert metrics["vague_searched_n"] == 0 and rows == []


def test_only_one_way_may_search(index: Index) -> None:
    seen = []

    def ask(prompts: Sequence[str], tools: Mapping[str, Tool]) -> list[Answer]:
        seen.append(set(tools) - set(TOOLS))
        return examinee(read_out)(prompts, tools)

    examine_search(ask, PROBES, index)
    assert seen == [set(), set(), {"search"}]
