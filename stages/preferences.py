"""Stage preferences: prompts with several answers of the policy, and rankings of them.

Where they come from is `preferences.source`: `rollouts` samples answers to tasks and has them ranked by the simulated
labeler (gold + noise) or, where there are rankings of theirs, by people; `pairs` reads what people ranked
elsewhere (hh-rlhf and the like, and Open-Assistant trees among the chat data). File format:
crawl2chat/alignment/preferences.py.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.parameters import Params
from crawl2chat.tracking import Tracker

HEADLINE = {"preferences": {"gold": "gold_mean"}}


class PreferencesParams(Params):
    """Section `preferences` of params.yaml."""

    source: Literal["rollouts", "pairs"]
    # Of the prompts.
    skills: list[str]
    prompts: int = Field(ge=2)
    # Answers to each prompt.
    candidates: int = Field(ge=2)
    temperature: float = Field(1.0, gt=0)
    max_new_tokens: int = Field(ge=1)
    # Share of pairs that the simulated labeler gets wrong.
    flipped: float = Field(ge=0, lt=0.5)
    # A file of rankings by people, of prompts.jsonl as this stage writes it, or a folder that may hold some.
    rankings: str
    # Of the prompts.
    test_share: float = Field(gt=0, lt=1)


def preferences(
    policy: Path,
    tasks: Path,
    pairs: Path,
    chat: Path,
    rankings: Path,
    index: Path,
    out: Path,
    params: PreferencesParams,
    machine: Machine,
    seed: int,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Writes prompts.jsonl and rankings.jsonl; returns their numbers and how far labelers agree."""
    from crawl2chat.alignment.preferences import pairs as pairs_of
    from crawl2chat.jsonl import write_jsonl

    if params.source == "pairs":
        prompts, ranked, metrics = published_rankings([pairs, chat], params, seed)
    else:
        prompts = sample_candidates(policy, tasks, index, params, machine, seed)
        ranked, metrics = rank_candidates(prompts, rankings, params, seed)
    if not ranked:
        raise UserError("preferences: nothing was ranked; raise preferences.prompts or candidates, or add pairs.")
    out.mkdir(parents=True)
    write_jsonl(out / "prompts.jsonl", prompts)
    write_jsonl(out / "rankings.jsonl", ranked)
    tracker.table(
        "rankings",
        [
            {"prompt": prompt["messages"][-1]["content"], "candidates": [c["text"] for c in prompt["candidates"]]}
            for prompt in prompts[:20]
        ],
    )
    return {
        "prompts": len(prompts),
        "rankings": len(ranked),
        "pairs": sum(len(pairs_of(ranking["order"])) for ranking in ranked),
        "test_prompts": sum(prompt["split"] == "test" for prompt in prompts),
        **metrics,
    }


def sample_candidates(
    policy: Path, tasks: Path, index: Path, params: PreferencesParams, machine: Machine, seed: int
) -> list[dict]:
    """Prompts with the policy's answers; equal answers are kept once, prompts with a single answer are left out."""
    from crawl2chat.alignment.preferences import prompt_split
    from crawl2chat.alignment.prompts import answer_tasks, messages_of, spread_evenly
    from crawl2chat.chat.search import with_search
    from crawl2chat.model.folder import load_model
    from crawl2chat.tasks import read_tasks
    from crawl2chat.tinyweb.gold import gold
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.devices import one_device

    tokenizer = Tokenizer.load(policy)
    chosen = spread_evenly(read_tasks(tasks, params.skills, ["train"]), params.prompts, seed)
    rollouts, _ = answer_tasks(
        load_model(policy, one_device(machine)),
        chosen,
        tokenizer,
        max_new_tokens=params.max_new_tokens,
        seed=seed,
        temperature=params.temperature,
        count=params.candidates,
        tools=with_search(index),
    )
    prompts = []
    for number, task in enumerate(chosen):
        answers = rollouts[number * params.candidates : (number + 1) * params.candidates]
        different = {(rollout.text(tokenizer), rollout.finished): None for rollout in answers}
        if len(different) > 1:
            prompts.append(
                {
                    "id": task.id,
                    "messages": messages_of(task),
                    "task": task.record(),
                    "split": prompt_split(messages_of(task), params.test_share),
                    "candidates": [
                        {"text": text, "finished": finished, "gold": gold(task, text)} for text, finished in different
                    ],
                }
            )
    return prompts


def rank_candidates(
    prompts: list[dict], by_people: Path, params: PreferencesParams, seed: int
) -> tuple[list[dict], dict[str, Any]]:
    """Rankings by people, where there are any, or by the simulated labeler; agreement is that of two simulated labelers
    with equal noise."""
    import numpy as np

    from crawl2chat.alignment import preferences as records
    from crawl2chat.alignment.rollouts import derived_seed

    gold = [[candidate["gold"] for candidate in prompt["candidates"]] for prompt in prompts]
    noise = records.noise_for(gold, params.flipped)
    labelers = []
    for name in ("first", "second"):
        generator = np.random.default_rng(derived_seed(seed, "labeler", name))
        labelers.append([records.simulate(scores, noise, generator) for scores in gold])
    rankings = [
        {"prompt_id": prompt["id"], "order": order, "labeler": "simulated"}
        for prompt, order in zip(prompts, labelers[0], strict=True)
    ]
    files = sorted(by_people.glob("*.jsonl")) if by_people.is_dir() else [by_people]
    if files:
        by_id = {prompt["id"]: prompt for prompt in prompts}
        rankings = [ranking for file in files for ranking in records.read_rankings(file, by_id)]
    same, both = records.agreement(*labelers)
    truth = {prompt["id"]: set(records.gold_pairs(scores)) for prompt, scores in zip(prompts, gold, strict=True)}
    clean = [
        pair in truth[ranking["prompt_id"]]
        for ranking in rankings
        for pair in records.pairs(ranking["order"])
        if pair in truth[ranking["prompt_id"]] or pair[::-1] in truth[ranking["prompt_id"]]
    ]
    return rankings, {
        "labeler_agreement": same / both if both else None,
        "consistent_with_gold": float(np.mean(clean)) if clean else None,
        "labeler_noise": noise,
        "gold_mean": float(np.mean([score for scores in gold for score in scores])),
    }


def published_rankings(
    folders: list[Path], params: PreferencesParams, seed: int
) -> tuple[list[dict], list[dict], dict[str, Any]]:
    """Rankings as people published them, `prompts` of them drawn from all; what was refused is counted by reason."""
    import numpy as np

    from crawl2chat.alignment.preferences import prompt_split
    from crawl2chat.alignment.rollouts import derived_seed
    from crawl2chat.chat.preference_sets import read_preferences

    rows, broken = read_preferences(folders)
    drawn = np.random.default_rng(derived_seed(seed, "given")).permutation(len(rows))[: params.prompts]
    rows = [rows[i] for i in sorted(drawn)]
    prompts = [
        {
            "id": row["id"],
            "messages": row["messages"],
            "task": None,
            "split": prompt_split(row["messages"], params.test_share),
            "candidates": [{"text": text, "finished": True, "gold": None} for text in row["candidates"]],
        }
        for row in rows
    ]
    rankings = [{"prompt_id": row["id"], "order": row["order"], "labeler": row["labeler"]} for row in rows]
    counts = {"refused": sum(broken.values()), "unreadable": dict(sorted(broken.items()))}
    return prompts, rankings, {"labeler_agreement": None} | counts
