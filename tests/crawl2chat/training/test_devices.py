"""What `auto` means on a CPU, one GPU and many; the sum that chooses a strategy; the peak that utilisation is measured by."""

import os

import pytest
import torch

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.training.devices import (
    PEAK_FLOPS,
    choose_devices,
    choose_precision,
    choose_strategy,
    one_device,
    peak_flops,
)
from crawl2chat.training.supervised import spike_score

GB = 10**9


def gpus(monkeypatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize(("count", "world"), [(0, 1), (1, 1), (8, 8)])
def test_auto_takes_every_gpu_or_one_process_on_a_cpu(monkeypatch, count: int, world: int) -> None:
    gpus(monkeypatch, count)
    assert choose_devices(Machine(), {}) == ("auto", 1, world)
    if count:
        assert choose_precision(Machine()) == "bf16-mixed"


def test_a_stage_on_one_device_takes_the_gpu_where_there_is_one(monkeypatch) -> None:
    gpus(monkeypatch, 2)
    assert one_device(Machine()).type == one_device(Machine(accelerator="gpu")).type == "cuda"
    assert one_device(Machine(accelerator="cpu")).type == "cpu"
    gpus(monkeypatch, 0)
    assert one_device(Machine()).type == "cpu"
    with pytest.raises(UserError, match="accelerator is cuda and this machine has none"):
        one_device(Machine(accelerator="cuda"))


def test_torchrun_says_how_many_processes_there_are(monkeypatch) -> None:
    gpus(monkeypatch, 8)
    started = {"LOCAL_WORLD_SIZE": "8", "WORLD_SIZE": "32"}
    assert choose_devices(Machine(), started) == (8, 4, 32)


def test_more_devices_than_exist_are_refused(monkeypatch) -> None:
    gpus(monkeypatch, 2)
    with pytest.raises(UserError, match="devices is 3 and this machine has 2 CUDA GPUs: lower devices"):
        choose_devices(Machine(devices=3), {})
    with pytest.raises(UserError, match="CPU core"):
        choose_devices(Machine(devices=(os.cpu_count() or 1) + 1, accelerator="cpu"), {})


@pytest.mark.parametrize(
    ("wanted", "world", "parameters", "memory", "strategy"),
    [
        ("auto", 1, 8 * GB, 80 * GB, "auto"),  # nothing to share it with
        ("auto", 8, 1.6 * GB, 80 * GB, "ddp"),  # 26 of 80 GB
        ("auto", 8, 8 * GB, 80 * GB, "fsdp2"),  # 128 of 80 GB
        ("auto", 2, 8 * GB, None, "ddp"),  # CPUs
        ("ddp", 8, 8 * GB, 80 * GB, "ddp"),
    ],
)
def test_a_model_is_cut_only_where_it_has_no_room(wanted, world, parameters, memory, strategy) -> None:
    assert choose_strategy(wanted, world, int(parameters), memory) == strategy


def test_the_peak_of_a_known_gpu_is_its_data_sheets(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 PCIe")
    assert peak_flops(torch.device("cuda"), mixed=True) == (
        PEAK_FLOPS["H100 PCIe"],
        "data sheet of H100 PCIe, dense bfloat16",
    )


def test_the_peak_of_a_cpu_is_measured_and_said_to_be() -> None:
    flops, source = peak_flops(torch.device("cpu"), mixed=False)
    assert flops > 1e8 and source == "measured: a 768 x 768 product in float32"


def test_a_spike_stands_out_from_a_full_window_only() -> None:
    usual = [2.0, 2.2, 1.8, 2.0]
    assert spike_score(9.0, usual, window=5) == 0
    assert spike_score(2.0 + 3 * 0.16329931618554522, usual, window=4) == pytest.approx(3)
    assert spike_score(1.0, usual, window=4) < 0
