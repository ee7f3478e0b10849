"""Jaccard similarity of texts by the runs of words they share, which is what MinHash estimates."""

from collections.abc import Set


def shared_runs(text: str, other: str, n: int = 5) -> float:
    """Similarity of the sets of runs of `n` words."""
    return jaccard(runs_of(text, n), runs_of(other, n))


def runs_of(text: str, n: int) -> set[tuple[str, ...]]:
    words = text.lower().split()
    return {tuple(words[i : i + n]) for i in range(max(1, len(words) - n + 1))}


def jaccard(first: Set, second: Set) -> float:
    """Size of the intersection over size of the union; 0 for two empty sets."""
    return len(first & second) / max(1, len(first | second))
