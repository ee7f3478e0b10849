"""reason: reinforcement learning on tasks whose answers can be verified, from models/sft to models/reasoner.

`init: base` starts from the base model and the template of a page instead, with no conversation ever seen (R1-Zero).

Trains a skill the assistant half masters together with those that look like it, replays everything else, and reports
each skill on problems never trained on, its neighbours, and the form of answers apart from their being right. Refuses
to start where there is nothing to reinforce. Maths: crawl2chat/alignment/grpo.py.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from crawl2chat.alignment.grpo import GRPOParams
from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.tracking import Tracker

if TYPE_CHECKING:
    from crawl2chat.alignment.prompts import Harness
    from crawl2chat.tokens.tokenizer import Tokenizer

logger = logging.getLogger(__name__)

HEADLINE = {"reason": {"accuracy": "accuracy_after"}}


class ReasonParams(GRPOParams):
    """The loop's dials and what it is used on."""

    init: Literal["sft", "base"]
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
    base: Path,
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
    from crawl2chat.alignment.prompts import CHAT, PAGE, in_equal_shares, judge
    from crawl2chat.alignment.replay import Replay
    from crawl2chat.chat.search import with_search
    from crawl2chat.evaluation.statistics import as_metrics, paired_difference
    from crawl2chat.model.folder import load_model, save_model
    from crawl2chat.tasks import read_tasks
    from crawl2chat.tokens.tokenizer import Tokenizer
    from crawl2chat.training.fabric import start_fabric
    from crawl2chat.training.progress import write_curve

    start, harness = (base, PAGE) if params.init == "base" else (sft, CHAT)
    if params.init == "base":  # conversations are what it has never seen
        params = params.model_copy(update={"replay_conversations": 0})
    tokenizer = Tokenizer.load(start)
    # In float32: rollouts and training must agree on log-probabilities.
    fabric = start_fabric(machine.model_copy(update={"precision": "32-true"}))
    policy = load_model(start, fabric.device)
    practice = in_equal_shares(read_tasks(tasks, params.skills, ["train"]))
    tools = with_search(index)
    asked = Asked(tokenizer, tools, harness, params, seed)
    metrics, before = measure(policy, tasks, asked, "before", tracker)
    metrics |= eight_samples(policy, practice, asked, "before")
    check_gate(metrics["pass_at_8_before"], metrics["all_of_8_before"], params)
    replay = Replay(conversations, tokens, tokenizer, params, policy.config.max_position_embeddings, seed)
    loop = GRPO(
        fabric=fabric,
        tracker=tracker,
        work=work,
        policy=policy,
        prompts=[harness.prompt(task, tokenizer) for task in practice],
        tokenizer=tokenizer,
        replay=replay,
        params=params,
        seed=seed,
        tools=tools,
        finish=lambda rollout: harness.finish(rollout, tokenizer),
        reward=lambda i, rollout: judge(practice[i], rollout, tokenizer),
    )
    loop.run()
    save_model(policy, out, start)
    write_curve(out_curve, loop.progress.curve, digits=6)
    found, after = measure(policy, tasks, asked, "after", tracker)
    metrics |= found | eight_samples(policy, practice, asked, "after")
    for name in before:
        metrics |= as_metrics(f"{name}_gain", paired_difference(before[name], after[name], seed))
    metrics["steps"] = params.steps
    return metrics


@dataclass(frozen=True)
class Asked:
    """How the policy is examined, before and after."""

    tokenizer: "Tokenizer"
    tools: dict
    harness: "Harness"
    params: ReasonParams
    seed: int

    def answer(self, policy, tasks: list, count: int = 1, greedy: bool = False) -> tuple[list, list]:
        from crawl2chat.alignment.prompts import answer_tasks

        return answer_tasks(
            policy,
            tasks,
            self.tokenizer,
            max_new_tokens=self.params.max_new_tokens,
            seed=self.seed,
            temperature=0.0 if greedy else self.params.temperature,
            count=count,
            tools=self.tools,
            harness=self.harness,
        )


def measure(policy, tasks: Path, asked: Asked, when: str, tracker: Tracker) -> tuple[dict, dict[str, list[bool]]]:
    """Held-out answers, sampled as the policy is trained: how many are right, how many are well formed, how many of
    those that are so are right (skill apart from form), how many called a tool, and how many show second thoughts. The
    greedy answers' accuracy beside it, also of each skill, pass@k, and the accuracy of the neighbours. Also the hits
    themselves, for differences on the same problems."""
    from crawl2chat.alignment.prompts import spread_evenly
    from crawl2chat.alignment.rollouts import entropies
    from crawl2chat.alignment.transcripts import count_second_thoughts
    from crawl2chat.evaluation.statistics import accuracy
    from crawl2chat.tasks import read_tasks

    params, tokenizer, seed = asked.params, asked.tokenizer, asked.seed
    held_out = spread_evenly(read_tasks(tasks, params.skills, ["test"]), params.test, seed)
    rollouts, judged = asked.answer(policy, held_out)
    metrics = accuracy(f"accuracy_{when}", [each.correct for each in judged])
    metrics |= accuracy(f"format_{when}", [each.formatted for each in judged])
    metrics |= accuracy(f"accuracy_formatted_{when}", [each.correct for each in judged if each.formatted])
    metrics |= accuracy(f"called_{when}", [rollout.tokens < len(rollout.answer) for rollout in rollouts])
    metrics[f"length_{when}"] = sum(rollout.tokens for rollout in rollouts) / len(rollouts)
    nats = entropies(policy, rollouts, tokenizer.pad, params.temperature)
    metrics[f"entropy_{when}"] = sum(nats) / len(nats)
    transcripts = [tokenizer.decode(rollout.answer).strip() for rollout in rollouts]
    metrics |= {f"{kind}_{when}": count for kind, count in count_second_thoughts(transcripts).items()}
    _, greedy = asked.answer(policy, held_out, greedy=True)
    metrics |= accuracy(f"greedy_accuracy_{when}", [each.correct for each in greedy])
    metrics |= pass_at(policy, held_out, asked, when)
    rows = [
        {"prompt": task.prompt, "answer": text, "correct": each.correct, "tokens": rollout.tokens}
        for task, text, rollout, each in zip(held_out, transcripts, rollouts, judged, strict=True)
    ]
    longest = sorted(rows, key=lambda row: -row["tokens"])[:5]
    tracker.table(f"samples_{when}", rows[:20])
    tracker.table(f"longest_{when}", longest)
    logger.info("the longest answer %s: %s → %s", when, longest[0]["prompt"], longest[0]["answer"])
    for skill in params.neighbours:
        try:
            near = spread_evenly(read_tasks(tasks, [skill], ["dev", "test"]), params.test_neighbours, seed)
        except UserError:  # this input has no such skill
            continue
        _, of_neighbour = asked.answer(policy, near, greedy=True)
        metrics |= accuracy(f"{skill}_{when}", [each.correct for each in of_neighbour])
    hits = {"accuracy": [each.correct for each in judged], "greedy_accuracy": [each.correct for each in greedy]}
    for skill in sorted({task.skill for task in held_out}):
        hits[skill] = [each.correct for task, each in zip(held_out, greedy, strict=True) if task.skill == skill]
        metrics |= accuracy(f"{skill}_{when}", hits[skill])
    return metrics, hits


def pass_at(policy, held_out: list, asked: Asked, when: str) -> dict:
    """pass@1, 2, 4 and 8 on some held-out problems, unbiased, from eight sampled answers to each; a mean over problems.
    Where pass@1 rises and pass@8 does not, answers were sharpened and no problem was added to those within reach."""
    from crawl2chat.alignment.overoptimisation import pass_at_k
    from crawl2chat.evaluation.statistics import as_metrics, mean

    right = right_of_8(policy, held_out[: asked.params.gate_prompts], asked)
    metrics: dict = {}
    for k in (1, 2, 4, 8):
        each = [pass_at_k(sum(hits), 8, k) for hits in right]
        metrics |= as_metrics(f"held_out_pass_at_{k}_{when}", mean(each, asked.seed))
    return metrics


def right_of_8(policy, tasks: list, asked: Asked) -> list[list[bool]]:
    """Which of eight sampled answers to each task are right."""
    _, judged = asked.answer(policy, tasks, count=8)
    return [[each.correct for each in judged[i : i + 8]] for i in range(0, len(judged), 8)]


def eight_samples(policy, practice: list, asked: Asked, when: str) -> dict:
    """Eight sampled answers to each of some training prompts: the share solved at least once (pass@8), the share solved
    every time, and the accuracy of a single sample."""
    from crawl2chat.alignment.prompts import spread_evenly

    solved = right_of_8(policy, spread_evenly(practice, asked.params.gate_prompts, asked.seed), asked)
    return {
        f"pass_at_8_{when}": sum(map(any, solved)) / len(solved),
        f"all_of_8_{when}": sum(map(all, solved)) / len(solved),
        f"sampled_accuracy_{when}": sum(map(sum, solved)) / (8 * len(solved)),
        f"sampled_accuracy_{when}_n": 8 * len(solved),
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
