"""Tasks as prompts for a policy, and answers to them judged by the tasks' verifiers.

In: tasks. Out: token ids to sample from, and for each answer whether it is right and well formed. An answer that never
ends is not right, whatever it contains.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from crawl2chat.alignment.rollouts import Judged, Rollout, derived_seed, sample
from crawl2chat.chat.conversation import render_prompt
from crawl2chat.chat.tools import Tool
from crawl2chat.errors import UserError
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


def judge(task: Task, rollout: Rollout, tokenizer: Tokenizer) -> Judged:
    """Reward 1 for a right and finished answer, else 0. Form is reported, never rewarded: that pushes up long wrong
    answers. Raises UserError naming the task where its verifier fails."""
    text = rollout.text(tokenizer)
    try:
        correct = rollout.finished and bool(verify(task, text))
        formatted = rollout.finished and bool(well_formed(task, text))
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
) -> tuple[list[Rollout], list[Judged]]:
    """`count` answers to each task and the verdicts; greedy unless a temperature is given."""
    rollouts = sample(
        model,
        [prompt_ids(task, tokenizer) for task in tasks],
        count,
        tokenizer,
        max_new_tokens=max_new_tokens,
        seed=seed,
        temperature=temperature,
        tools=tools,
    )
    return rollouts, [judge(tasks[i // count], rollout, tokenizer) for i, rollout in enumerate(rollouts)]
