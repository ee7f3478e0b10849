"""Conversations of eight turns, picked by a seed, with the answers of every model, for people to read.

    python -m benchmarks.eight_turns [--seed 7] [--count 20]

In: a finished run. Out: Markdown; `+` and `−` say what the conversation exam makes of an answer.
"""

import argparse
from pathlib import Path
from random import Random

from benchmarks import command
from crawl2chat.chat.search import Index, with_search
from crawl2chat.evaluation import dialogues, suite
from crawl2chat.model.folder import load_model
from crawl2chat.tasks import read_probes, read_tasks
from crawl2chat.tinyweb.gold import gold
from crawl2chat.tinyweb.talk import supply
from crawl2chat.tinyweb.talk.dialogues import Dialogue, turns_of
from crawl2chat.tokens.tokenizer import Tokenizer
from stages.evaluate import EvaluateParams
from stages.settings import tuned

INDEX = Path("models/search.sqlite")
MODELS = ("base", "sft", "reasoner", "chat")
MARKS = {True: "+", False: "−", None: " "}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eight_turns", description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--count", type=int, default=20)
    options = parser.parse_args()
    params = tuned(EvaluateParams)
    probes, tasks = read_probes(Path("data/probes/probes.jsonl")), read_tasks(Path("data/crawl/tasks"))
    topics = supply.topics_of(probes, tasks, params.who, Index(INDEX), "test", options.seed)
    rng = Random(f"eight turns {options.seed}")
    talks = [Dialogue(turns_of(topics, rng, 8)[:8]) for _ in range(options.count)]
    scripts = [supply.script(f"{number}", talk) for number, talk in enumerate(talks, start=1)]
    exam = suite.Exam(tasks, probes, gold, params.who, [], params.per_skill, params.max_new_tokens)
    played = {}
    for name in MODELS:
        model, tokenizer = load_model(Path("models") / name), Tokenizer.load(Path("models") / name)
        examinee = suite.Examinee(name, model, tokenizer, exam)
        examinee.tools = with_search(INDEX)
        played[name] = dialogues.play(scripts, examinee.converse)
    for rows in zip(*played.values(), strict=True):
        if rows[0]["turn"] == 1:
            print(f"\n**{rows[0]['id']}**")
        print(f"- {rows[0]['say']}")
        for name, row in zip(MODELS, rows, strict=True):
            tools = f" [{', '.join(row['tools'])}]" if row["tools"] else ""
            print(f"  - {name} {MARKS[row['correct']]} {row['answer'][:200]}{tools}")


if __name__ == "__main__":
    command(main)
