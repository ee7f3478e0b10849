"""What training costs: the FLOPs of a run, hours of a device and dollars, for this run and for the models of the talk.

In: a run's parameters, tokens and FLOPs. Out: rows of a table. Arithmetic alone: hours follow from FLOPs and a stated
device that reaches a stated share of its peak. Check: llm.c trained GPT-2's 1.6 B on 32 B tokens in 24 hours of eight
H100 at 49 % and $3.50 an hour, $672; the arithmetic gives 180 of the 192 hours, $631.
"""

from dataclasses import dataclass
from typing import Any

from crawl2chat.model.config import flops_per_token, parameter_count
from crawl2chat.model.presets import context_of, preset


@dataclass(frozen=True)
class Device:
    """A device to rent."""

    name: str
    # FLOP/s, dense bfloat16.
    peak_flops: float
    # Share of the peak that training reaches.
    utilisation: float
    dollars_per_hour: float

    def hours(self, flops: float) -> float:
        return flops / (self.peak_flops * self.utilisation) / 3600

    def __str__(self) -> str:
        return (
            f"{self.name}, {100 * self.utilisation:.0f} % of {self.peak_flops / 1e12:.0f} TFLOP/s, "
            f"${self.dollars_per_hour:.2f} an hour"
        )


H100 = Device("H100", 989e12, 0.4, 2.0)
# Tokens of training: llm.c's two reproductions, Meta's model card.
PUBLISHED = {"gpt2-124m": 10e9, "gpt2-1558m": 32e9, "llama-3.1-8b": 15e12}


def costs(parameters: int, tokens: int, flops: int, device: Device = H100) -> list[dict[str, Any]]:
    """What a run costs on `device`, and what it would cost at the sizes of the talk: with as many tokens per parameter
    as this run, and with the tokens those models were trained on. Rows {run, parameters, tokens, flops, device_hours,
    cost}."""
    rows = [row("this run", parameters, tokens, flops, device)]
    for name, published in PUBLISHED.items():
        config = preset(name)
        size, each = parameter_count(config), flops_per_token(config, context_of(config, {}))
        for why, seen in (
            ("this run's tokens per parameter", size * tokens / parameters),
            ("its own tokens", published),
        ):
            rows.append(row(f"{name}, {why}", size, round(seen), round(seen) * each, device))
    return rows


def row(run: str, parameters: int, tokens: int, flops: float, device: Device) -> dict[str, Any]:
    hours = device.hours(flops)
    return {
        "run": run,
        "parameters": parameters,
        "tokens": tokens,
        # As a float: whole numbers of MLflow's tables end at 2^63, and large models need more.
        "flops": float(flops),
        "device_hours": hours,
        "cost": hours * device.dollars_per_hour,
    }


def for_people(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The same rows for people to read."""
    return [
        {
            "run": row["run"],
            "parameters": amount(row["parameters"]),
            "tokens": amount(row["tokens"]),
            "FLOPs": f"{row['flops']:.1e}",
            "hours": few_digits(row["device_hours"]),
            "cost": f"${few_digits(row['cost'])}",
        }
        for row in rows
    ]


def amount(count: float) -> str:
    """1.97 M; 15 T"""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:,.0f}"


def few_digits(value: float) -> str:
    """542,113; 25.7; 0.0104; 4.3e-05"""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.3g}"
