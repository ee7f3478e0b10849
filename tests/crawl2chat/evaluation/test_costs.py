"""The bill against runs whose price was published."""

from dataclasses import replace

import pytest

from crawl2chat.evaluation.costs import H100, Device, amount, costs, few_digits, for_people


def published(name: str, device: Device) -> dict:
    return next(row for row in costs(1, 1, 1, device) if row["run"] == f"{name}, its own tokens")


def test_llm_c_paid_672_dollars_for_gpt2() -> None:
    """GPT-2 1558M on 32 B tokens: 8 H100 for 24 hours at 49 % of the peak, $672."""
    row = published("gpt2-1558m", replace(H100, utilisation=0.49, dollars_per_hour=3.5))
    assert row["tokens"] == 32e9
    assert row["device_hours"] == pytest.approx(8 * 24, rel=0.1)
    assert row["cost"] == pytest.approx(672, rel=0.1)


def test_llm_c_paid_20_dollars_for_the_small_one() -> None:
    """GPT-2 124M on 10 B tokens: 8 A100 for 90 minutes, about $20."""
    row = published("gpt2-124m", Device("A100", 312e12, 0.6, 20 / 12))
    assert row["device_hours"] == pytest.approx(8 * 1.5, rel=0.1)
    assert row["cost"] == pytest.approx(20, rel=0.1)


def test_the_rows_follow_from_the_run() -> None:
    this, ratio, own, *_ = costs(2_000_000, 24_000_000, 10**15)
    assert this["device_hours"] == pytest.approx(1e15 / (989e12 * 0.4) / 3600)
    assert this["cost"] == pytest.approx(2 * this["device_hours"])
    assert ratio["tokens"] == 12 * ratio["parameters"] == 12 * 123_552_768
    assert own["flops"] / own["tokens"] == ratio["flops"] / ratio["tokens"]
    llama = published("llama-3.1-8b", H100)
    assert all(abs(value) < 2**63 for value in llama.values() if isinstance(value, int))  # MLflow's tables
    assert llama["flops"] > 6 * llama["parameters"] * 15e12 * 0.93  # the embedding multiplies nothing


def test_numbers_are_readable() -> None:
    assert [amount(n) for n in (512, 1_968_320, 32e9, 15e12)] == ["512", "1.97 M", "32 B", "15 T"]
    assert [few_digits(n) for n in (542_113.3, 25.68, 0.0104, 4.3e-5)] == ["542,113", "25.7", "0.0104", "4.3e-05"]
    assert for_people(costs(1_968_320, 4_694_016, 60_910_152_450_048))[4] == {
        "run": "gpt2-1558m, its own tokens",
        "parameters": "1.56 B",
        "tokens": "32 B",
        "FLOPs": "3.1e+20",
        "hours": "221",
        "cost": "$442",
    }
