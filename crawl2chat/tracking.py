"""What a stage may tell the experiment tracker. The base class forgets everything: tests use it, stages never know
more."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Tracker:
    """A tracker that keeps nothing. Subclasses must never raise: tracking that fails does not stop training."""

    def params(self, values: dict[str, Any]) -> None:
        """Derived values worth keeping beside the stage's own parameters."""

    def metrics(self, values: dict[str, float], step: int | None = None) -> None:
        """Named numbers, at a training step or for the run as a whole."""

    def facts(self, values: dict[str, Any]) -> None:
        """What this run took on this machine: times, rates, cost. No part of its metrics."""

    def table(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """Samples a person will read: one dictionary a row, the same keys in each."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """A small file to keep with the run."""

    def model(self, name: str, path: Path, metrics: dict[str, float] | None = None, step: int | None = None) -> None:
        """A model folder or checkpoint the run wrote, with the numbers that belong to it."""
