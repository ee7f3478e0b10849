"""Alarms of the data contract where there is nothing, and where a tenth of the documents has changed.

    python -m benchmarks.drift [--data <folder with documents-*.parquet>]

In: a curated corpus, by default that of the project, data/corpus. Out: of 200 pairs of reshuffled halves (1,000
documents each) the share that gives an alarm; of 100 pairs each in which a tenth of the second half was exchanged for
pages of one domain, for another language, for texts of a quarter of the length, or for lines without punctuation, the
share that is found under the right name; and one line of JSON.
"""

from pathlib import Path

import numpy as np

from benchmarks import command, data_folder
from benchmarks.measure import show
from crawl2chat.curation.drift import Table, compare, table_of

DOCUMENTS, PAIRS, SHIFTED, SHARE = 1000, 200, 100, 0.1


def halves(table: Table, rng: np.random.Generator) -> tuple[Table, Table]:
    """Two samples of one corpus, without a document in common."""
    order = rng.permutation(len(table["words"]))
    cut = min(DOCUMENTS, len(order) // 2)
    parts = order[:cut], order[cut : 2 * cut]
    return tuple({name: values[part] for name, values in table.items()} for part in parts)  # type: ignore[return-value]


def shift(kind: str, table: Table, whole: Table, rng: np.random.Generator) -> tuple[Table, str]:
    """The table with a tenth of its documents changed, and what the contract should name."""
    chosen = rng.random(len(table["words"])) < SHARE
    table = {name: values.copy() for name, values in table.items()}
    if kind == "domain":
        domain = rng.choice(np.unique(whole["domain"]))
        pages = rng.choice(np.flatnonzero(whole["domain"] == domain), chosen.sum())
        for name in table:
            table[name][chosen] = whole[name][pages]
        return table, str(domain)
    if kind == "language":
        table["language"][chosen] = "fr"
        return table, "language"
    name, factor = ("words", 0.25) if kind == "length" else ("line_punctuation", 0.0)
    table[name][chosen] *= factor
    return table, name


def main() -> None:
    whole = table_of(data_folder(__doc__) or Path("data/corpus"))
    rng = np.random.default_rng(1)
    result = {
        "alarms": float(np.mean([any(row["drifted"] for row in compare(*halves(whole, rng))) for _ in range(PAIRS)]))
    }
    print(f"reshuffled halves: {result['alarms']:.3f} of {PAIRS} give an alarm")
    for kind in ("domain", "language", "length", "quality"):
        found = 0
        for _ in range(SHIFTED):
            before, after = halves(whole, rng)
            changed, name = shift(kind, after, whole, rng)
            drifted = [row for row in compare(before, changed) if row["drifted"]]
            found += any(name in (row["measure"], row["what"]) for row in drifted)
        result[kind] = found / SHIFTED
        print(f"{kind} of a tenth: {result[kind]:.2f} of {SHIFTED} found and named")
    show({"documents": min(DOCUMENTS, len(whole["words"]) // 2), **result})


if __name__ == "__main__":
    command(main)
