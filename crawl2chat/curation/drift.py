"""A contract between two snapshots of a corpus: the same languages, domains, lengths and quality, or an alarm by name.

In: two curated corpora. Out: a row for each measure. Numbers are compared by the two-sample Kolmogorov–Smirnov test,
languages and domains by the chi-squared test of homogeneity (rare ones together); p-values are corrected over all
measures (Benjamini–Hochberg). A measure has drifted when its p-value is at most 1 % and the change is more than
negligible: a distance of .05 between two distributions, or a share that moved by two points. Of two samples of one
corpus about one pair in a hundred gives an alarm.
"""

from pathlib import Path
from typing import Any

import numpy as np

from crawl2chat.curation.corpus import MEASURES
from crawl2chat.tokens.corpus import read

LEVEL = 0.01
# What is negligible: of a Kolmogorov–Smirnov distance, of a share.
DISTANCE, SHARE = 0.05, 0.02
KINDS = ("language", "domain")
NUMBERS = ("words", "language_score", *MEASURES)
# Cells of a chi-squared test that are expected to hold fewer documents are added up.
RARE = 5

# Column → its value for each document (n,).
Table = dict[str, np.ndarray]
Row = dict[str, Any]


def table_of(corpus: Path) -> Table:
    """The measured columns of a corpus; UserError where there is none."""
    columns = zip(*read(corpus, *KINDS, *NUMBERS), strict=True)
    table = {name: np.array(values) for name, values in zip((*KINDS, *NUMBERS), columns, strict=True)}
    return {name: values if name in KINDS else values.astype(np.float64) for name, values in table.items()}


def compare(before: Table, after: Table) -> list[Row]:
    """A row for each measure that both tables have: test, change, p-value, whether it has drifted, and what moved."""
    from scipy.stats import false_discovery_control

    rows = [row for name in KINDS if (row := shares(name, before[name], after[name]))]
    rows += [row for name in NUMBERS if (row := distribution(name, before[name], after[name]))]
    corrected = false_discovery_control([row["p"] for row in rows]) if rows else []
    for row, chance in zip(rows, corrected, strict=True):
        row["p"] = float(chance)
        row["drifted"] = bool(chance <= LEVEL and row["change"] >= (SHARE if row["measure"] in KINDS else DISTANCE))
    return rows


def distribution(name: str, before: np.ndarray, after: np.ndarray) -> Row | None:
    """Two samples of numbers; None where a filter did not measure them."""
    from scipy.stats import ks_2samp

    before, after = before[~np.isnan(before)], after[~np.isnan(after)]
    if not len(before) or not len(after):
        return None
    found = ks_2samp(before, after, method="asymp")
    middle = {"before": float(np.median(before)), "after": float(np.median(after))}
    return {"measure": name, "what": "median"} | middle | {"change": float(found.statistic), "p": float(found.pvalue)}


def shares(name: str, before: np.ndarray, after: np.ndarray) -> Row | None:
    """Two samples of kinds, with the kind that moved most beyond chance; None where there is but one kind."""
    from scipy.stats import chi2_contingency

    kinds, codes = np.unique(np.concatenate([before, after]), return_inverse=True)
    counts = np.stack([np.bincount(part, minlength=len(kinds)) for part in np.split(codes, [len(before)])])
    rare = counts.sum(axis=0) * min(len(before), len(after)) / len(codes) < RARE
    table = np.column_stack([counts[:, ~rare], counts[:, rare].sum(axis=1)]) if rare.any() else counts
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return None
    test = chi2_contingency(table)
    expected = counts.sum(axis=0) * len(after) / len(codes)
    most = int(np.argmax(np.abs(counts[1] - expected) / np.sqrt(expected)))
    share = counts / counts.sum(axis=1, keepdims=True)
    moved = {"what": str(kinds[most]), "before": float(share[0, most]), "after": float(share[1, most])}
    return {"measure": name} | moved | {"change": abs(moved["after"] - moved["before"]), "p": float(test.pvalue)}


def told(rows: list[Row]) -> list[str]:
    """A sentence's part for each measure that has drifted: `domain birch.example 0.003 → 0.104`."""
    return [
        f"{row['measure']} {row['what']} {row['before']:.3g} → {row['after']:.3g}" for row in rows if row["drifted"]
    ]
