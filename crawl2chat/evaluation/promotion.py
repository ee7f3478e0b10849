"""Whether a new model may take the place of the one in use: both have answered the same questions, in pairs.

In: rows of an exam, each with kind, id, prompt, truth and whether the answer was correct. Out: a decision with its
reason. The rule: the 95 % interval of the mean paired difference over all questions lies above zero, and no kind of
question has become significantly worse (one-sided sign tests, Benjamini–Hochberg at 5 %). Prompts about the same thing
are one observation. Of equal models 2.5 % pass the first half of the rule, and fewer the whole.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from crawl2chat.evaluation.statistics import Estimate, paired_difference

# Fewer observations make no interval worth the name.
LEAST = 100
LEVEL = 0.05

# (kind, id, prompt, truth) → whether the answer was correct.
Scores = Mapping[tuple[str, str, str, str], bool]


@dataclass(frozen=True)
class Decision:
    """What came of a comparison; `difference` is None where there was nothing to compare."""

    better: bool
    reason: str
    difference: Estimate | None = None


def scores(rows: Iterable[dict[str, Any]]) -> Scores:
    """The exam of one model by question."""
    return {(row["kind"], row["id"], row["prompt"], str(row["truth"])): bool(row["correct"]) for row in rows}


def decide(champion: Scores, challenger: Scores) -> Decision:
    """The rule above. Every question of the champion's exam must be in the challenger's; others are left out."""
    missing = len(champion.keys() - challenger.keys())
    if missing:
        return Decision(False, f"{missing:,} of the champion's {len(champion):,} questions were not asked of it.")
    before, after = by_thing(champion, champion), by_thing(challenger, champion)
    if len(before) < LEAST:
        return Decision(False, f"{len(before)} different questions are too few to compare by; {LEAST} are asked for.")
    gain = paired_difference(before, after)
    found = f"{gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}) over {gain.n:,} questions"
    if gain.low <= 0:
        return Decision(False, f"not better: {found}, and the interval must lie above 0.", gain)
    worse = worse_kinds(champion, challenger)
    if worse:
        return Decision(False, f"better in all, {found}, but worse at {', '.join(worse)}.", gain)
    return Decision(True, f"better: {found}, and at no kind of question worse.", gain)


def by_thing(model: Scores, questions: Scores) -> np.ndarray:
    """The share of right answers to each thing that the questions ask about (n,), in their order."""
    things: dict[str, list[bool]] = {}
    for question in questions:
        things.setdefault(question[1], []).append(model[question])
    return np.array([np.mean(hits) for hits in things.values()])


def worse_kinds(champion: Scores, challenger: Scores) -> list[str]:
    """`addition (.90 → .70)` for each kind at which the challenger is significantly worse."""
    from scipy.stats import binomtest, false_discovery_control

    kinds: dict[str, list[tuple[bool, bool]]] = {}
    for question, before in champion.items():
        kinds.setdefault(question[0], []).append((before, challenger[question]))
    chances = []
    for pairs in kinds.values():
        differing = [after for before, after in pairs if before != after]
        chances.append(binomtest(sum(differing), len(differing), alternative="less").pvalue if differing else 1.0)
    means = {kind: np.mean(pairs, axis=0) for kind, pairs in kinds.items()}
    corrected = zip(kinds, false_discovery_control(chances), strict=True)
    return [f"{kind} ({means[kind][0]:.2f} → {means[kind][1]:.2f})" for kind, chance in corrected if chance <= LEVEL]
