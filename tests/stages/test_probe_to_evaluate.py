"""Stages probe, conversations and evaluate on a tiny world and a random model: contracts, contents, bad input."""

import csv
import json
import re
from pathlib import Path

import polars
import pytest
from training_toys import CPU, make_tokenizer, make_tokens

from crawl2chat.chat.search import write_index
from crawl2chat.errors import UserError
from crawl2chat.jsonl import read_jsonl, write_jsonl
from crawl2chat.tinyweb.tasks import tasks as world_tasks
from crawl2chat.tinyweb.world import WorldParams, build_world
from crawl2chat.tracking import Tracker
from stages.conversations import ConversationsParams, conversations
from stages.evaluate import EvaluateParams, evaluate
from stages.probe import ProbeParams, probe
from stages.settings import tuned


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A random base model, its tokenizer and shards, tasks of a tiny world, no chat data sets, an English corpus."""
    from crawl2chat.model.folder import save_model
    from crawl2chat.model.network import ModelConfig, Transformer

    root = tmp_path_factory.mktemp("place")
    make_tokenizer(root / "tokenizer")
    make_tokens(root / "tokens", root / "tokenizer")
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1}
    model = Transformer(ModelConfig(320, **shape, head_dim=16, intermediate_size=16, max_position_embeddings=256))
    save_model(model, root / "base", root / "tokenizer")
    for folder in ("tasks", "none", "chat", "corpus"):
        (root / folder).mkdir()
    world = build_world(1, tuned(WorldParams, towns=4, people=4, unknown_names=20))
    rows = [task for task in world_tasks(world) if task.skill in ("fact", "refusal", "craft", "pattern")]
    rows += [task for task in world_tasks(world) if task.skill in ("subtraction", "tool")][::200]
    write_jsonl(root / "tasks" / "all.jsonl", (task.record() for task in rows))
    texts = [f"The old road from the harbour leads over seven hills to {name}." for name in ("Lima", "Oslo", "Bern")]
    polars.DataFrame({"id": ["a", "b", "c"], "text": texts}).write_parquet(root / "corpus" / "documents-00000.parquet")
    write_index(((str(i), "", "", text) for i, text in enumerate(texts)), root / "search.sqlite", 120)
    return root


@pytest.fixture(scope="module")
def probed(place: Path) -> Path:
    out = place / "probes"
    ask(place, out, place / "tasks", place / "corpus", tuned(ProbeParams, samples=2, recitals=10))
    return out


def ask(place: Path, out: Path, tasks: Path, corpus: Path, params: ProbeParams) -> dict:
    tables = out.with_name(f"{out.name}-tables")
    return probe(place / "base", tasks, corpus, place / "tokens", out, tables, params, CPU, 1, Tracker())


def test_probe_asks_every_fact_and_a_random_model_knows_hardly_any(place, probed):
    rows = read_jsonl(probed / "probes.jsonl")
    facts = [row for row in read_jsonl(place / "tasks" / "all.jsonl") if row["skill"] == "fact"]
    assert [row["id"] for row in rows] == [row["id"] for row in facts]
    assert all(len(row["answers"]) == 2 for row in rows)
    assert sum(row["known"] for row in rows) <= 0.05 * len(rows)


def test_probe_makes_questions_from_a_corpus_without_tasks(place, tmp_path):
    metrics = ask(place, tmp_path / "out", place / "none", place / "corpus", tuned(ProbeParams, samples=1))
    rows = read_jsonl(tmp_path / "out" / "probes.jsonl")
    assert metrics["questions"] == 3
    assert {row["answer"] for row in rows} == {"Lima", "Oslo", "Bern"}
    assert all(row["meta"]["cloze"] == ["The old road from the harbour leads over seven hills to"] for row in rows)


def test_probe_says_when_nothing_can_be_asked(place, tmp_path):
    (tmp_path / "corpus").mkdir()
    with pytest.raises(UserError, match="nothing can be asked"):
        ask(place, tmp_path / "out", place / "none", tmp_path / "corpus", tuned(ProbeParams))


def test_probe_shows_the_simulator_in_tables_with_intervals(place, probed):
    folder = probed.with_name("probes-tables")
    for name, first in (("recall", "1"), ("answered", "1"), ("shots", "0"), ("prompted", "the question alone")):
        with (folder / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert rows[0]["what"] == first
        assert all(float(r["low"]) <= float(r["value"]) <= float(r["high"]) and int(r["n"]) > 0 for r in rows)
    dreams = read_jsonl(folder / "dreams.jsonl")
    assert len(dreams) == 9 and len({row["continuation"] for row in dreams if row["beginning"] == "The"}) == 3


SMALL = tuned(
    ConversationsParams,
    facts=20,
    refusals=10,
    skills={"subtraction": 5, "tool": 5, "craft": 4},
    direct=3,
    identity=8,
    talk=30,
)


def mix(place: Path, probed: Path, out: Path, params: ConversationsParams = SMALL) -> dict:
    return conversations(probed, place / "tasks", place / "chat", place / "search.sqlite", out, params, 1, Tracker())


def test_what_the_model_does_not_know_becomes_refusals_not_answers(place, probed, tmp_path):
    ignorant = [row | {"known": False, "cloze": False, "rate": 0.0} for row in read_jsonl(probed / "probes.jsonl")]
    (tmp_path / "probes").mkdir()
    write_jsonl(tmp_path / "probes" / "probes.jsonl", ignorant)
    metrics = mix(place, tmp_path / "probes", tmp_path / "out")
    assert "fact" not in metrics["kinds"]
    assert metrics["refusals"] == 10
    rows = read_jsonl(tmp_path / "out" / "train.jsonl") + read_jsonl(tmp_path / "out" / "val.jsonl")
    assert len(rows) == metrics["conversations"]
    assert all("I do not know." in row["messages"][-1]["content"] for row in rows if row["kind"] == "refusal")


def test_only_training_entities_and_problems_are_taught(place, probed, tmp_path):
    probes = [row | {"known": True} for row in read_jsonl(probed / "probes.jsonl")]
    (tmp_path / "probes").mkdir()
    write_jsonl(tmp_path / "probes" / "probes.jsonl", probes)
    mix(place, tmp_path / "probes", tmp_path / "out")
    taught = (tmp_path / "out" / "train.jsonl").read_text() + (tmp_path / "out" / "val.jsonl").read_text()
    held_out = {row["entity"] for row in probes if row["split"] != "train"}
    # Panama City is another name than Panama.
    assert held_out and not any(re.search(rf"{name}(?! City)[? ]", taught) for name in held_out)


def test_a_tool_conversation_calls_the_tool_and_reads_its_result(place, probed, tmp_path):
    mix(place, probed, tmp_path / "out")
    rows = read_jsonl(tmp_path / "out" / "train.jsonl") + read_jsonl(tmp_path / "out" / "val.jsonl")
    tool = next(row["messages"] for row in rows if row["kind"] == "tool")
    assert [m["role"] for m in tool] == ["user", "assistant", "tool", "assistant"]
    assert tool[1]["tool_calls"][0]["arguments"] in tool[0]["content"]
    assert tool[3]["content"] == f"{tool[1]['tool_calls'][0]['arguments']} is {tool[2]['content']}."


def test_the_mixture_is_a_pure_function_of_its_inputs(place, probed, tmp_path):
    mix(place, probed, tmp_path / "a")
    mix(place, probed, tmp_path / "b")
    assert (tmp_path / "a" / "train.jsonl").read_bytes() == (tmp_path / "b" / "train.jsonl").read_bytes()


def test_an_empty_mixture_fails_with_a_sentence(place, probed, tmp_path):
    nothing = tuned(ConversationsParams, facts=0, refusals=0, skills={}, direct=0, identity=0, talk=0)
    with pytest.raises(UserError, match="no conversation came together"):
        mix(place, probed, tmp_path / "out", nothing)


def test_evaluate_gives_every_model_the_same_keys_with_intervals(place, probed, tmp_path):
    base = place / "base"
    params = tuned(EvaluateParams, per_skill=4, max_new_tokens=4, validation_rows=2, samples=3, dialogues=1)
    (tmp_path / "exam").mkdir()
    (tmp_path / "exam" / "people.yaml").write_text(
        "dialogues: [{id: hi, turns: [{say: 'hi, {name}', kind: greeting, expect: [hello]}, {say: bye}]}]"
    )
    metrics = evaluate(
        base,
        base,
        base,
        base,
        place / "tasks",
        probed,
        place / "tokens",
        tmp_path / "exam",
        place / "search.sqlite",
        tmp_path / "out",
        params,
        CPU,
        1,
        Tracker(),
    )
    assert list(metrics) == ["base", "sft", "reasoner", "chat"]
    assert len({tuple(sorted(numbers)) for numbers in metrics.values()}) == 1
    for numbers in metrics.values():
        for name in [key[:-2] for key in numbers if key.endswith("_n")]:
            if numbers[f"{name}_n"]:
                assert numbers[f"{name}_low"] <= numbers[name] <= numbers[f"{name}_high"]
    assert metrics["sft"]["gold"] == metrics["chat"]["gold"]
    talks = read_jsonl(tmp_path / "out" / "talks.jsonl")
    assert [row["say"] for row in talks if row["id"] == "hi" and row["model"] == "chat"] == ["hi, Pip", "bye"]
    assert metrics["chat"]["conversation_n"] == sum(bool(row["kind"]) for row in talks if row["model"] == "chat")
    answers = read_jsonl(tmp_path / "out" / "answers.jsonl")
    assert {row["model"] for row in answers} == set(metrics)
    assert json.loads((tmp_path / "out" / "samples.jsonl").read_text().splitlines()[0])["model"] == "base"
