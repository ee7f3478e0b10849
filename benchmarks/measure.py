"""What benchmarks share: two ways of doing the same, timed in turns so that a busy machine slows both alike.

The result of a benchmark is one line of JSON, the last it prints.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Pair:
    """Seconds of two rivals over the same work. `clock`: CPU seconds, or wall seconds where threads are compared."""

    clock: Callable[[], float] = time.process_time
    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])
    rounds: int = 0

    def run(self, ours: Callable[[], Any], theirs: Callable[[], Any]) -> tuple[Any, Any]:
        """Do both once; who goes first changes with every round."""
        results: list[Any] = [None, None]
        for rival in (0, 1) if self.rounds % 2 else (1, 0):
            start = self.clock()
            results[rival] = (ours, theirs)[rival]()
            self.seconds[rival] += self.clock() - start
        self.rounds += 1
        return results[0], results[1]

    @property
    def ratio(self) -> float:
        """How many times the seconds of ours the other took."""
        return self.seconds[1] / self.seconds[0]


def show(result: dict[str, Any]) -> None:
    """Print the one line of JSON that ends a benchmark."""
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in result.items()}), flush=True)
