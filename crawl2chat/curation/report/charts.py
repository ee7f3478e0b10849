"""The drawings of the report: a function for each table, rows in, SVG out, "" where there is nothing to draw."""

from itertools import groupby
from typing import Any

from crawl2chat.curation.reading.records import ORDINARY
from crawl2chat.page import COLOURS, INK, SOFT, Canvas, short, words

Row = dict[str, Any]
KEPT, DROPPED = COLOURS["blue"], COLOURS["orange"]  # told apart without red and green
# Of the steps of curation, in their order.
STEPS = COLOURS["purple"], COLOURS["orange"], COLOURS["green"]
PANELS = 3  # histograms in a row


def draw(tables: dict[str, list[Row]], names: dict[str, str]) -> dict[str, str]:
    """Name → SVG for every table that has rows; `names` says how blocks are called where not by their name."""
    steps = dict(zip(dict.fromkeys(row["stage"] for row in tables["waterfall"]), STEPS, strict=False))
    drawings = {
        "waterfall": waterfall(tables["waterfall"], names, steps),
        "reasons": reasons(tables["reasons"], steps),
        "precision_recall": precision_recall(tables["precision_recall"]),
        "histograms": histograms(tables["histograms"]),
        "duplicate_recall": duplicate_recall(tables["duplicate_recall"]),
        "cluster_sizes": cluster_sizes(tables["cluster_sizes"]),
        "languages": kept_and_dropped(tables["languages"], "language", "documents by language"),
        "domains": kept_and_dropped(tables["domains"], "domain", "documents of the largest domains"),
        "lengths": lengths(tables["lengths"]),
    }
    return {name: svg for name, svg in drawings.items() if svg}


def waterfall(rows: list[Row], names: dict[str, str], steps: dict[str, str]) -> str:
    """Documents, bytes and words that are left after each block, side by side."""
    if not rows:
        return ""
    canvas = Canvas(12, 0.34 * len(rows) + 0.9, ncols=3, sharey=True)
    labels = [names.get(row["block"], words(row["block"])) for row in rows]
    titles = {"documents": "documents", "bytes": "bytes (pale: of HTML)", "words": "words"}
    for axes, (column, title) in zip(canvas.axes, titles.items(), strict=True):
        values = [row[column] or 0 for row in rows]
        colours = [steps[row["stage"]] for row in rows]
        bars = canvas.bars(labels, values, [short(row[column]) for row in rows], axes, color=colours)
        for bar, row in zip(bars, rows, strict=True):
            bar.set_alpha(0.4 if column == "bytes" and row["words"] is None else 1.0)
        axes.set_title(title, color=SOFT)
        axes.set_xlim(0, 1.22 * max(1, *values))
        axes.xaxis.set_major_formatter(lambda value, _: short(round(value)))
        axes.locator_params(axis="x", nbins=4)
    canvas.figure.tight_layout(w_pad=2)
    legend(
        canvas.figure,
        {f"stage {step}": colour for step, colour in steps.items()},
        ncols=3,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.01),
    )
    return canvas.svg()


def legend(where: Any, colours: dict[str, str], **placed: Any) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=colour, label=label) for label, colour in colours.items()]
    where.legend(handles=patches, fontsize=9, **placed)


def reasons(rows: list[Row], steps: dict[str, str], most: int = 40) -> str:
    """The most frequent reasons, in the order of the blocks; without records that never hold a page."""
    rows = [row for row in rows if row["reason"] not in ORDINARY]
    often = sorted(rows, key=lambda row: -row["documents"])[:most]
    rows = [row for row in rows if row in often]
    if not rows:
        return ""
    canvas = Canvas(
        10,
        0.25 * len(rows) + 0.8,
        f"documents dropped, by block and reason{', the most frequent' * (len(often) == most)}",
    )
    names = [f"{words(row['block'])}: {words(row['reason'].removeprefix(row['block'] + '_'))}" for row in rows]
    counts, colours = [row["documents"] for row in rows], [steps[row["stage"]] for row in rows]
    canvas.bars(range(len(rows)), counts, [short(count) for count in counts], color=colours)
    canvas.axes.set_yticks(range(len(rows)), names, fontsize=9)
    present = {row["stage"] for row in rows}
    legend(canvas.axes, {f"stage {step}": colour for step, colour in steps.items() if step in present}, loc="best")
    return canvas.svg()


def precision_recall(rows: list[Row]) -> str:
    """Precision by block, recall by defect, each with its 95 % interval."""
    if not rows:
        return ""
    parts = {measure: [row for row in rows if row["measure"] == measure] for measure in ("precision", "recall")}
    heights = [len(part) or 1 for part in parts.values()]
    canvas = Canvas(10, 0.27 * sum(heights) + 1.6, nrows=2, gridspec_kw={"height_ratios": heights}, sharex=True)
    titles = {
        "precision": "precision: of what a block dropped, how much was to go",
        "recall": "recall: of each kind of defect, how much was found",
    }
    for axes, (measure, part) in zip(canvas.axes, parts.items(), strict=True):
        numbers = ([row[key] for row in part] for key in ("value", "low", "high"))
        canvas.intervals(*numbers, axes, sideways=True, color=COLOURS["blue" if measure == "precision" else "green"])
        axes.set_yticks(range(len(part)), [f"{words(row['of'])} (n = {row['n']:,})" for row in part], fontsize=9)
        axes.set_title(titles[measure], color=SOFT)
        axes.set_xlim(min(0.5, *(row["low"] for row in rows)) - 0.02, 1.02)
        axes.axvline(0.95, color=INK, linewidth=1, linestyle=":")
        axes.set_ylim(len(part) - 0.5, -0.5)
    canvas.axes[1].set_xlabel("share, with 95 % interval; dotted: 0.95")
    canvas.figure.tight_layout(h_pad=1.5)
    return canvas.svg()


def histograms(rows: list[Row]) -> str:
    """For each rule the values of kept and of dropped documents, and the limit between them."""
    rules = [list(part) for _, part in groupby(rows, key=lambda row: (row["block"], row["measure"]))]
    if not rules:
        return ""
    lines = -(-len(rules) // PANELS)
    canvas = Canvas(12, 2.2 * lines + 0.4, nrows=lines, ncols=PANELS, squeeze=False)
    for axes, part in zip(canvas.axes.flat, rules, strict=False):
        histogram(axes, part)
    for axes in canvas.axes.flat[len(rules) :]:
        axes.set_axis_off()
    legend(canvas.axes[0, 0], {"kept": KEPT, "dropped": DROPPED}, loc="best")
    canvas.figure.tight_layout(h_pad=1.6, w_pad=1.6)
    return canvas.svg()


def histogram(axes: Any, bins: list[Row]) -> None:
    """One measure, as shares of the measured documents, so that few dropped and many kept ones can be compared."""
    first = bins[0]
    edges = [row["from"] for row in bins] + [bins[-1]["to"]]
    for name, colour in (("kept", KEPT), ("dropped", DROPPED)):
        total = max(1, first[f"{name}_measured"])
        axes.stairs([row[name] / total for row in bins], edges, fill=True, color=colour, alpha=0.35)
        axes.stairs([row[name] / total for row in bins], edges, color=colour, linewidth=1.2)
    limits = {"at least": first["least"], "at most": first["most"]}
    limits = {side: limit for side, limit in limits.items() if limit is not None}
    for limit in limits.values():
        if edges[0] <= limit <= edges[-1]:
            axes.axvline(limit, color=INK, linestyle="--", linewidth=1.2)
    if edges[-1] > 100:
        axes.set_xscale("symlog")
    else:
        axes.locator_params(axis="x", nbins=5)
    axes.set_xlim(edges[0], edges[-1])
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.locator_params(axis="y", nbins=3)
    axes.tick_params(labelsize=8.5)
    allowed = " and ".join(f"{side} {limit:,.10g}" for side, limit in limits.items())
    axes.set_title(f"{words(first['measure'])}: {allowed}", fontsize=9.5, color=INK)
    axes.set_xlabel(f"n = {first['kept_measured']:,} kept, {first['dropped_measured']:,} dropped", fontsize=8.5)


def cluster_sizes(rows: list[Row]) -> str:
    """How many clusters of duplicates have how many pages."""
    if not rows:
        return ""
    canvas = Canvas(title="clusters of near-duplicates, by number of pages")
    bars = canvas.axes.bar(
        [str(row["size"]) for row in rows], [row["clusters"] for row in rows], color=COLOURS["green"]
    )
    if len(rows) <= 20:
        canvas.axes.bar_label(bars, [short(row["clusters"]) for row in rows], padding=3, fontsize=9, color=SOFT)
    canvas.axes.set(xlabel="pages in the cluster, of which one stays", ylabel="clusters")
    canvas.axes.margins(y=0.12)
    canvas.axes.grid(axis="x", visible=False)
    return canvas.svg()


def duplicate_recall(rows: list[Row]) -> str:
    """Found pairs by similarity, with intervals, and what the curve of MinHash promises for these very pairs."""
    if not rows:
        return ""
    canvas = Canvas(title="pairs of page and copy that were found, by similarity")
    places, expected = range(len(rows)), [row["expected"] for row in rows]
    numbers = ([row[key] for row in rows] for key in ("found", "low", "high"))
    canvas.intervals(*numbers, color=COLOURS["blue"], label="found, with 95 % interval")
    look = {"markersize": 26, "markeredgewidth": 2, "color": COLOURS["orange"]}
    canvas.axes.plot(places, expected, "_", label="promised by the curve", **look)
    starts = [row["similarity_from"] for row in rows]
    ends = [*starts[1:], 1.0]
    names = [f"{a:g}–{b:g}\nn = {row['n']}" for a, b, row in zip(starts, ends, rows, strict=True)]
    canvas.axes.set_xticks(places, names, fontsize=9)
    canvas.axes.set(ylim=(-0.04, 1.06), xlim=(-0.5, len(rows) - 0.5), xlabel="shared runs of words (Jaccard)")
    canvas.axes.grid(axis="x", visible=False)
    canvas.axes.legend(fontsize=9, loc="upper left")
    return canvas.svg()


def kept_and_dropped(rows: list[Row], column: str, title: str, most: int = 20) -> str:
    """One bar a row: what was kept of it, then what was dropped."""
    rows = rows[:most]
    if not rows:
        return ""
    canvas = Canvas(6.4, 0.26 * len(rows) + 1.0, title)
    names, kept = [row[column] for row in rows], [row["kept"] for row in rows]
    canvas.axes.barh(names, kept, color=KEPT, height=0.7)
    labels = [f"{row['kept']:,} of {row['kept'] + row['dropped']:,}" for row in rows]
    canvas.bars(names, [row["dropped"] for row in rows], labels, left=kept, color=DROPPED)
    canvas.axes.margins(x=0.2)
    legend(canvas.axes, {"kept": KEPT, "dropped": DROPPED}, loc="lower right")
    return canvas.svg()


def lengths(rows: list[Row]) -> str:
    """Documents by number of words, in bins that double."""
    if not rows:
        return ""
    canvas = Canvas(title="length of documents")
    places = range(len(rows))
    canvas.axes.bar([place - 0.2 for place in places], [row["kept"] for row in rows], 0.4, color=KEPT)
    canvas.axes.bar([place + 0.2 for place in places], [row["dropped"] for row in rows], 0.4, color=DROPPED)
    step = 1 if len(rows) <= 12 else 2
    canvas.axes.set_xticks(places[::step], [short(row["words_from"]) for row in rows[::step]], fontsize=9)
    canvas.axes.set(xlabel="words, from this number to less than the next", ylabel="documents")
    canvas.axes.grid(axis="x", visible=False)
    legend(canvas.axes, {"kept": KEPT, "dropped": DROPPED}, loc="best")
    return canvas.svg()
