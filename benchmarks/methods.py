"""PPO, GRPO, DPO, fine-tuning on the best of n, and best-of-n without training: gold against √KL, in one plot.

    python -m benchmarks.methods [--steps 60] [--samples 64] [--methods ppo,grpo] [--out plots/methods]

In: a finished run (`dvc repro`). Every method starts at models/reasoner, with the same prompts, answers a step, replay
and looks, on a leash so loose that the reward model may be over-optimised. Out: methods.csv and methods.svg; what the
reward model liked best at every look in liked.jsonl; a table of each path's best gold, its fitted peak (Gao et al.
2022), its tail and what the rule's stop missed; and on the last line JSON.
"""

import argparse
import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import command
from benchmarks.controls import INPUTS, outs
from benchmarks.measure import show
from crawl2chat import logs
from crawl2chat.alignment.overoptimisation import fit_gold
from crawl2chat.chat.search import with_search
from crawl2chat.jsonl import write_jsonl
from crawl2chat.machine import Machine
from crawl2chat.model.folder import load_model
from crawl2chat.page import Canvas
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tracking import Tracker
from crawl2chat.training.devices import one_device
from stages.rlhf import RLHFParams, prompt_sets, rlhf, watcher_of
from stages.settings import tuned

METHODS = ("ppo", "grpo", "dpo", "best_of_n")
POLICY, PREFERENCES = Path("models/reasoner"), Path("data/preferences")
JUDGES = {"reward": Path("models/reward"), "validation": Path("models/reward_validation")}
# DPO and imitation take all of a step's gradient from few answers: PPO's rate would be too high for the former.
RATES = {"ppo": 4e-4, "grpo": 4e-4, "dpo": 1e-4, "best_of_n": 4e-4}

Looks = list[dict[str, Any]]


class Liked(Tracker):
    """Keeps what the reward model liked at each look."""

    def __init__(self, method: str, rows: list[dict[str, Any]]) -> None:
        self.method, self.rows = method, rows

    def table(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        if name == "liked":
            self.rows += [{"method": self.method} | row for row in rows]


def loose(method: str, steps: int) -> RLHFParams:
    """The stage's parameters, long and on a loose leash."""
    free = {"kl_coefficient": 0.002, "kl_target": 60.0, "kl_limit": 1000.0, "dpo_beta": 0.02, "control": False}
    return tuned(RLHFParams, method=method, steps=steps, learning_rate=RATES[method], **free)


def run(method: str, steps: int, folder: Path, seed: int, liked: list[dict[str, Any]]) -> tuple[Looks, dict[str, Any]]:
    """(looks along the path, metrics) of one method."""
    own = outs(folder, seed) | {"tracker": Liked(method, liked)}
    metrics = rlhf(policy=POLICY, **JUDGES, preferences=PREFERENCES, **INPUTS, params=loose(method, steps), **own)
    with (folder / "curve.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get("held_out_gold")]
    return [{key: float(value) for key, value in row.items() if value} for row in rows], metrics


def without_training(samples: int, seed: int) -> Looks:
    """The path of best-of-n on the prompts that the methods are watched on."""
    params, tokenizer = loose("ppo", 1), Tokenizer.load(POLICY)
    start = load_model(POLICY, one_device(Machine()))
    context = start.config.max_position_embeddings
    _, watched, _ = prompt_sets(PREFERENCES, INPUTS["tasks"], tokenizer, context, params, seed)
    watcher = watcher_of(start, *JUDGES.values(), tokenizer, with_search(INPUTS["index"]), params, seed)
    return watcher.best_of_n(watched, samples)


def summary(path: Looks, deviation: float, kind: str) -> dict[str, float | None]:
    """Of one path: the best gold over the start in standard deviations of the start's gold, where it stands, the fitted
    peak, and how far gold has fallen at the end."""
    gold = [row["held_out_gold"] for row in path]
    distance = np.array([row["root_kl"] for row in path])
    best = int(np.argmax(gold))
    peak = None
    if len(np.unique(distance[distance > 0])) >= 3:
        peak = fit_gold(distance, np.array(gold) - gold[0], kind).peak  # type: ignore[arg-type]
    return {
        "best_gain_sd": (gold[best] - gold[0]) / deviation,
        "best_root_kl": float(distance[best]),
        "fit_peak_root_kl": None if peak is None or np.isnan(peak) else peak,
        "tail_fall_sd": (gold[best] - gold[-1]) / deviation,
    }


def draw(paths: dict[str, Looks]) -> str:
    canvas = Canvas(title="gold (solid) and the optimised reward model (dashed), gain over the start")
    for number, (name, path) in enumerate(paths.items()):
        for key, line in (("held_out_gold", "-"), ("held_out_proxy", "--")):
            gains = [row[key] - path[0][key] for row in path]
            label = name.replace("_", " ") if line == "-" else None
            distances = [row["root_kl"] for row in path]
            canvas.axes.plot(distances, gains, line, marker="o", markersize=3, color=f"C{number}", label=label)
    canvas.axes.set_xlabel("√KL to the start policy, nats; of best of n untrained: its upper bound")
    canvas.axes.legend()
    return canvas.svg()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--samples", type=int, default=64, help="answers to a prompt, for best-of-n without training")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("plots/methods"))
    options = parser.parse_args()
    logs.configure()
    liked: list[dict[str, Any]] = []
    paths: dict[str, Looks] = {}
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as place:
        for method in options.methods.split(","):
            paths[method], found[method] = run(method, options.steps, Path(place) / method, options.seed, liked)
    deviation = next(iter(found.values()))["gold_std_before"]
    paths["best_of_n_untrained"] = without_training(options.samples, options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    write_jsonl(options.out / "liked.jsonl", liked)
    (options.out / "methods.svg").write_text(draw(paths), encoding="utf-8")
    with (options.out / "methods.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["method", "root_kl", "gold", "proxy"])
        for name, path in paths.items():
            writer.writerows([name, row["root_kl"], row["held_out_gold"], row["held_out_proxy"]] for row in path)
    result: dict[str, Any] = {"steps": options.steps}
    for name, path in paths.items():
        kind = "best_of_n" if name == "best_of_n_untrained" else "rl"
        numbers = summary(path, deviation, kind) | {"stop_share": found.get(name, {}).get("stop_share_of_best")}
        print(f"{name:20}" + "  ".join(f"{key} {'–' if v is None else f'{v:.3f}'}" for key, v in numbers.items()))
        result |= {f"{name}_{key}": value for key, value in numbers.items()}
    show(result)


if __name__ == "__main__":
    command(main)
