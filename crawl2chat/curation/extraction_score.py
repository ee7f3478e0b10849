"""How much of the intended text extraction found: word-level F1 against the truth of the tiny web."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np

from crawl2chat.curation.score import Truth

# The ways in which a page may have been served.
FORMS = ("layout", "broken_markup", "hidden_names", "charset", "transfer")


def word_f1(text: str, truth: str) -> float:
    """F1 of the multisets of words."""
    found, wanted = Counter(text.split()), Counter(truth.split())
    size = found.total() + wanted.total()
    return 2 * (found & wanted).total() / size if size else 1.0


def extraction_f1(documents: Iterable[tuple[str, str]], truth: Truth) -> dict[str, float | int | None]:
    """Mean word-level F1 of (id, text) pairs, with a normal interval."""
    scores = [word_f1(text, truth[key]["text"]) for key, text in documents if key in truth]
    if not scores:
        return {"f1": None}
    mean = float(np.mean(scores))
    spread = 1.96 * float(np.std(scores, ddof=min(1, len(scores) - 1))) / len(scores) ** 0.5
    return {"f1": mean, "f1_n": len(scores), "f1_low": mean - spread, "f1_high": min(1.0, mean + spread)}


def extraction_by_form(
    documents: Iterable[tuple[str, str]], truth: Truth
) -> dict[str, dict[str, dict[str, dict[str, float | int]]]]:
    """Mean F1 by the way in which a page was served; `charset` tells the bytes' and, after `/`, the header's claim."""
    scores: dict[str, dict[str, list[float]]] = {form: defaultdict(list) for form in FORMS}
    for key, text in documents:
        if row := truth.get(key):
            value = word_f1(text, row["text"])
            for form in FORMS:
                claim = f"/{row['charset_header'] or 'none'}" if form == "charset" else ""
                scores[form][f"{row[form]}{claim}"].append(value)
    tables = {
        form: {name: {"f1": sum(found) / len(found), "n": len(found)} for name, found in sorted(table.items())}
        for form, table in scores.items()
    }
    return {"f1_by_form": tables} if truth else {}
