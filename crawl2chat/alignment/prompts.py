"""Tasks as prompts for a policy, and answers to them judged by the tasks' verifiers.

In: tasks. Out: token ids to sample from, and for each answer whether it is right and well formed. An answer that never
ends is not right, whatever it contains. A base model is asked as a page asks (`PAGE`), every other one in a
conversation (`CHAT`); Guo et al. 2025 (DeepSeek-R1-Zero) start reinforcement learning from such a template.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from crawl2chat.alignment.rollouts import Judged, Rollout, derived_seed, sample
from crawl2chat.chat.conversation import render_prompt
from crawl2chat.chat.tools import Tool
from crawl2chat.errors import UserError
from crawl2chat.evaluation.probes import LABEL, QUESTION
from crawl2chat.model.network import Transformer
from crawl2chat.tasks import Task, verify, well_formed
from crawl2chat.tokens.tokenizer import Tokenizer


def spread_evenly(tasks: Sequence[Task], count: int, seed: int) -> list[Task]:
    """At most `count` tasks, skills in equal numbers as far as they reach, drawn by the seed."""
    generator = np.random.default_rng(derived_seed(seed, "spread"))
    by_skill: dict[str, list[Task]] = {}
    for i in generator.permutation(len(tasks)):
        by_skill.setdefault(tasks[i].skill, []).append(tasks[i])
    queues = [by_skill[skill] for skill in sorted(by_skill)]
    rounds = max(map(len, queues), default=0)
    mixed = [queue[i] for i in range(rounds) for queue in queues if i < len(queue)]
    return mixed[:count]


def in_equal_shares(tasks: Sequence[Task]) -> list[Task]:
    """The tasks with those of rarer skills repeated, so that a draw from all meets each skill about equally often."""
    by_skill: dict[str, list[Task]] = {}
    for task in tasks:
        by_skill.setdefault(task.skill, []).append(task)
    most = max(map(len, by_skill.values()))
    return [task for skill in sorted(by_skill) for task in by_skill[skill] * round(most / len(by_skill[skill]))]


def messages_of(task: Task) -> list[dict]:
    """The task as a conversation that waits for the assistant."""
    return [{"role": "user", "content": task.prompt}]


def prompt_ids(task: Task, tokenizer: Tokenizer) -> list[int]:
    return render_prompt(messages_of(task), tokenizer)


def page_ids(task: Task, tokenizer: Tokenizer) -> list[int]:
    """The task as a page asks it, from the beginning of the page."""
    return [tokenizer.bos, *tokenizer.encode(QUESTION.format(question=task.prompt))]


def end_of_turn(rollout: Rollout, tokenizer: Tokenizer) -> Rollout:
    """An answer on a page up to where somebody else begins to speak, with that label as its last tokens, or to where
    the page ends. Who talks on has not ended."""
    answer = rollout.answer
    if LABEL.search(tokenizer.decode(answer)):
        count = next(n for n in range(1, len(answer) + 1) if LABEL.search(tokenizer.decode(answer[:n])))
        kept = {name: getattr(rollout, name)[:count] for name in ("answer", "sampled", "logprobs")}
        return replace(rollout, **kept, finished=True)
    return replace(rollout, finished=rollout.finished or answer[-1:] == [tokenizer.bos])


def whole_turn(rollout: Rollout, tokenizer: Tokenizer) -> Rollout:
    return rollout


@dataclass(frozen=True)
class Harness:
    """How tasks are put to a policy, and where its answers end."""

    prompt: Callable[[Task, Tokenizer], list[int]]
    finish: Callable[[Rollout, Tokenizer], Rollout]


CHAT = Harness(prompt_ids, whole_turn)
PAGE = Harness(page_ids, end_of_turn)


def judge(task: Task, rollout: Rollout, tokenizer: Tokenizer) -> Judged:
    """Reward 1 for a right and finished answer, else 0. Form, worked steps or a tool's result, is reported and never
    rewarded: that pushes up long wrong answers. Raises UserError naming the task where its verifier fails."""
    text = rollout.text(tokenizer)
    try:
        correct = rollout.finished and bool(verify(task, text))
        formatted = rollout.finished and bool(rollout.results or well_formed(task, text))
    except Exception as error:  # a verifier may be a user's own
        raise UserError(
            f"the verifier of task {task.id!r} failed on {text[:80]!r}: {error!r}; correct the task or leave it out."
        ) from error
    return Judged(float(correct), correct, formatted)


def answer_tasks(
    model: Transformer,
    tasks: Sequence[Task],
    tokenizer: Tokenizer,
    *,
    max_new_tokens: int,
    seed: int,
    temperature: float = 0.0,
    count: int = 1,
    tools: Mapping[str, Tool] | None = None,
    harness: Harness = CHAT,
) -> tuple[list[Rollout], list[Judged]]:
    """`count` answers to each task and the verdicts; greedy unless a temperature is given."""
    rollouts = sample(
        model,
        [harness.prompt(task, tokenizer) for task in tasks],
        count,
        tokenizer,
        max_new_tokens=max_new_tokens,
        seed=seed,
        temperature=temperature,
        tools=tools,
    )
    rollouts = [harness.finish(rollout, tokenizer) for rollout in rollouts]
    return rollouts, [judge(tasks[i // count], rollout, tokenizer) for i, rollout in enumerate(rollouts)]
