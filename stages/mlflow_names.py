"""What numbers are called in MLflow: the same names in every experiment, so that its charts and its comparisons begin
with them, as they stand without a folder and first in the alphabet.

loss, val_loss, bpb, reward, gold, kl and accuracy are curves where a stage trains, and single numbers at its end. What
describes training itself lies in `training/`, what was seen on held-out prompts in `held_out/`, time and cost in
`took/`, and of runs with several rows in the headline, each row's numbers in a folder of its own.
"""

from collections.abc import Mapping
from typing import Any

# Of a column of a training curve.
COMMON = {
    "train_loss": "loss",
    "val_loss": "val_loss",
    "val_bpb": "bpb",
    "loss": "loss",
    "text_bpb": "bpb",
    "accuracy": "accuracy",
    "reward": "reward",
    "proxy": "reward",
    "kl": "kl",
    "held_out_gold": "gold",
    "held_out_proxy": "held_out/reward",
    "held_out_correct": "held_out/accuracy",
}
# The chat model is what a whole run makes.
FINAL = "evaluate_chat"


def in_curves(name: str) -> str:
    """Where a number of a training step is drawn."""
    if name in COMMON:
        return COMMON[name]
    folder = "held_out" if name.startswith("held_out_") else "training"
    return f"{folder}/{name.removeprefix('held_out_')}"


def in_charts(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The headline of a pipeline: what tells of the chat model in front, then each row as `<row>/<name>`."""
    numbers = {f"{row}/{name}": value for row, names in rows.items() for name, value in names.items()}
    front = dict(rows.get(FINAL, {}))
    for row, names in (("pretrain", ("val_loss",)), ("rlhf", ("reward", "kl"))):
        front |= {name: rows[row][name] for name in names if name in rows.get(row, {})}
    return front | numbers


def of_a_stage(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The headline of one stage: its numbers by their common names; of the evaluation, those of the chat model."""
    if len(rows) == 1:
        return dict(*rows.values())
    return in_charts(rows)
