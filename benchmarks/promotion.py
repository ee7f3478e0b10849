"""How often the rule of promotion errs: `python -m benchmarks.promotion`.

In: nothing; exams of 2,000 questions of eight kinds are simulated, each with its own difficulty, so that two models of
one skill agree on most. Out: of 200 equal challengers, of 200 that are really .05 better, and of 200 that are .05
better but .25 worse at one kind, how many the rule promotes; and one line of JSON.
"""

import numpy as np

from benchmarks import command
from benchmarks.measure import show
from crawl2chat.evaluation.promotion import Scores, decide

QUESTIONS, KINDS, TIMES = 2000, 8, 200


def exams(rng: np.random.Generator, gain: float, loss: float = 0.0) -> tuple[Scores, Scores]:
    """Two models' answers to the same questions; the second is better by `gain`, at the first kind worse by `loss`."""
    chance = rng.beta(2.0, 1.0, QUESTIONS) * 0.95  # that the first answers a question rightly: .63 on average
    kinds = np.arange(QUESTIONS) % KINDS
    raised = np.clip(chance + np.where(kinds == 0, -loss, gain) if loss else chance + gain, 0, 1)
    right = rng.random((2, QUESTIONS)) < np.stack([chance, raised])
    names = [(f"kind {kind}", str(number), "", "") for number, kind in enumerate(kinds)]
    return tuple(dict(zip(names, map(bool, row), strict=True)) for row in right)  # type: ignore[return-value]


def promoted(gain: float, loss: float = 0.0) -> float:
    """The share of challengers that are promoted."""
    rng = np.random.default_rng(1)
    return sum(decide(*exams(rng, gain, loss)).better for _ in range(TIMES)) / TIMES


def main() -> None:
    shares = {"equal": promoted(0.0), "better": promoted(0.05), "worse_at_one_kind": promoted(0.05, 0.25)}
    for name, share in shares.items():
        print(f"{name.replace('_', ' '):<20}{share:>7.3f} of {TIMES} challengers promoted, n {QUESTIONS:,}")
    show({"questions": QUESTIONS, "challengers": TIMES, **shares})


if __name__ == "__main__":
    command(main)
