"""What answers look like, told from their text alone: second thoughts in a chain of steps, and a phrase that all share.

In: texts of answers. Out: shares and the texts to read. A pattern finds words, not thoughts: read the transcripts that
it counts. Source of the kinds: Guo et al. 2025 (DeepSeek-R1) and Gandhi et al. 2025 (cognitive behaviours).
"""

import re
from collections import Counter
from collections.abc import Sequence

CORRECTION = re.compile(
    r"(?<!\w)(?:wait|oops|actually|correction|that is wrong|that's wrong|i made a mistake|sorry)(?!\w)", re.IGNORECASE
)
BACKTRACK = re.compile(
    r"(?<!\w)(?:let me try|try again|start again|start over|go back|another way|instead)(?!\w)", re.IGNORECASE
)
CHECK = re.compile(r"(?<!\w)(?:check|verify|double-check|make sure|let me see)(?!\w)", re.IGNORECASE)
EQUATION = re.compile(r"(\d[\d\s+*×x/.-]*\d)\s*=\s*(-?\d+)")


def second_thoughts(text: str) -> dict[str, bool]:
    """Whether an answer corrects itself (says so, or gives one sum two results), backtracks, or checks (says so, or
    works out the same sum twice with one result)."""
    results: dict[str, list[str]] = {}
    for expression, result in EQUATION.findall(text):
        results.setdefault(re.sub(r"\s", "", expression), []).append(result)
    return {
        "self_correction": bool(CORRECTION.search(text)) or any(len(set(found)) > 1 for found in results.values()),
        "backtracking": bool(BACKTRACK.search(text)),
        "recheck": bool(CHECK.search(text)) or any(len(found) > len(set(found)) for found in results.values()),
    }


def count_second_thoughts(texts: Sequence[str]) -> dict[str, int]:
    """How many of the texts show each kind."""
    found = [second_thoughts(text) for text in texts]
    return {kind: sum(each[kind] for each in found) for kind in second_thoughts("")}


def stock_phrase(texts: Sequence[str], words: int = 4) -> tuple[str, float]:
    """The run of so many words that most answers contain, and the share of answers that do; ("", 0) where none is in
    two answers. Numbers count as one word, or a worked sum would never have a phrase of its own."""
    found: Counter[str] = Counter()
    for text in texts:
        parts = re.sub(r"\d+", "0", text.lower()).split()
        found.update({" ".join(parts[i : i + words]) for i in range(len(parts) - words + 1)})
    phrase, count = min(found.items(), key=lambda item: (-item[1], item[0]), default=("", 0))
    return (phrase, count / len(texts)) if count > 1 else ("", 0.0)
