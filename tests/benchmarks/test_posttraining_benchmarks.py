"""What the benchmarks of post-training compute from paths and seeds."""

from pathlib import Path

import pytest

from benchmarks import methods, seeds
from crawl2chat.errors import UserError
from stages.settings import PROJECT


def test_the_interval_of_three_seeds_is_students():
    middle, low, high = seeds.interval([1.0, 2.0, 3.0])
    assert middle == 2.0
    assert high - middle == pytest.approx(4.303 / 3**0.5) == middle - low


def test_stages_since_one_are_those_that_follow_it():
    again = seeds.stages_since(PROJECT, "reason")
    assert again == ["reason", "preferences", "reward", "rlhf", "evaluate"]
    with pytest.raises(UserError, match="there is no stage 'reazon'"):
        seeds.stages_since(PROJECT, "reazon")


def test_a_seed_reads_the_finished_run_and_repeats_the_rest(tmp_path: Path):
    """A project of the repeated stages alone: DVC has nothing else that it could run again."""
    from stages.files import read_yaml

    root = tmp_path / "run"
    root.mkdir()
    for name in ("crawl2chat", "stages", ".dvcignore", ".dvc", "params.yaml", "dvc.yaml"):
        (root / name).symlink_to(PROJECT / name)
    again = ["reason", "rlhf"]
    wanted = ["models/sft", "models/base", "models/reward", "models/reward_validation", "models/search.sqlite"]
    for path in [*wanted, "data/crawl/tasks", "data/conversations", "data/tokens", "data/preferences"]:
        (root / path).mkdir(parents=True)
    folder = tmp_path / "seed-2"
    seeds.prepare(root, folder, 2, again)
    assert list(read_yaml(folder / "dvc.yaml")["stages"]) == again
    assert read_yaml(folder / "params.yaml")["seed"] == 2
    assert (folder / "models" / "sft").is_symlink() and not (folder / "models" / "reasoner").exists()
    (root / "data" / "tokens").rmdir()
    with pytest.raises(UserError, match="data/tokens is missing"):
        seeds.prepare(root, tmp_path / "seed-3", 3, again)


def test_the_summary_of_a_path_has_its_best_its_peak_and_its_tail():
    """Gold d (1 − d / 2) with the peak at d = 1, as best-of-n would give it, in standard deviations of 2."""
    distances = [0.0, 0.5, 1.0, 1.5]
    path = [{"root_kl": d, "held_out_gold": 3 + d * (1 - d / 2), "held_out_proxy": d} for d in distances]
    found = methods.summary(path, deviation=2.0, kind="best_of_n")
    assert found["best_gain_sd"] == pytest.approx(0.25) and found["best_root_kl"] == 1.0
    assert found["fit_peak_root_kl"] == pytest.approx(1.0)
    assert found["tail_fall_sd"] == pytest.approx((0.5 - 1.5 * 0.25) / 2)
    assert methods.draw({"ppo": path, "dpo": path}).count("√KL") == 1
