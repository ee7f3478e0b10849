"""rlhf: learning what people prefer, from models/reasoner to models/chat, with the gold score watched, never used.

`method` says how: PPO, GRPO or fine-tuning on the best of n against the reward model, or DPO on its rankings.

Every few steps the policy answers held-out prompts: proxy reward, KL, length and, where the world knows it, gold and
correctness. The checkpoint that is kept has, within a KL limit, the highest score of a second reward model, which is
never optimised; gold only judges that rule. A control run with reward 0 tells what replay alone would have changed.
Maths: crawl2chat/alignment/ppo.py and preference_methods.py.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from crawl2chat.alignment.ppo import PPOParams
from crawl2chat.alignment.preference_methods import BestOfNParams, DPOParams, WatchedGRPOParams
from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.tracking import Tracker

if TYPE_CHECKING:
    from crawl2chat.alignment.watched_loop import WatchedLoop
    from crawl2chat.alignment.watching import Watcher
    from crawl2chat.model.network import Transformer
    from crawl2chat.tokens.tokenizer import Tokenizer

HEADLINE = {"rlhf": {"accuracy": "correct_after", "gold": "gold_after", "reward": "proxy_after", "kl": "kl"}}


class RLHFParams(PPOParams, BestOfNParams, DPOParams):
    """The dials of all methods, and what they are used on. GRPO takes `samples` answers a prompt, `clip`, and
    kl_coefficient as the weight of k3."""

    method: Literal["ppo", "grpo", "dpo", "best_of_n"]
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
    """Trains and keeps the best checkpoint; returns proxy, gold, correctness, KL and length before and after."""
    import torch

    from crawl2chat.alignment.replay import Replay
    from crawl2chat.alignment.reward_model import apart, same_tokenizer
    from crawl2chat.alignment.watching import control_metrics, outcome
    from crawl2chat.chat.search import with_search
    from crawl2chat.evaluation.statistics import accuracy
    from crawl2chat.model.folder import load_model, save_model
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.fabric import start_fabric
    from crawl2chat.training.progress import write_curve

    for judge in (reward, validation):
        same_tokenizer(policy, judge)
    apart(reward, validation)
    tokenizer = Tokenizer.load(policy)
    # In float32: rollouts and training must agree on log-probabilities.
    fabric = start_fabric(machine.model_copy(update={"precision": "32-true"}))
    start, model = load_model(policy, fabric.device), load_model(policy, fabric.device)
    practice, watched, test = prompt_sets(
        preferences, tasks, tokenizer, model.config.max_position_embeddings, params, seed
    )
    replay = Replay(conversations, tokens, tokenizer, params, model.config.max_position_embeddings, seed)

    tools = with_search(index)
    watcher = watcher_of(start, reward, validation, tokenizer, tools, params, seed)
    common = {"fabric": fabric, "tokenizer": tokenizer, "replay": replay, "seed": seed, "tools": tools}
    common["prompts"] = [prompt.ids for prompt in practice]
    if params.method == "dpo":
        common["pairs"] = ranked_pairs(preferences, tokenizer, model.config.max_position_embeddings)
    own = {"policy": model, "tracker": tracker, "work": work / params.method}
    loop = method_of(params)(**common, **own, scores=watcher.proxy, evaluate=watcher.summary(watched, tracker))
    loop.run()
    save_model(model, out, policy)
    write_curve(out_curve, loop.progress.curve, digits=6)
    before, after = watcher.look(start, test), watcher.look(model, test)
    watcher.show(test, before, after, tracker)
    metrics = outcome(before, after, loop.progress.curve, loop.progress.best_step, seed)
    for when, greedy in (("before", watcher.greedy(start, test)), ("after", watcher.greedy(model, test))):
        metrics |= accuracy(f"greedy_correct_{when}", greedy)
    metrics |= {"kept_step": loop.progress.best_step, "steps": params.steps}
    if params.control:
        without = load_model(policy, fabric.device)
        # Whatever the method: with reward 0 PPO is replay and the KL penalty, which is what the control asks about.
        zero = params.model_copy(update={"steps": params.control_steps, "method": "ppo"})
        control = method_of(zero)(
            **{key: value for key, value in common.items() if key != "pairs"},
            policy=without,
            tracker=Tracker(),
            work=work / "control",
            scores=lambda rollouts: torch.zeros(len(rollouts)),
            evaluate=lambda policy: {"validation": 0.0, "kl": 0.0},
            keep_last=True,
        )
        control.run()
        metrics |= control_metrics(watcher.look(without, test), after, seed)
    return metrics


def watcher_of(
    start: "Transformer",
    reward: Path,
    validation: Path,
    tokenizer: "Tokenizer",
    tools: dict,
    params: RLHFParams,
    seed: int,
) -> "Watcher":
    """Who watches the policy, with both reward models and gold."""
    from crawl2chat.alignment.reward_model import load_reward_model
    from crawl2chat.alignment.watching import Watcher
    from crawl2chat.tinyweb.gold import gold

    device = next(start.parameters()).device

    def scores_of(folder: Path) -> Callable:
        judge = load_reward_model(folder, device)
        return lambda rollouts: judge.rewards([(one.prompt, one.last_turn) for one in rollouts], tokenizer.pad)

    scores = (scores_of(reward), scores_of(validation))
    return Watcher(start, *scores, tokenizer, params.max_new_tokens, params.temperature, seed, gold, tools)


def method_of(params: RLHFParams) -> Callable[..., "WatchedLoop"]:
    """What trains, by `params.method`; it takes what all methods take, and `pairs` where it learns from rankings."""
    from crawl2chat.alignment.ppo import PPO
    from crawl2chat.alignment.preference_methods import DPO, BestOfN, RewardModelGRPO

    if params.method == "ppo":
        return partial(PPO, params=params)
    if params.method == "best_of_n":
        return partial(BestOfN, params=params)
    if params.method == "grpo":
        return partial(RewardModelGRPO, params=grpo_params(params))

    def without_scores(scores: Any, **given: Any) -> DPO:  # the policy itself is the reward model
        return DPO(**given, params=params)

    return without_scores


def grpo_params(params: RLHFParams) -> WatchedGRPOParams:
    """GRPO's dials in the terms of this stage: as many answers a step as the other methods take."""
    shared = {key: getattr(params, key) for key in WatchedGRPOParams.model_fields if hasattr(params, key)}
    return WatchedGRPOParams.model_validate(
        shared
        | {
            "prompts": max(1, params.episodes // params.samples),
            "samples": params.samples,
            "advantage": "normalised",
            "denominator": "token",
            "clip_low": params.clip,
            "clip_high": params.clip,
            "kl": "k3",
            "kl_weight": params.kl_coefficient,
        }
    )


def ranked_pairs(preferences: Path, tokenizer, context: int) -> list:
    """The pairs that the optimised reward model learns from, as texts: all that DPO ever sees."""
    from crawl2chat.alignment.preferences import pairs, purpose, read_prompts, read_rankings
    from crawl2chat.alignment.reward_training import tokenise
    from crawl2chat.alignment.rollouts import Text
    from crawl2chat.tinyweb.gold import style

    prompts = read_prompts(preferences / "prompts.jsonl")
    rankings = read_rankings(preferences / "rankings.jsonl", prompts)
    chosen = [ranking for ranking in rankings if purpose(prompts[ranking["prompt_id"]]) == "proxy"]
    found = []
    for example in tokenise(prompts, chosen, tokenizer, context, style):
        texts = [Text(prompt, answer, [True] * len(answer)) for prompt, answer in example.sequences]
        found += [(texts[better], texts[worse]) for better, worse in pairs(example.order)]
    if not found:
        raise UserError(f"{preferences} ranks no prompt that DPO may learn from; raise preferences.prompts.")
    return found


def prompt_sets(preferences: Path, tasks: Path, tokenizer, context: int, params: RLHFParams, seed: int) -> tuple:
    """(to train on, to watch, to test on), by split of the tasks or of the preference prompts."""
    from crawl2chat.alignment.preferences import read_prompts
    from crawl2chat.alignment.prompts import in_equal_shares, messages_of, spread_evenly
    from crawl2chat.alignment.watching import Prompt
    from crawl2chat.chat.conversation import render_prompt
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
