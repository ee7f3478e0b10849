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

from crawl2chat.alignment.overoptimisation import best_of_n, best_of_n_kl, fit_gold
from crawl2chat.alignment.prompts import judge
from crawl2chat.alignment.rollouts import Rollout, entropies, sample, score
from crawl2chat.alignment.transcripts import stock_phrase
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
    # Nats a token, of the policy's own distribution.
    entropy: list[float]
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
        rollouts = self.answers(policy, prompts, self.temperature)
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
            entropies(policy, rollouts, self.tokenizer.pad, self.temperature),
            [self.gold(task, text) for task, text, _ in tasks] if self.gold else [],
            [judge(task, rollout, self.tokenizer).correct for task, _, rollout in tasks],
        )

    def answers(
        self, policy: Transformer, prompts: Sequence[Prompt], temperature: float, count: int = 1
    ) -> list[Rollout]:
        return sample(
            policy,
            [prompt.ids for prompt in prompts],
            count,
            self.tokenizer,
            max_new_tokens=self.max_new_tokens,
            seed=self.seed,
            temperature=temperature,
            tools=self.tools,
        )

    def greedy(self, policy: Transformer, prompts: Sequence[Prompt]) -> list[bool]:
        """Whether the likeliest answers are right: sampled ones get better by mere sharpening."""
        with_task = [prompt for prompt in prompts if prompt.task]
        rollouts = self.answers(policy, with_task, 0.0) if with_task else []
        return [
            judge(p.task, one, self.tokenizer).correct for p, one in zip(with_task, rollouts, strict=True) if p.task
        ]

    def summary(self, prompts: Sequence[Prompt], tracker: Tracker) -> Callable[[Transformer], dict[str, float]]:
        """The evaluation that training calls on its way. What the reward model liked best goes to the tracker."""

        def evaluate(policy: Transformer) -> dict[str, float]:
            seen = self.look(policy, prompts)
            tracker.table("liked", self.liked(prompts, seen))
            found = vars(seen)
            names = ("proxy", "validation", "kl", "length", "finished", "entropy", "gold", "correct")
            means = {name: float(np.mean(found[name])) for name in names if found[name]}
            return means | {"disagreement": disagreement(seen.proxy, seen.validation)}

        return evaluate

    def liked(self, prompts: Sequence[Prompt], seen: Observation, count: int = 5) -> list[dict[str, Any]]:
        """The answers that the optimised reward model scores highest, with what the other one and gold say of them."""
        with_gold = [place for place, prompt in enumerate(prompts) if prompt.task] if seen.gold else []
        gold = dict(zip(with_gold, seen.gold, strict=True))
        return [
            {
                "root_kl": round(max(float(np.mean(seen.kl)), 0.0) ** 0.5, 3),
                "prompt": self.tokenizer.decode(prompts[place].ids),
                "answer": seen.texts[place],
                "proxy": round(seen.proxy[place], 3),
                "validation": round(seen.validation[place], 3),
                "gold": gold.get(place),
            }
            for place in np.argsort(seen.proxy, kind="stable")[::-1][:count].tolist()
        ]

    def best_of_n(self, prompts: Sequence[Prompt], samples: int) -> list[dict[str, float]]:
        """What the start policy's best of n by proxy is worth in gold, n = 1, 2, 4 … samples: the rival that needs no
        training. Unbiased, from all samples; root_kl is that of the upper bound, so the true curve lies left of it."""
        with_task = [prompt for prompt in prompts if prompt.task]
        rollouts = self.answers(self.start, with_task, self.temperature, samples)
        proxy = self.proxy(rollouts).tolist()
        tasks = [prompt.task for prompt in with_task for _ in range(samples)]
        gold = [self.gold(t, r.text(self.tokenizer)) for t, r in zip(tasks, rollouts, strict=True) if t and self.gold]
        groups = [slice(i, i + samples) for i in range(0, len(gold), samples)]
        return [
            {
                "n": n,
                "root_kl": best_of_n_kl(n) ** 0.5,
                "held_out_gold": float(np.mean([best_of_n(proxy[each], gold[each], n) for each in groups])),
                "held_out_proxy": float(np.mean([best_of_n(proxy[each], proxy[each], n) for each in groups])),
            }
            for n in (2**power for power in range(samples.bit_length()))
        ]

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


def disagreement(first: Sequence[float], second: Sequence[float]) -> float:
    """Mean |difference| of two reward models' scores of the same answers, each in its own standard deviations of the
    start policy. Where they part, at least one is wrong (Coste et al. 2023)."""
    return float(np.mean(np.abs(np.asarray(first) - np.asarray(second))))


def outcome(
    before: Observation, after: Observation, curve: list[dict[str, float]], kept_step: int, seed: int
) -> dict[str, Any]:
    """The run in numbers, paired on the test prompts. gold_gain_in_std counts in standard deviations of the start
    policy's gold, as does tail_gold_fall_in_std, from the best gold on the path to its end; stop_share_of_best is the
    gold of the kept step over the best one. Gold and correctness are None where no gold score is known."""
    metrics: dict[str, Any] = {"kl": float(np.mean(after.kl))}
    for when, seen in (("before", before), ("after", after)):
        for name in ("proxy", "validation", "length", "finished", "entropy"):
            metrics[f"{name}_{when}"] = float(np.mean(getattr(seen, name)))
        metrics[f"disagreement_{when}"] = disagreement(seen.proxy, seen.validation)
        metrics[f"stock_phrase_share_{when}"] = stock_phrase(seen.texts)[1]
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


def control_metrics(found: Observation, after: Observation, seed: int) -> dict[str, Any]:
    """What the same run with reward 0 reached, and by how much the run with a reward is better, on the same prompts."""
    if not found.gold:
        return {"gold_control": None, "correct_control": None}
    metrics = as_metrics("gold_control", mean(found.gold)) | accuracy("correct_control", found.correct)
    return metrics | as_metrics("gold_over_control", paired_difference(found.gold, after.gold, seed))
