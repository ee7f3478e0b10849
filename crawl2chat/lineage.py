"""Which step made what from what: what a file came from, what it reached, and a picture of the way.

In: steps with the paths they read and wrote, each with the hash of its contents. A path may be a file inside a folder
that a step wrote. Out: the steps before or after a path, and a drawing as SVG, the same bytes every time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from html import escape
from pathlib import PurePosixPath

from crawl2chat.page import COLOURS, INK, SOFT


@dataclass(frozen=True)
class Step:
    """A step with what it read and wrote: path → hash."""

    name: str
    reads: dict[str, str]
    writes: dict[str, str]


def meets(path: str, other: str) -> bool:
    """Whether one path is the other, or lies inside it."""
    one, two = PurePosixPath(path), PurePosixPath(other)
    return one.is_relative_to(two) or two.is_relative_to(one)


def follows(step: Step, paths: Iterable[str]) -> bool:
    """Whether a step reads any of the paths."""
    return any(meets(path, read) for path in paths for read in step.reads)


def ordered(steps: Sequence[Step]) -> list[Step]:
    """Every step after those whose writings it reads; else in the order given."""
    graph = {step.name: [one.name for one in steps if one is not step and follows(step, one.writes)] for step in steps}
    by_name = {step.name: step for step in steps}
    return [by_name[name] for name in TopologicalSorter(graph).static_order()]


def maker(steps: Iterable[Step], path: str) -> Step | None:
    """The step that wrote the path, or the folder around it."""
    around = [str(PurePosixPath(path)), *map(str, PurePosixPath(path).parents)]
    return next((step for step in steps if any(place in step.writes for place in around)), None)


def before(steps: Sequence[Step], path: str) -> list[Step]:
    """The steps that led to a path, its maker last."""
    made = maker(steps, path)
    wanted = {made.name} if made else set()
    for step in reversed(ordered(steps)):
        if any(other.name in wanted and follows(other, step.writes) for other in steps):
            wanted.add(step.name)
    return [step for step in ordered(steps) if step.name in wanted]


def after(steps: Sequence[Step], path: str) -> list[Step]:
    """The steps that a path reached."""
    reached, paths = [], {path}
    for step in ordered(steps):
        if follows(step, paths):
            reached.append(step)
            paths |= set(step.writes)
    return reached


# ---- the picture

ROW, LEFT, TEXT = 26, 170, 13


def draw(steps: Sequence[Step], marked: Iterable[str] = ()) -> str:
    """The steps from top to bottom with what they wrote, and an arc for every hand-over; `marked` steps in colour."""
    rows, marked = {step.name: 18 + ROW * number for number, step in enumerate(ordered(steps))}, set(marked)
    arcs, lines = [], []
    for step in ordered(steps):
        y = rows[step.name]
        for other in steps:
            if other is not step and follows(step, other.writes):
                top, bend = rows[other.name], min(LEFT - 8, 8 + (y - rows[other.name]) / 2.2)
                colour = COLOURS["blue"] if {step.name, other.name} <= marked else "#c9ced8"
                start, end = f"M{LEFT - 6} {top}", f"{LEFT - 6} {y}"
                way = f"{start} C{LEFT - 6 - bend:.0f} {top} {LEFT - 6 - bend:.0f} {y} {end}"
                arcs.append(f'<path d="{way}" fill="none" stroke="{colour}"/>')
        made = ", ".join(f"{path} {digest[:8]}" for path, digest in step.writes.items())
        colour = COLOURS["blue"] if step.name in marked else INK
        lines.append(f'<circle cx="{LEFT}" cy="{y}" r="4" fill="{colour}"/>')
        lines.append(f'<text x="{LEFT + 12}" y="{y + 4}" fill="{colour}">{escape(step.name)}</text>')
        lines.append(f'<text x="{LEFT + 130}" y="{y + 4}" fill="{SOFT}" font-size="11">{escape(made)}</text>')
    size = f'viewBox="0 0 900 {ROW * len(rows) + 18}" font-family="sans-serif" font-size="{TEXT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n' + "\n".join([*arcs, *lines]) + "\n</svg>\n"
