"""Promotion on a real MLflow store: the alias moves, stays with a reason, and goes back."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from crawl2chat.jsonl import write_jsonl
from flows.mlflow_links import reader
from flows.promote import main
from stages.mlflow_writer import REGISTERED


class Store:
    """A registry in which versions with any share of right answers are made."""

    def __init__(self, root: Path) -> None:
        self.root, self.client = root, reader(root)
        place = (root / "artifacts").as_uri()
        self.ids = {name: self.client.create_experiment(name, place) for name in ("export", "evaluate")}
        self.client.create_registered_model(REGISTERED)

    def add(self, tenths: int, *, asked: int = 400, examined: bool = True) -> str:
        """A version of which a chat model answered so many tenths rightly; the newest is the challenger."""
        number = str(len(list(self.root.glob("*.jsonl"))))
        answers = self.root / "evaluate" / "answers.jsonl"
        answers.parent.mkdir(exist_ok=True)
        rows = [
            {"model": name, "kind": "fact", "id": str(n), "prompt": "", "truth": "", "correct": n % 10 < right}
            for n in range(asked)
            for name, right in (("chat", tenths), ("sft", 0))
        ]
        write_jsonl(answers, rows)
        shutil.copy(answers, self.root / f"{number}.jsonl")
        if examined:
            run = self.client.create_run(self.ids["evaluate"], tags={"dvc.dep.models/chat": number}).info.run_id
            self.client.log_artifact(run, str(answers.parent))
            self.client.set_terminated(run)
        run = self.client.create_run(self.ids["export"], tags={"dvc.dep.models/chat": number}).info.run_id
        version = self.client.create_model_version(REGISTERED, "dvc://models/export", run).version
        for alias in ("challenger", *([] if self.champion() else ["champion"])):
            self.client.set_registered_model_alias(REGISTERED, alias, version)
        return version

    def champion(self) -> str | None:
        return self.client.get_registered_model(REGISTERED).aliases.get("champion")


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Store:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    return Store(tmp_path)


def test_the_better_one_takes_the_place_and_gives_it_back(store: Store, capsys: Any) -> None:
    command = ["--root", str(store.root)]
    first, second = store.add(5), store.add(7)
    assert main(command) == 0 and store.champion() == second
    assert "version 2 against 1: better: +0.200" in capsys.readouterr().out
    assert main(command) == 0 and "is the champion and has no challenger" in capsys.readouterr().out
    third = store.add(9)
    assert main(command) == 0 and store.champion() == third
    assert main([*command, "--rollback"]) == 0 and store.champion() == second
    assert main([*command, "--rollback"]) == 0 and store.champion() == first
    assert main([*command, "--rollback"]) == 1
    assert "version 1 was promoted over none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("challenger", "reason"),
    [
        ({"tenths": 5}, "refused: version 2 against 1: not better: +0.000"),
        ({"tenths": 9, "asked": 300}, "refused: version 2 against 1: 100 of the champion's 400 questions were not"),
        ({"tenths": 9, "examined": False}, "refused: version 2 has not been examined; run `dvc repro evaluate`"),
    ],
)
def test_refused_the_alias_stays_and_one_sentence_says_why(
    store: Store, challenger: dict[str, Any], reason: str, capsys: Any
) -> None:
    first = store.add(5)
    store.add(**challenger)
    assert main(["--root", str(store.root)]) == 1
    error = capsys.readouterr().err
    assert reason in error and error.count("\n") == 1
    assert store.champion() == first


def test_a_folder_without_a_store_is_told_in_a_sentence(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    assert main(["--root", str(tmp_path)]) == 1
    assert "has no MLflow store yet" in capsys.readouterr().err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert main(["--root", str(tmp_path)]) == 1
    assert "MLflow at http://127.0.0.1:9 does not answer" in capsys.readouterr().err
    assert not (tmp_path / "mlflow.db").exists()
