"""Scaling laws: how the loss falls with compute, parameters or tokens, and what that says of a run not yet made.

In: a few runs of one series, as x (FLOPs, parameters or tokens) and loss. Out: L(x) = floor + scale · x^-exponent,
fitted to log losses, and predictions with intervals. Sources: Kaplan et al. 2020; Hoffmann et al. 2022 (floor, robust
loss, log space).

Intervals are Student's t around the linearised fit, with as many degrees of freedom as points are left over. A
bootstrap of three or four residuals knows too few worlds: planted laws with 1 % noise lay within its 95 % interval
three times in four, within this one 19 times in 20.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crawl2chat.evaluation.statistics import Estimate

# Points; with fewer the data do not separate floor and exponent, and the floor stays at zero.
FLOOR_FROM = 5
# Of log loss: a point further from the law than this pulls less than its square.
OUTLIER = 0.01


@dataclass(frozen=True)
class Law:
    """L(x) = floor + scale · x^-exponent, with what its intervals need."""

    floor: float
    scale: float
    exponent: float
    # Points of the fit.
    n: int
    # x at which `parameters` has the loss above the floor.
    unit: float
    # (log of loss above the floor at `unit`, exponent[, floor])
    parameters: np.ndarray
    # Of the parameters, for a unit variance of log loss.
    covariance: np.ndarray
    # Standard deviation of log loss around the law; 0 where no point is left over.
    spread: float
    # Points beyond parameters.
    freedom: int

    def __call__(self, x: float) -> float:
        return float(np.exp(_log_loss(self.parameters, np.log(x / self.unit))))

    def predict(self, x: float, *, run: bool = True) -> Estimate:
        """The loss at x with its 95 % interval: of a new run, or of the law itself (`run=False`). Without points left
        over the interval is all of [0, inf)."""
        from scipy.stats import t

        if not self.freedom:
            return Estimate(self(x), 0.0, float("inf"), self.n)
        u = np.log(x / self.unit)
        slope = _slopes(self.parameters, np.array([u]))[0]
        variance = slope @ self.covariance @ slope + (1.0 if run else 0.0)
        half = t.ppf(0.975, self.freedom) * self.spread * np.sqrt(variance)
        return Estimate(self(x), self(x) * float(np.exp(-half)), self(x) * float(np.exp(half)), self.n)


def fit_law(x: Sequence[float], loss: Sequence[float]) -> Law:
    """The law of points x (n,) > 0 with losses (n,) > 0, by robust least squares on log losses.

    ValueError with fewer than two different x. A floor is fitted from FLOOR_FROM points on.
    """
    from scipy.optimize import least_squares

    points, losses = np.asarray(x, dtype=np.float64), np.asarray(loss, dtype=np.float64)
    if len(np.unique(points)) < 2:
        raise ValueError(f"a law needs runs of two sizes or more: found {len(np.unique(points))}")
    unit = float(np.exp(np.log(points).mean()))
    u, wanted = np.log(points / unit), np.log(losses)
    slope, height = np.polyfit(u, wanted, 1)
    start, low, high = [height, max(1e-3, -slope)], [-np.inf, 0.0], [np.inf, np.inf]
    if len(points) >= FLOOR_FROM:
        floor = losses.min() / 2
        slope, height = np.polyfit(u, np.log(losses - floor), 1)
        start, low, high = [height, max(1e-3, -slope), floor], [*low, 0.0], [*high, losses.min()]
    found = least_squares(
        lambda theta: _log_loss(theta, u) - wanted,
        start,
        lambda theta: _slopes(theta, u),
        bounds=(low, high),
        loss="soft_l1",
        f_scale=OUTLIER,
        x_scale="jac",
        xtol=1e-12,
        ftol=1e-12,
        gtol=1e-12,
        max_nfev=2000,
    )
    theta = found.x
    residuals, slopes = _log_loss(theta, u) - wanted, _slopes(theta, u)
    freedom = len(points) - len(theta)
    return Law(
        floor=float(theta[2]) if len(theta) > 2 else 0.0,
        scale=float(np.exp(theta[0] + theta[1] * np.log(unit))),
        exponent=float(theta[1]),
        n=len(points),
        unit=unit,
        parameters=theta,
        covariance=np.linalg.pinv(slopes.T @ slopes),
        spread=float(np.sqrt(residuals @ residuals / freedom)) if freedom else 0.0,
        freedom=freedom,
    )


def _log_loss(theta: np.ndarray, u: np.ndarray | float) -> np.ndarray:
    """log L at log x = u, (n,)."""
    return np.log((theta[2] if len(theta) > 2 else 0.0) + np.exp(theta[0] - theta[1] * u))


def _slopes(theta: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Derivatives of log L by the parameters, (n, 2 or 3)."""
    above = np.exp(theta[0] - theta[1] * u)
    whole = above + (theta[2] if len(theta) > 2 else 0.0)
    columns = [above / whole, -u * above / whole, 1 / whole]
    return np.stack(columns[: len(theta)], axis=1)


def draw(
    runs: Sequence[dict[str, Any]], axis: str, label: str, law: Law, ahead: tuple[str, float, Estimate] | None = None
) -> str:
    """Loss against `axis` on two logarithmic scales: the runs by depth, the law with the 95 % band of a new run, and
    a prediction for one, (its name, x, loss). SVG."""
    from crawl2chat.page import COLOURS, SOFT, Canvas

    canvas = Canvas(5.6, 4.0, f"loss against {label}")
    axes = canvas.axes
    x, losses = [run[axis] for run in runs], [run["val_loss"] for run in runs]
    line = np.geomspace(min(x) / 1.5, max([*x, *([ahead[1]] if ahead else [])]) * 1.5, 80)
    named = f"law of {law.n} runs: " + (f"{law.floor:.2f} + " if law.floor else "")
    blue, label_of_law = COLOURS["blue"], f"{named}{law.scale:.3g} x^-{law.exponent:.3f}"
    axes.plot(line, [law(value) for value in line], color=blue, linewidth=1.6, label=label_of_law)
    if law.freedom:
        band = [law.predict(value) for value in line]
        low, high = [one.low for one in band], [one.high for one in band]
        axes.fill_between(line, low, high, color=blue, alpha=0.12, linewidth=0, label="95 % of new runs")
    axes.plot(x, losses, "o", color=COLOURS["orange"], label="measured")
    for run in runs:
        axes.annotate(run["depth"], (run[axis], run["val_loss"]), (5, 5), textcoords="offset points", color=SOFT)
    if ahead:
        name, place, guess = ahead
        sides = [[guess.value - guess.low], [guess.high - guess.value]] if law.freedom else None
        look = {"fmt": "D", "markerfacecolor": "white", "capsize": 3, "color": blue, "label": name}
        axes.errorbar([place], [guess.value], yerr=sides, **look)
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="loss on held-out text, nats per token")
    low, high = min(losses), max(losses)  # the band of few runs would flatten everything else
    axes.set_ylim(low / (high / low) ** 0.8, high * (high / low) ** 0.4)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:.3g}")
    axes.xaxis.set_minor_formatter("")
    axes.tick_params(axis="y", which="minor", labelsize=8)
    axes.legend(fontsize=8.5, loc="lower left")
    return canvas.svg()
