"""Which claims of post-training survive their controls?

    python -m benchmarks.controls [--steps 120]

In: a finished run (`dvc repro`). Trains again with one thing changed: `reason` with a reward for form alone and with
shuffled rewards; the reward model on shuffled rankings; `rlhf` longer and with a weak KL penalty, so that its reward is
over-optimised. Out: a table of claims and controls, the path of the long run, and on the last line JSON.
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import command
from crawl2chat import logs
from crawl2chat.jsonl import read_jsonl, write_jsonl
from crawl2chat.machine import Machine
from crawl2chat.tracking import Tracker
from stages.reason import ReasonParams, reason
from stages.reward import RewardParams, reward
from stages.rlhf import RLHFParams, rlhf
from stages.settings import tuned

INPUTS = {
    "tasks": Path("data/crawl/tasks"),
    "conversations": Path("data/conversations"),
    "tokens": Path("data/tokens"),
    "index": Path("models/search.sqlite"),
}


def outs(folder: Path, seed: int) -> dict[str, Any]:
    """What every training stage takes beside its inputs and parameters."""
    (folder / "work").mkdir(parents=True)
    places = {"out": folder / "out", "out_curve": folder / "curve.csv", "work": folder / "work"}
    return places | {"machine": Machine(), "seed": seed, "tracker": Tracker()}


def reinforced(kind: str, folder: Path, seed: int) -> dict[str, Any]:
    """`reason` with another reward."""
    params = tuned(ReasonParams, reward=kind, neighbours=[])
    return reason(sft=Path("models/sft"), base=Path("models/base"), **INPUTS, params=params, **outs(folder, seed))


def shuffled_rankings(folder: Path, seed: int) -> dict[str, Any]:
    """A reward model from rankings that say nothing."""
    preferences = folder / "preferences"
    preferences.mkdir(parents=True)
    write_jsonl(preferences / "prompts.jsonl", read_jsonl(Path("data/preferences/prompts.jsonl")))
    rng = Random(seed)
    rows = read_jsonl(Path("data/preferences/rankings.jsonl"))
    shuffled = [row | {"order": rng.sample(row["order"], len(row["order"]))} for row in rows]
    write_jsonl(preferences / "rankings.jsonl", shuffled)
    return reward(
        policy=Path("models/reasoner"),
        preferences=preferences,
        out_validation=folder / "validation",
        params=tuned(RewardParams),
        **outs(folder, seed),
    )


def over_optimised(steps: int, folder: Path, seed: int) -> dict[str, Any]:
    """`rlhf` for long and on a loose leash; the path by step in `path`."""
    params = tuned(RLHFParams, steps=steps, control=False, kl_coefficient=0.002, kl_target=60.0, kl_limit=1000.0)
    found = rlhf(
        policy=Path("models/reasoner"),
        reward=Path("models/reward"),
        validation=Path("models/reward_validation"),
        preferences=Path("data/preferences"),
        **INPUTS,
        params=params,
        **outs(folder, seed),
    )
    with (folder / "curve.csv").open(encoding="utf-8") as file:
        path = [row for row in csv.DictReader(file) if row.get("held_out_gold")]
    return found | {"path": path}


def gain(numbers: dict[str, Any], name: str) -> float | None:
    before, after = numbers.get(f"{name}_before"), numbers.get(f"{name}_after")
    return None if before is None or after is None else round(after - before, 4)


def table(claims: dict[str, dict[str, Any]], columns: tuple[str, ...]) -> str:
    """One line a run; a share with its interval."""
    lines = [f"{'':22}" + "".join(f"{column:>34}" for column in columns)]
    for name, numbers in claims.items():
        cells = []
        for column in columns:
            value, low, high = (numbers.get(f"{column}{end}") for end in ("", "_low", "_high"))
            interval = "" if low is None else f" [{low:.3f}, {high:.3f}] n {numbers[f'{column}_n']}"
            cells.append(f"{'–' if value is None else f'{value:.3f}{interval}':>34}")
        lines.append(f"{name:22}{''.join(cells)}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.controls", description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=120, help="of the long run of rlhf")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    logs.configure()
    run = {name: json.loads(Path(f"metrics/{name}.json").read_text()) for name in ("reason", "reward", "rlhf")}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        form = reinforced("form", folder / "form", options.seed)
        shuffled = reinforced("shuffled", folder / "shuffled", options.seed)
        order = shuffled_rankings(folder / "order", options.seed)
        tail = over_optimised(options.steps, folder / "tail", options.seed)
    verified = {"reward for being right": run["reason"], "for form alone": form, "shuffled": shuffled}
    when = ("accuracy_formatted_before", "accuracy_formatted_after", "format_after", "greedy_accuracy_after")
    print(table(verified, when), end="\n\n")
    skills = tuned(ReasonParams).skills
    print(table(verified, tuple(f"{skill}_after" for skill in skills)), end="\n\n")
    judges = {"reward model": run["reward"], "shuffled rankings": order}
    rivals = ("pair_accuracy", "correctness_pair_accuracy", "style_baseline_accuracy", "length_baseline_accuracy")
    print(table(judges, rivals), end="\n\n")
    for row in tail["path"]:
        names = ("held_out_proxy", "held_out_validation", "held_out_gold", "held_out_correct", "held_out_length")
        print(f"√KL {float(row['root_kl']):6.2f}  " + "  ".join(f"{n[9:]} {float(row[n]):7.3f}" for n in names))
    deviation = run["rlhf"]["gold_std_before"]
    zero = run["rlhf"].get("gold_control")
    print(
        json.dumps(
            {
                "reason_gain": gain(run["reason"], "accuracy_formatted"),
                "reason_form_only_gain": gain(form, "accuracy_formatted"),
                "reason_shuffled_gain": gain(shuffled, "accuracy_formatted"),
                "reason_gain_by_skill": {skill: gain(run["reason"], skill) for skill in skills},
                "reason_form_only_gain_by_skill": {skill: gain(form, skill) for skill in skills},
                "reason_shuffled_gain_by_skill": {skill: gain(shuffled, skill) for skill in skills},
                "reward_correctness_only": run["reward"]["correctness_pair_accuracy"],
                "reward_all": run["reward"]["pair_accuracy"],
                "style_only_all": run["reward"]["style_baseline_accuracy"],
                "reward_shuffled_rankings": order["pair_accuracy"],
                "rlhf_gold_gain_sd": run["rlhf"]["gold_gain_in_std"],
                "rlhf_zero_reward_gain_sd": zero and (zero - run["rlhf"]["gold_before"]) / deviation,
                "tail_gold_fall_sd": tail["tail_gold_fall_in_std"],
                "stop_share_of_best": tail["stop_share_of_best"],
            }
        )
    )


if __name__ == "__main__":
    command(main)
