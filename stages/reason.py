"""reason: reinforcement learning on tasks whose answers can be verified, from models/sft to models/reasoner.

Trains one skill the assistant half masters, replays everything else, and reports the skill on problems never trained
on, its neighbours, and the form of the answers apart from their being right. Refuses to start where there is nothing to
reinforce. Maths: crawl2chat/alignment/grpo.py.
"""

from pathlib import Path
from typing import Any

from pydantic import Field

from crawl2chat.alignment.grpo import GRPOParams
from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.tracking import Tracker


class ReasonParams(GRPOParams):
    """The loop's dials and what it is used on."""

    skills: list[str]
    # Watched, not trained.
    neighbours: list[str]
    # Held-out problems, and those of each neighbouring skill.
    test: int = Field(ge=1)
    test_neighbours: int = Field(200, ge=1)
    gate_prompts: int = Field(64, ge=1)
    # Least share of training prompts solved in 8 samples, and largest share solved by all 8; 0 and 1 lift the gate.
    gate_low: float = Field(ge=0, le=1)
    gate_high: float = Field(ge=0, le=1)


def reason(
    sft: Path,
    tasks: Path,
    conversations: Path,
    tokens: Path,
    index: Path,
    out: Path,
    out_curve: Path,
    params: ReasonParams,
    machine: Machine,
    seed: int,
    tracker: Tracker,
    work: Path,
) -> dict[str, Any]:
    """Trains by verifiable rewards; returns accuracy, format and pass@8 before and after, on held-out tasks."""
    from crawl2chat.alignment.grpo import GRPO
    from crawl2chat.alignment.prompts import judge, prompt_ids
    from crawl2chat.alignment.replay import Replay
    from crawl2chat.chat.search import with_search
    from crawl2chat.model.folder import load_model, save_model
    from crawl2chat.tasks import read_tasks
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.fabric import start_fabric
    from crawl2chat.training.progress import write_curve

    tokenizer = Tokenizer.load(sft)
    # In float32: rollouts and training must agree on log-probabilities.
    fabric = start_fabric(machine.model_copy(update={"precision": "32-true"}))
    policy = load_model(sft, fabric.device)
    practice = read_tasks(tasks, params.skills, ["train"])
    tools = with_search(index)
    metrics = measure(policy, tasks, tokenizer, tools, params, seed, "before", tracker)
    metrics |= eight_samples(policy, practice, tokenizer, tools, params, seed, "before")
    check_gate(metrics["pass_at_8_before"], metrics["all_of_8_before"], params)
    replay = Replay(conversations, tokens, tokenizer, params, policy.config.max_position_embeddings, seed)
    loop = GRPO(
        fabric=fabric,
        tracker=tracker,
        work=work,
        policy=policy,
        prompts=[prompt_ids(task, tokenizer) for task in practice],
        tokenizer=tokenizer,
        replay=replay,
        params=params,
        seed=seed,
        tools=tools,
        reward=lambda i, rollout: judge(practice[i], rollout, tokenizer),
    )
    loop.run()
    save_model(policy, out, sft)
    write_curve(out_curve, loop.progress.curve, digits=6)
    metrics |= measure(policy, tasks, tokenizer, tools, params, seed, "after", tracker)
    metrics |= eight_samples(policy, practice, tokenizer, tools, params, seed, "after")
    metrics["steps"] = params.steps
    return metrics


def measure(
    policy, tasks: Path, tokenizer, tools: dict, params: ReasonParams, seed: int, when: str, tracker: Tracker
) -> dict:
    """Held-out answers, sampled as the policy is trained: how many are right, how many show their steps, how many of
    those that do are right (skill apart from form), and how many called a tool. The greedy answers' accuracy beside it,
    and that of the neighbours."""
    from crawl2chat.alignment.prompts import answer_tasks, spread_evenly
    from crawl2chat.evaluation.statistics import accuracy
    from crawl2chat.tasks import read_tasks

    size = {"max_new_tokens": params.max_new_tokens, "seed": seed, "tools": tools}
    held_out = spread_evenly(read_tasks(tasks, params.skills, ["test"]), params.test, seed)
    rollouts, judged = answer_tasks(policy, held_out, tokenizer, **size, temperature=params.temperature)
    metrics = accuracy(f"accuracy_{when}", [each.correct for each in judged])
    metrics |= accuracy(f"format_{when}", [each.formatted for each in judged])
    metrics |= accuracy(f"accuracy_formatted_{when}", [each.correct for each in judged if each.formatted])
    metrics |= accuracy(f"called_{when}", [rollout.tokens < len(rollout.answer) for rollout in rollouts])
    metrics[f"length_{when}"] = sum(rollout.tokens for rollout in rollouts) / len(rollouts)
    _, greedy = answer_tasks(policy, held_out, tokenizer, **size)
    metrics |= accuracy(f"greedy_accuracy_{when}", [each.correct for each in greedy])
    tracker.table(
        f"samples_{when}",
        [
            {"prompt": task.prompt, "answer": rollout.text(tokenizer), "correct": each.correct}
            for task, rollout, each in list(zip(held_out, rollouts, judged, strict=True))[:20]
        ],
    )
    for skill in params.neighbours:
        try:
            near = spread_evenly(read_tasks(tasks, [skill], ["dev", "test"]), params.test_neighbours, seed)
        except UserError:  # this input has no such skill
            continue
        _, judged = answer_tasks(policy, near, tokenizer, **size)
        metrics |= accuracy(f"{skill}_{when}", [each.correct for each in judged])
    return metrics


def eight_samples(policy, practice: list, tokenizer, tools: dict, params: ReasonParams, seed: int, when: str) -> dict:
    """Eight sampled answers to each of some training prompts: the share solved at least once (pass@8), the share solved
    every time, and the accuracy of a single sample."""
    from crawl2chat.alignment.overoptimisation import pass_at_k
    from crawl2chat.alignment.prompts import answer_tasks, spread_evenly

    chosen = spread_evenly(practice, params.gate_prompts, seed)
    size = {"max_new_tokens": params.max_new_tokens, "seed": seed, "temperature": params.temperature}
    _, judged = answer_tasks(policy, chosen, tokenizer, **size, tools=tools, count=8)
    solved = [[each.correct for each in judged[i : i + 8]] for i in range(0, len(judged), 8)]
    return {
        f"pass_at_8_{when}": sum(pass_at_k(sum(each), 8, 8) for each in solved) / len(solved),
        f"all_of_8_{when}": sum(map(all, solved)) / len(solved),
        f"sampled_accuracy_{when}": sum(map(sum, solved)) / len(judged),
        f"sampled_accuracy_{when}_n": len(judged),
    }


def check_gate(passed: float, mastered: float, params: ReasonParams) -> None:
    """Only prompts that are sometimes solved teach anything. pass@8 alone would not tell: at an accuracy of one half it
    is near 1, and yet nearly every group has both right and wrong answers."""
    skill = ", ".join(params.skills)
    if passed < params.gate_low:
        raise UserError(
            f"reason: only {passed:.0%} of {skill} prompts are solved in 8 samples (reason.gate_low is "
            f"{params.gate_low:.0%}): teach the skill in SFT first, choose an easier one, or lower the gate."
        )
    if mastered > params.gate_high:
        raise UserError(
            f"reason: {mastered:.0%} of {skill} prompts are solved by all of 8 samples (reason.gate_high is "
            f"{params.gate_high:.0%}): nothing is left to learn; choose a harder skill, or raise the gate."
        )
