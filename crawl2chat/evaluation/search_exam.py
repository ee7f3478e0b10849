"""What looking a fact up is worth: facts that a model does not recall, asked in three ways.

In: what asks a model, probed facts, a search index. Out: how often it is right from memory alone, with the passage
pasted into the question (working memory, as Karpathy's talk calls it), and with search at hand; and whether the pages
that it cites say what it says. The facts are the same in all three, so that the differences are paired.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from crawl2chat.chat.loop import Answer, without_markers
from crawl2chat.chat.search import Index
from crawl2chat.chat.tools import TOOLS, Source, Tool
from crawl2chat.evaluation.retrieval import states
from crawl2chat.evaluation.statistics import accuracy, as_metrics, paired_difference
from crawl2chat.tasks import ProbedTask, names, verify

Ask = Callable[[Sequence[str], Mapping[str, Tool]], Sequence[Answer]]
"""(prompts, tools) → one answer to each."""

PASTED = "{passage} {question}"
# Hits among which the passage to paste is looked for, by a query that holds the answer.
LOOKED_AT = 10


def examine_search(ask: Ask, probes: Sequence[ProbedTask], index: Index) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """All numbers, and every answer. Asked are facts of the test split that the probe says are not known; those that no
    passage states are left out and counted (`vague_not_stated`).

    `vague_closed`, `vague_pasted` and `vague_searched` are shares of right answers. With search, `vague_called` is the
    share of questions that were searched for, `vague_cited` of questions with a cited passage that states the fact, and
    `vague_false_citation` of answers with a citation of which one is false.
    """
    vague = [task for task in probes if task.skill == "fact" and task.split == "test" and not task.known]
    stated = [(task, source.passage) for task in vague if (source := stating(index, task))]
    tasks = [task for task, _ in stated]
    questions = [task.prompt for task in tasks]
    pasted = [PASTED.format(passage=passage, question=task.prompt) for task, passage in stated]
    possible: defaultdict[str | None, set[str]] = defaultdict(set)
    for task in probes:
        possible[task.meta.get("relation")].add(task.answer)

    metrics: dict[str, Any] = {"vague_not_stated": len(vague) - len(tasks)}
    right: dict[str, list[bool]] = {}
    rows: list[dict[str, Any]] = []
    answers: Sequence[Answer] = []
    for way, prompts, tools in (
        ("closed", questions, TOOLS),
        ("pasted", pasted, TOOLS),
        ("searched", questions, TOOLS | {"search": index.search}),
    ):
        answers = ask(prompts, tools) if tasks else []
        right[way] = [verify(task, without_markers(one.text)) for task, one in zip(tasks, answers, strict=True)]
        metrics |= accuracy(f"vague_{way}", right[way])
        rows += [
            {
                "way": way,
                "id": task.id,
                "prompt": prompt,
                "truth": task.answer,
                "answer": one.text,
                "correct": hit,
                "citations": [str(citation) for citation in one.citations],
            }
            for task, prompt, one, hit in zip(tasks, prompts, answers, right[way], strict=True)
        ]
    if tasks:
        metrics |= as_metrics("vague_search_gain", paired_difference(right["closed"], right["searched"]))
    searched = list(zip(tasks, answers, strict=True))
    called = [any(call["name"] == "search" for call in one.tool_calls) for one in answers]
    cited = [any(states(citation.passage, task) for citation in one.citations) for task, one in searched]
    false = [cites_falsely(one, possible[task.meta.get("relation")]) for task, one in searched if one.citations]
    metrics |= accuracy("vague_called", called) | accuracy("vague_cited", cited)
    return metrics | accuracy("vague_false_citation", false), rows


def stating(index: Index, task: ProbedTask) -> Source | None:
    """A passage that states the fact, if there is one."""
    hits = index.search(f"{task.entity} {task.answer}", LOOKED_AT)
    return next((source for source in hits if states(source.passage, task)), None)


def cites_falsely(answer: Answer, possible: set[str]) -> bool:
    """Whether one of the citations is of no page, or its passage has none of the answers that the text gives.

    `possible` are the answers to questions of the kind: what the text gives is what it names of them.
    """
    given = [thing for thing in possible if names(without_markers(answer.text), thing)]
    return any(not any(names(one.passage, thing) for thing in given) for one in answer.citations)
