"""How the project's pages look: drawings as SVG, numbers as a person writes them, templates with one style sheet.

In: figures and templates. Out: text for an HTML page that needs no other file and no network, the same bytes every
time.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

INK, SOFT, GRID = "#1f2430", "#6b7280", "#e5e7eb"
STYLE_SHEET = Path(__file__).with_name("page.css")
COLOURS = {"blue": "#3b6fd4", "orange": "#e07a3f", "green": "#2f9e77", "purple": "#8b5fbf", "red": "#c9485b"}


def environment(*folders: Path) -> Any:
    """Jinja's environment for the templates of `folders`; which may include the style sheet."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader([*folders, STYLE_SHEET.parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {"short": short, "percent": percent, "words": words}
    return templates


def clip(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[:characters].rstrip() + " …"


def short(value: Any) -> str:
    """1234567 → 1.2 M; 0.1234 → 0.123."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
    if not isinstance(value, int):
        return str(value)
    for unit, size in (("G", 10**9), ("M", 10**6)):
        if abs(value) >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:,}"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def words(name: str) -> str:
    return name.replace("_", " ")


class Canvas:
    """A matplotlib figure in the page's style, as SVG with the same bytes every time. `axes` is an array of axes (rows,
    columns) where more than one is asked for."""

    def __init__(self, width: float = 6.4, height: float = 3.2, title: str = "", **subplots: Any) -> None:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        style = {
            "svg.hashsalt": "crawl2chat",
            "svg.fonttype": "none",
            "font.family": "sans-serif",
            "font.size": 10,
            "text.color": INK,
            "axes.labelcolor": SOFT,
            "axes.edgecolor": GRID,
            "xtick.color": SOFT,
            "ytick.color": SOFT,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": GRID,
            "axes.axisbelow": True,
            "legend.frameon": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 10.5,
        }
        self.styled = pyplot.rc_context(style)
        self.styled.__enter__()  # until the drawing is done: legends and titles take their style when they are drawn
        self.figure, self.axes = pyplot.subplots(figsize=(width, height), **subplots)
        if title:
            self.axes.set_title(title, color=SOFT, pad=10)

    def intervals(
        self, values: Sequence[float], lows: Sequence[float], highs: Sequence[float], axes: Any = None, **look: Any
    ) -> None:
        """Numbers with their intervals at 0, 1, 2, …: upwards, or to the right on `axes` with `sideways`."""
        below = [value - low for value, low in zip(values, lows, strict=True)]
        sides = [below, [high - value for value, high in zip(values, highs, strict=True)]]
        places, sideways = range(len(values)), look.pop("sideways", False)
        points = {"x": values, "y": places, "xerr": sides} if sideways else {"x": places, "y": values, "yerr": sides}
        (axes or self.axes).errorbar(**points, **{"fmt": "o", "markersize": 5, "capsize": 3, "linewidth": 1.4} | look)

    def bars(
        self, names: Sequence[Any], sizes: Sequence[float], labels: Sequence[str], axes: Any = None, **look: Any
    ) -> Any:
        """Bars to the right from top to bottom, each with its label behind it."""
        axes = axes or self.axes
        bars = axes.barh(names, sizes, **{"height": 0.7} | look)
        axes.bar_label(bars, labels, padding=4, fontsize=9, color=SOFT)
        axes.grid(axis="y", visible=False)
        if not axes.yaxis_inverted():
            axes.invert_yaxis()
        return bars

    def svg(self) -> str:
        import io

        from matplotlib import pyplot

        stream = io.StringIO()
        self.figure.savefig(stream, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
        pyplot.close(self.figure)
        self.styled.__exit__(None, None, None)
        text = stream.getvalue()
        return text[text.index("<svg") :]
