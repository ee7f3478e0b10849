"""The flow's parts without Prefect: the graph from dvc.yaml, overrides, workspaces, the summary."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from crawl2chat.errors import UserError
from flows import isolated
from flows.dag import Dag, read_dag
from flows.overrides import layers_of, nested, overlay, read_settings
from flows.overrides import main as overrides
from flows.pipeline import Run, run_all, submit_thread
from flows.stage_process import Result, changes, judge
from flows.summary import evaluation_table, key_numbers, key_table, stage_rows, terminal, unreadable, write_results
from flows.workspace import CODE, prepare
from flows.workspace import main as workspace
from stages.files import read_yaml, write_json

ROOT = Path(__file__).parents[2]


def test_the_graph_is_that_of_dvc_yaml(toys: Path) -> None:
    assert read_dag(toys).upstream == {"first": (), "second": ("first",), "third": ("second",)}


def test_the_real_graph_has_every_stage_after_what_it_reads() -> None:
    upstream = read_dag(ROOT).upstream
    order = list(upstream)
    assert set(order) == set(read_yaml(ROOT / "dvc.yaml")["stages"]) and order[0] == "crawl" and order[-1] == "report"
    assert all(order.index(dep) < order.index(stage) for stage, deps in upstream.items() for dep in deps)
    assert upstream["rlhf"] == (
        "crawl",
        "index",
        "tokenize",
        "conversations",
        "reason",
        "preferences",
        "reward",
    )


def test_a_part_of_the_graph_keeps_the_edges_within(toys: Path) -> None:
    assert read_dag(toys).within(["third", "second"]).upstream == {"second": (), "third": ("second",)}
    with pytest.raises(UserError, match="no stage is called 'frist'; the stages are first, second, third"):
        read_dag(toys).within(["frist"])


def test_stages_run_after_what_they_read_and_not_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = Dag({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ("c",)})
    (tmp_path / "dvc.yaml").write_text("stages: {a: {}, b: {}, c: {}, d: {}, e: {}}")
    order = []

    def work(root: Path, stage: str, **_: object) -> Result:
        order.append(stage)
        if stage == "e":
            raise ValueError("a defect")
        return Result("Failed" if stage == "b" else "Ran", "")

    monkeypatch.setattr("flows.stage_process.run_stage", work)
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    results = run_all(Run(tmp_path, dag, frozenset("abde"), False, {}, ()), submit_thread)
    assert list(results) == list(dag.upstream) and order[0] == "a" and set(order) == {"a", "b", "e"}
    assert (results["a"].outcome, results["b"].outcome, results["c"].outcome) == ("Ran", "Failed", "Skipped")
    assert results["d"] == Result("Failed", "not run: b failed")
    assert results["e"].outcome == "Failed"


def test_overlays_keep_comments_and_what_they_do_not_name(toys: Path) -> None:
    overlay(toys / "params.yaml", nested(read_settings(["second.rates.learning=1e-3", "seed=9"])))
    text = (toys / "params.yaml").read_text()
    assert "# how many" in text and "letters: 3" in text and "steps: 3" in text
    assert "seed: 9" in text and "learning: 0.001" in text
    with pytest.raises(UserError, match="has no section 'secnd'; did you mean second?"):
        overlay(toys / "params.yaml", {"secnd": {}})
    with pytest.raises(UserError, match="'steps' is not a setting; write KEY=VALUE"):
        read_settings(["steps"])
    with pytest.raises(UserError, match="the value is not YAML"):
        read_settings(["conversations.skills={sum:50"])


def test_a_profile_makes_the_same_parameters_for_dvc_make_and_flows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (*CODE, "inputs", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "params.yaml").unlink()
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text)
    shutil.copytree(ROOT / ".dvc", tmp_path / ".dvc", ignore=lambda _, names: set(names) - {"config"})
    settings = ["sft.epochs=2"]
    chosen = layers_of(tmp_path, "smoke", read_settings(settings))
    with isolated.claim(tmp_path, "smoke", chosen) as (own, _):
        by_flow = (own / "params.yaml").read_text()
    monkeypatch.setattr("flows.workspace.reproduce", lambda folder: 1)
    monkeypatch.chdir(tmp_path)
    workspace(["smoke", "--set", *settings])
    by_make = (tmp_path / "workspaces/smoke/params.yaml").read_text()
    assert (tmp_path / "params.yaml").read_text() == text
    assert overrides(["smoke", "--set", "sft.epochs=many"]) == 1 and "sft.epochs" in capsys.readouterr().err
    assert (tmp_path / "params.yaml").read_text() == text
    assert overrides(["smoke", "--set", *settings]) == 0
    assert (tmp_path / "params.yaml").read_text() == by_flow == by_make
    assert read_yaml(tmp_path / "params.yaml")["pretrain"]["steps"] == 30 and "# " in by_make


def test_a_change_of_the_identity_reaches_both_stages_that_share_it(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text((ROOT / "params.yaml").read_text())
    before = read_yaml(params)
    overlay(params, nested(read_settings(["conversations.who.name=Kim"])))
    overlay(params, {"evaluate": {"who": {"maker": "Ann"}}})
    after = read_yaml(params)
    expected = before["conversations"]["who"] | {"name": "Kim", "maker": "Ann"}
    assert after["conversations"]["who"] == after["evaluate"]["who"] == expected
    assert before["conversations"]["who"] == before["evaluate"]["who"]
    assert "who: *identity" in params.read_text()


def test_why_a_stage_ran_is_told_from_two_locks() -> None:
    before = {
        "cmd": "c",
        "deps": [{"path": "a", "md5": "1"}],
        "params": {"params.yaml": {"seed": 1, "s": {"x": 1, "y": 2}}},
    }
    after = {
        "cmd": "c",
        "deps": [{"path": "a", "md5": "2"}],
        "params": {"params.yaml": {"seed": 1, "s": {"x": 1, "y": 3}}},
    }
    assert changes({}, after) == "first run"
    assert changes(before, after) == "changed: a, s.y"
    assert changes(before, before) == "forced, or its outs were missing"


def test_a_failure_is_told_by_the_stages_own_sentence() -> None:
    lines = ["Running stage 's':", "error: no text in pages.", "ERROR: failed to reproduce 's': exited with 1"]
    assert judge("s", 255, lines, {}, {}).reason == "no text in pages."
    assert judge("s", 255, ["Traceback", "ValueError: odd"], {}, {}).reason == "ValueError: odd"
    stopped = "s was stopped by SIGKILL; run again, it goes on from its checkpoint"
    assert judge("s", -9, [], {}, {}).reason == stopped


def test_a_workspace_leaves_the_project_alone(toys: Path, command) -> None:
    assert command(toys, "dvc", "repro", "-q").returncode == 0
    (toys / "profiles").mkdir()
    (toys / "profiles/other.yaml").write_text("first: {letters: 5}\n")
    (toys / "crawl2chat").mkdir()
    (toys / "inputs").mkdir()
    (toys / "inputs/README.md").write_text("")
    (toys / "machine.yaml").write_text("workers: 1\n")
    before = {path: path.read_bytes() for path in toys.rglob("*") if path.is_file() and ".dvc/tmp" not in str(path)}
    folder = toys / "workspaces" / "other"
    prepare(toys, folder, layers_of(toys, "other", {"second.steps": 2}), None)
    (folder / "crawl2chat").rmdir()  # the toys use the installed one
    assert command(folder, "dvc", "repro", "-q").returncode == 0
    assert (folder / "data/first/text").read_text() == "xxxxx7"
    assert (folder / "machine.yaml").read_text() == "workers: 1\n"
    assert json.loads((folder / "metrics/second.json").read_text())["steps"] == 2
    assert {path: path.read_bytes() for path in before} == before
    assert command(toys, "dvc", "status").stdout.strip() == "Data and pipelines are up to date."


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["real"], "name the folder with your files: make real DATA=<folder>"),
        (["real", "--inputs", "nowhere"], "nowhere is not a folder or file"),
        (["real", "--inputs", "full/*.warc.gz"], "the pattern full/*.warc.gz matches no file"),
        (["real", "--inputs", "empty"], "empty is empty"),
        (["rael", "--inputs", "full"], "there is no profile 'rael'; the profiles are real, smoke"),
    ],
)
def test_a_mistake_in_the_call_is_one_sentence(arguments, sentence: str, tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "profiles").symlink_to(ROOT / "profiles")
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a.txt").write_text("text")
    monkeypatch.chdir(tmp_path)
    assert workspace(arguments) == 1
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_a_workspace_reads_own_files_beside_the_projects_model_and_vocabulary(toys: Path) -> None:
    for name in ("inputs/crawl/project.txt", "inputs/model/config.json", "mine/own.txt"):
        (toys / name).parent.mkdir(parents=True, exist_ok=True)
        (toys / name).write_text("")
    (toys / "crawl2chat").mkdir()

    def inputs(given: str | None) -> set[str]:
        folder = toys / "workspaces" / "own"
        prepare(toys, folder, [], given)
        top = folder / "inputs"
        return {file.relative_to(top).as_posix() for name in top.iterdir() for file in name.iterdir()}

    assert inputs(str(toys / "mine")) == {"crawl/own.txt", "model/config.json"}
    assert inputs(None) == {"crawl/project.txt", "model/config.json"}


def test_whatever_names_files_becomes_a_folder_of_links(tmp_path: Path) -> None:
    from flows.workspace import link_inputs

    for name in ("a/x.txt", "b/deep/y.txt", "b/z.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)

    def linked(given: str) -> dict[str, str]:
        target = tmp_path / f"inputs-{len(list(tmp_path.iterdir()))}"
        link_inputs(given, target)
        return {p.relative_to(target).as_posix(): p.read_text() for p in sorted(target.rglob("*")) if p.is_file()}

    assert linked(f"{tmp_path}/a") == {"x.txt": "a/x.txt"}
    assert linked(f"{tmp_path}/a/x.txt") == {"x.txt": "a/x.txt"}
    assert linked(f"{tmp_path}/b/**/*.txt") == {"deep/y.txt": "b/deep/y.txt"}
    assert linked("s3://bucket/*.warc.gz") == {"data.paths": "s3://bucket/*.warc.gz\n"}


EVALUATION = {
    "base": {"fact": 0.5, "fact_n": 10, "fact_low": 0.2, "fact_high": 0.8, "val_bpb": 1.25},
    "chat": {"fact": None, "fact_n": 0, "val_bpb": 1.5},
}


def test_the_summary_shows_key_numbers_with_intervals(toys: Path) -> None:
    assert key_numbers(
        "reward", {"pair_accuracy": 0.7, "pair_accuracy_low": 0.6, "pair_accuracy_high": 0.8, "x": 1}
    ) == ["pair_accuracy 0.700 (0.600–0.800)"]
    assert evaluation_table(EVALUATION) == [
        ["", "base", "chat"],
        ["fact (n = 10)", "0.500 (0.200–0.800)", "–"],
        ["val bpb", "1.250", "1.500"],
    ]
    assert key_table({"evaluate": EVALUATION | {"base": {"own": 1.0, **EVALUATION["base"]}}})[1:] == [
        ["val bpb", "1.250", "1.500"]
    ]
    assert key_table({"evaluate": {"chat": {"own": 0.5}}})[1:] == [["own", "0.500"]]
    assert unreadable({"extract": {"unreadable": {"cut": 2, "bad": 5}}, "crawl": {}}) == [
        ("extract: bad", 5),
        ("extract: cut", 2),
    ]
    (toys / "metrics").mkdir()
    (toys / "metrics/first.json").write_text('{"letters": 3000}')
    assert "first" in terminal(toys) and "letters 3,000" in terminal(toys) and "make chat" in terminal(toys)


def test_the_summary_shows_what_the_last_run_took(toys: Path) -> None:
    write_json(toys / "metrics/first.json", {"letters": 3000})
    write_json(toys / ".work/last/first.json", {"seconds": 12.34, "facts": {"cost": 0.004}})
    assert stage_rows(toys, {"first": {"letters": 3000}}) == [("first", "12.3", "letters 3,000, cost 0.004")]
    pretrain = {"parameters": 10, "val_bpb": 0.5} | {"tokens_per_second": 21000.0, "cost": 0.004}
    assert key_numbers("pretrain", pretrain)[2:] == ["tokens_per_second 21,000", "cost 0.004"]


def test_the_results_are_replaced_between_their_marks(toys: Path) -> None:
    with (toys / "dvc.yaml").open("a") as pipeline:
        pipeline.write("  evaluate:\n    cmd: python -m stages evaluate\n")
    write_json(toys / "metrics/evaluate.json", EVALUATION)
    (toys / "docs").mkdir()
    (toys / "docs/results.md").write_text((ROOT / "docs/results.md").read_text())
    write_json(toys / "metrics/first.json", {"letters": 3000})
    readme = (ROOT / "README.md").read_text()
    (toys / "README.md").write_text(readme)
    write_results(toys)
    text = (toys / "README.md").read_text()
    assert "| first |  | letters 3,000 |" in text
    write_results(toys)
    assert (toys / "README.md").read_text() == text
    assert "| fact (n = 10) | 0.500 (0.200–0.800) | – |" in (toys / "docs/results.md").read_text()
    start = readme.index("<!-- results")
    assert text[:start] == readme[:start]


def test_the_readmes_picture_has_every_stage() -> None:
    picture = (ROOT / "README.md").read_text().partition("```mermaid")[2].partition("```")[0]
    assert not [stage for stage in read_yaml(ROOT / "dvc.yaml")["stages"] if not re.search(rf"\b{stage}\b", picture)]


@pytest.mark.parametrize("target", ["all", "develop", "test", "lint", "real", "chat", "ui", "cuda", "lock"])
def test_make_knows_its_targets(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
