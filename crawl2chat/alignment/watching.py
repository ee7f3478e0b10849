"""Watching a policy while it is optimised: what the proxy says, what gold says, and how far it has gone.

In: policies, held-out prompts (with their tasks where there are any), the proxy reward, the gold score. Out: scores per
prompt, summaries for the curve, and the numbers of the run: everything before and after on the same prompts with
intervals, and the over-optimisation fit of gold against √KL. Source: Gao et al. 2022.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from crawl2chat.alignment.overoptimisation import fit_gold
from crawl2chat.alignment.prompts import judge
from crawl2chat.alignment.rollouts import Rollout, sample, score
from crawl2chat.chat.tools import Tool
from crawl2chat.evaluation.statistics import accuracy, as_metrics, mean, paired_difference
from crawl2chat.model.network import Transformer
from crawl2chat.tasks import Gold, Task
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tracking import Tracker


@dataclass(frozen=True)
class Prompt:
    """A prompt as token ids, and its task where answers can be checked."""

    ids: list[int]
    task: Task | None


@dataclass(frozen=True)
class Observation:
    """One sampled answer to each prompt, and what is known of it; lists in the order of the prompts."""

    texts: list[str]
    proxy: list[float]
    # The score of the reward model that is not optimised.
    validation: list[float]
    # Nats an answer.
    kl: list[float]
    # Tokens.
    length: list[int]
    finished: list[bool]
    # Of prompts with a task; gold is empty where there is no gold score.
    gold: list[float]
    correct: list[bool]


@dataclass(frozen=True)
class Watcher:
    """Lets policies answer the same prompts with the same random numbers."""

    start: Transformer
    proxy: Callable[[list[Rollout]], Tensor]
    validation: Callable[[list[Rollout]], Tensor]
    tokenizer: Tokenizer
    max_new_tokens: int
    temperature: float
    seed: int
    gold: Gold | None
    tools: Mapping[str, Tool] | None = None

    def look(self, policy: Transformer, prompts: Sequence[Prompt]) -> Observation:
        """One answer to each prompt, sampled as in training: gold judges what the policy does, not its mode."""
        rollouts = sample(
            policy,
            [prompt.ids for prompt in prompts],
            1,
            self.tokenizer,
            max_new_tokens=self.max_new_tokens,
            seed=self.seed,
            temperature=self.temperature,
            tools=self.tools,
        )
        now, start = (score(model, rollouts, self.tokenizer.pad, self.temperature) for model in (policy, self.start))
        texts = [rollout.text(self.tokenizer) for rollout in rollouts]
        tasks = [(p.task, text, one) for p, text, one in zip(prompts, texts, rollouts, strict=True) if p.task]
        return Observation(
            texts,
            self.proxy(rollouts).tolist(),
            self.validation(rollouts).tolist(),
            [float((a - b).sum()) for a, b in zip(now, start, strict=True)],
            [rollout.tokens for rollout in rollouts],
            [rollout.finished for rollout in rollouts],
            [self.gold(task, text) for task, text, _ in tasks] if self.gold else [],
            [judge(task, rollout, self.tokenizer).correct for task, _, rollout in tasks],
        )

    def summary(self, prompts: Sequence[Prompt]) -> Callable[[Transformer], dict[str, float]]:
        """The evaluation that PPO calls on its way."""

        def evaluate(policy: Transformer) -> dict[str, float]:
            found = vars(self.look(policy, prompts))
            names = ("proxy", "validation", "kl", "length", "finished", "gold", "correct")
            return {name: float(np.mean(found[name])) for name in names if found[name]}

        return evaluate

    def show(self, prompts: Sequence[Prompt], before: Observation, after: Observation, tracker: Tracker) -> None:
        """A table of the first answers, side by side."""
        rows = zip(prompts[:20], before.texts, after.texts, before.proxy, after.proxy, strict=False)
        tracker.table(
            "samples",
            [
                {"prompt": self.tokenizer.decode(p.ids), "before": b, "after": a, "proxy_before": x, "proxy_after": y}
                for p, b, a, x, y in rows
            ],
        )


def outcome(
    before: Observation, after: Observation, curve: list[dict[str, float]], kept_step: int, seed: int
) -> dict[str, Any]:
    """The run in numbers, paired on the test prompts. gold_gain_in_std counts in standard deviations of the start
    policy's gold, as does tail_gold_fall_in_std, from the best gold on the path to its end; stop_share_of_best is the
    gold of the kept step over the best one. Gold and correctness are None where no gold score is known."""
    metrics: dict[str, Any] = {"kl": float(np.mean(after.kl))}
    for name in ("proxy", "validation", "length", "finished"):
        metrics[f"{name}_before"] = float(np.mean(getattr(before, name)))
        metrics[f"{name}_after"] = float(np.mean(getattr(after, name)))
    if not before.gold:
        return metrics | dict.fromkeys(("gold_before", "gold_after", "correct_before", "correct_after"))
    metrics |= as_metrics("gold_before", mean(before.gold, seed)) | as_metrics("gold_after", mean(after.gold, seed))
    deviation = float(np.std(before.gold))
    gain = paired_difference(before.gold, after.gold, seed)
    metrics |= as_metrics("gold_gain", gain)
    metrics["gold_std_before"] = deviation
    metrics["gold_gain_in_std"] = gain.value / deviation if deviation else None
    metrics |= accuracy("correct_before", before.correct) | accuracy("correct_after", after.correct)
    metrics |= as_metrics("correct_gain", paired_difference(before.correct, after.correct, seed))
    watched = [row for row in curve if "held_out_gold" in row]
    distances = np.array([row["root_kl"] for row in watched])
    gains = np.array([row["held_out_gold"] - watched[0]["held_out_gold"] for row in watched])
    if len(np.unique(distances[distances > 0])) >= 3:
        fit = fit_gold(distances, gains, "rl")
        metrics |= {"fit_alpha": fit.alpha, "fit_beta": fit.beta, "fit_peak_root_kl": fit.peak}
    best = max(row["held_out_gold"] for row in watched)
    kept = next(row["held_out_gold"] for row in watched if row["step"] == kept_step)
    metrics |= {"best_gold_on_path": best, "stop_share_of_best": kept / best if best > 0 else None}
    fall = best - watched[-1]["held_out_gold"]
    return metrics | {"tail_gold_fall_in_std": fall / deviation if deviation else None}


def control_metrics(found: Observation) -> dict[str, Any]:
    """What the same run with reward 0 reached."""
    if not found.gold:
        return {"gold_control": None, "correct_control": None}
    return as_metrics("gold_control", mean(found.gold)) | accuracy("correct_control", found.correct)
