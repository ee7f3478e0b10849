"""rlhf: PPO against the reward model, from models/reasoner to models/chat, with the gold score watched, never used.

Every few steps the policy answers held-out prompts: proxy reward, KL, length and, where the world knows it, gold and
correctness. The checkpoint that is kept has, within a KL limit, the highest score of a second reward model, which is
never optimised; gold only judges that rule. A control run with reward 0 tells what replay alone would have changed.
Maths: crawl2chat/alignment/ppo.py.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from crawl2chat.alignment.ppo import PPOParams
from crawl2chat.machine import Machine
from crawl2chat.tracking import Tracker


class RLHFParams(PPOParams):
    """The loop's dials and what it is used on."""

    # preferences: the prompts that were ranked, without a gold score.
    prompts: Literal["tasks", "preferences"]
    # Of the tasks.
    skills: list[str]
    # Held-out prompts of the evaluations on the way, and of those before and after.
    watched: int = Field(ge=2)
    test: int = Field(ge=2)
    # Also run with reward 0.
    control: bool
    control_steps: int = Field(ge=1)


def rlhf(
    policy: Path,
    reward: Path,
    validation: Path,
    preferences: Path,
    tasks: Path,
    conversations: Path,
    tokens: Path,
    index: Path,
    out: Path,
    out_curve: Path,
    params: RLHFParams,
    machine: Machine,
    seed: int,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Trains by PPO and keeps the best checkpoint; returns proxy, gold, correctness, KL and length before and after."""
    import torch

    from crawl2chat.alignment.ppo import PPO
    from crawl2chat.alignment.replay import Replay
    from crawl2chat.alignment.reward_model import load_reward_model, same_tokenizer
    from crawl2chat.alignment.watching import Watcher, control_metrics, outcome
    from crawl2chat.chat.search import with_search
    from crawl2chat.model.folder import load_model, save_model
    from crawl2chat.tinyweb.gold import gold
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.fabric import start_fabric
    from crawl2chat.training.progress import write_curve

    for judge in (reward, validation):
        same_tokenizer(policy, judge)
    tokenizer = Tokenizer.load(policy)
    # In float32: rollouts and training must agree on log-probabilities.
    fabric = start_fabric(machine.model_copy(update={"precision": "32-true"}))
    start, model = load_model(policy, fabric.device), load_model(policy, fabric.device)
    practice, watched, test = prompt_sets(
        preferences, tasks, tokenizer, model.config.max_position_embeddings, params, seed
    )
    replay = Replay(conversations, tokens, tokenizer, params, model.config.max_position_embeddings, seed)

    def scores_of(folder: Path):
        judge = load_reward_model(folder, fabric.device)
        return lambda rollouts: judge.rewards([(one.prompt, one.last_turn) for one in rollouts], tokenizer.pad)

    proxy = scores_of(reward)

    tools = with_search(index)
    watcher = Watcher(
        start, proxy, scores_of(validation), tokenizer, params.max_new_tokens, params.temperature, seed, gold, tools
    )
    common = {"fabric": fabric, "tokenizer": tokenizer, "replay": replay, "seed": seed, "tools": tools}
    common["prompts"] = [prompt.ids for prompt in practice]
    own = {"policy": model, "tracker": tracker, "work": work / "ppo"}
    loop = PPO(**common, **own, params=params, scores=proxy, evaluate=watcher.summary(watched))
    loop.run()
    save_model(model, out, policy)
    write_curve(out_curve, loop.progress.curve, digits=6)
    before, after = watcher.look(start, test), watcher.look(model, test)
    watcher.show(test, before, after, tracker)
    metrics = outcome(before, after, loop.progress.curve, loop.progress.best_step, seed)
    metrics |= {"kept_step": loop.progress.best_step, "steps": params.steps}
    if params.control:
        without = load_model(policy, fabric.device)
        zero = params.model_copy(update={"steps": params.control_steps})
        control = PPO(
            **common,
            policy=without,
            tracker=Tracker(),
            work=work / "control",
            params=zero,
            scores=lambda rollouts: torch.zeros(len(rollouts)),
            evaluate=lambda policy: {"validation": 0.0, "kl": 0.0},
            keep_last=True,
        )
        control.run()
        metrics |= control_metrics(watcher.look(without, test))
    return metrics


def prompt_sets(preferences: Path, tasks: Path, tokenizer, context: int, params: RLHFParams, seed: int) -> tuple:
    """(to train on, to watch, to test on), by split of the tasks or of the preference prompts."""
    from crawl2chat.alignment.preferences import read_prompts
    from crawl2chat.alignment.prompts import in_equal_shares, messages_of, spread_evenly
    from crawl2chat.alignment.watching import Prompt
    from crawl2chat.chat.conversation import render_prompt
    from crawl2chat.errors import UserError
    from crawl2chat.tasks import read_tasks

    if params.prompts == "tasks":
        train, dev, test = (read_tasks(tasks, params.skills, [split]) for split in ("train", "dev", "test"))
        chosen = (
            in_equal_shares(train),
            spread_evenly(dev, params.watched, seed),
            spread_evenly(test, params.test, seed),
        )
        rows = [[(messages_of(task), task) for task in part] for part in chosen]
    else:
        asked = list(read_prompts(preferences / "prompts.jsonl").values())
        train, test = (
            [(each["messages"], each["task"]) for each in asked if each["split"] == split]
            for split in ("train", "test")
        )
        rows = [train, test[::2][: params.watched], test[1::2][: params.test]]
    room = context - 8  # prompts that leave no place for an answer are left out
    sets = [[Prompt(render_prompt(messages, tokenizer), task) for messages, task in part] for part in rows]
    sets = [[prompt for prompt in part if len(prompt.ids) <= room] for part in sets]
    if not all(sets):
        raise UserError(
            f"rlhf: {len(sets[0])} prompts to train on and {len(sets[2])} to test on fit the context of {context}: "
            "both are needed; choose other rlhf.skills or add prompts."
        )
    return tuple(sets)
