"""Lineage of a small project: hashes compared with the files, runs and commits by name, events at an address."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows.lineage import main
from stages.hashes import md5, outs_digest

STAGES = {
    "crawl": (["inputs/crawl"], ["data/crawl"]),
    "pretrain": (["data/crawl/pages", "crawl2chat/code.py"], ["models/base"]),
    "sft": (["models/base"], ["models/sft"]),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    from ruamel.yaml import YAML

    for file in ("inputs/crawl/a.txt", "data/crawl/pages/x.warc.gz", "models/base/model", "models/sft/model"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(file)
    (tmp_path / "crawl2chat").mkdir()
    (tmp_path / "crawl2chat/code.py").write_text("")
    stages = {
        stage: {kind: [{"path": path, "md5": md5(tmp_path / path)} for path in paths] for kind, paths in entry}
        for stage, (reads, writes) in STAGES.items()
        for entry in [(("deps", reads), ("outs", writes))]
    }
    with (tmp_path / "dvc.lock").open("w") as stream:
        YAML().dump({"schema": "2.0", "stages": stages}, stream)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    return tmp_path


def ask(root: Path, capsys: Any, *arguments: str) -> tuple[int, str, str]:
    code = main([*arguments, "--root", str(root)])
    return code, *capsys.readouterr()


def test_a_model_leads_to_the_files_of_the_crawl_and_a_file_to_the_models(root: Path, capsys: Any) -> None:
    code, shown, _ = ask(root, capsys, "models/base", "--json")
    found = json.loads(shown)
    assert code == 0 and [one["stage"] for one in found["made_by"]] == ["crawl", "pretrain"]
    assert found["made_by"][1]["reads"] == {"data/crawl/pages": md5(root / "data/crawl/pages")}
    assert found["made_by"][1]["found"] == {"models/base": "verified"}
    assert found["files"] == {"data/crawl/pages/x.warc.gz": None}
    code, shown, _ = ask(root, capsys, "data/crawl/pages/x.warc.gz", "--json")
    assert code == 0 and json.loads(shown)["models"] == ["models/base", "models/sft"]


def test_hashes_are_those_of_the_files(root: Path, capsys: Any) -> None:
    (root / "models/base/model").write_text("other")
    (root / "models/sft/model").unlink()
    (root / "models/sft").rmdir()
    code, shown, error = ask(root, capsys, "models/sft")
    assert code == 1 and "models/base: not what dvc.lock says" in error
    assert "models/base" in shown and "changed" in shown and "missing" in shown and "verified" in shown


def test_what_only_dvcs_cache_has_is_found_there(root: Path, capsys: Any) -> None:
    digest = md5(root / "models/sft")
    kept = root / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    kept.parent.mkdir(parents=True)
    (root / "models/sft").rename(kept)
    code, shown, _ = ask(root, capsys, "models/sft", "--json")
    assert code == 0 and json.loads(shown)["made_by"][-1]["found"] == {"models/sft": "in the cache"}


def test_without_a_store_of_runs_it_is_said_once(root: Path, capsys: Any) -> None:
    code, shown, warned = ask(root, capsys, "models/sft", "--json")
    assert code == 0 and not any(one["mlflow_run"] for one in json.loads(shown)["made_by"])
    assert warned.count("\n") == 1 and "without runs and commits" in warned


def test_runs_and_commits_are_named(root: Path, empty_store: Path, capsys: Any) -> None:
    import shutil

    from mlflow import MlflowClient

    shutil.copy(empty_store, root / "mlflow.db")
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    digest = outs_digest({"models/base": md5(root / "models/base")})
    tags = {"dvc.outs": digest, "git.commit": "0123456789abcdef"}
    run = client.create_run(client.create_experiment("pretrain"), tags=tags).info.run_id
    code, shown, error = ask(root, capsys, "models/base")
    assert code == 0 and f"run {run[:8]}" in shown and "commit 01234567" in shown and not error


def test_events_and_a_picture(root: Path, capsys: Any) -> None:
    taken = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/api/v1/lineage"
        code, _, _ = ask(root, capsys, "models/base", "--openlineage", address, "--svg", str(root / "way.svg"))
    finally:
        server.shutdown()
    assert code == 0 and [event["job"]["name"] for event in taken] == ["crawl", "pretrain", "sft"]
    for event in taken:
        assert event["eventType"] == "COMPLETE" and len(event["run"]["runId"]) == 36
        assert {"eventTime", "producer", "schemaURL", "inputs", "outputs"} <= event.keys()
    version = taken[1]["outputs"][0]["facets"]["version"]["datasetVersion"]
    assert version == md5(root / "models/base")
    assert (root / "way.svg").read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["models/none"], "no stage of dvc.lock has read or written models/none"),
        (["data/crawl/pages/y.warc.gz"], "data/crawl/pages/y.warc.gz is not there"),
        (["models/base", "--openlineage", "localhost"], "localhost is no address"),
        (
            ["models/base", "--openlineage", "http://127.0.0.1:9/"],
            "http://127.0.0.1:9/ did not take the event of crawl",
        ),
    ],
)
def test_what_cannot_work_is_told_in_a_sentence(root: Path, arguments: list[str], sentence: str, capsys: Any) -> None:
    code, _, error = ask(root, capsys, *arguments)
    assert code == 1 and sentence in error.splitlines()[-1]
