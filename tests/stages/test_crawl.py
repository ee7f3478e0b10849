"""Stage crawl: the tiny web and a person's own files end in the same layout."""

import json
from pathlib import Path

import pytest
import zstandard
from curation_toys import digest, jsonl

from crawl2chat.curation.sources import CollectParams
from crawl2chat.errors import UserError
from crawl2chat.tinyweb.pages import PageParams
from crawl2chat.tinyweb.site import WebParams
from crawl2chat.tinyweb.world import WorldParams
from stages.crawl import CrawlParams, crawl
from stages.settings import tuned

KINDS = {"pages", "chat", "preferences", "verifiable", "blocklists", "quality", "tasks", "truth"}
SMALL = tuned(
    CrawlParams,
    world=tuned(WorldParams, mention_scale=5.0, mention_cap=3),
    pages=tuned(
        PageParams,
        one_off=40,
        multiplication=40,
        addition=40,
        subtraction=40,
        long_multiplication=40,
        direct=40,
        word_problem=40,
        tool=40,
        pattern=40,
        craft=40,
    ),
    web=tuned(WebParams, domains=10, files=2),
)


def test_tiny_web_has_pages_tasks_and_truth(tmp_path: Path) -> None:
    metrics = crawl(tmp_path / "none", tmp_path / "a", SMALL, 1)
    crawl(tmp_path / "none", tmp_path / "b", SMALL, 1)
    assert {path.name for path in (tmp_path / "a").iterdir()} == KINDS
    assert metrics["pages"] > 50 and metrics["bytes"] > 10_000 and metrics["tasks"] > 1_000
    assert json.loads((tmp_path / "a" / "chat" / "about.json").read_text()) == {"kind": "none"}
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    inputs = tmp_path / "own"
    jsonl(inputs / "text" / "notes.jsonl", *({"id": str(n), "text": f"Note {n}."} for n in range(200)))
    jsonl(inputs / "crawl" / "more.jsonl", {"text": "A page."}, "broken")
    jsonl(inputs / "chat" / "talk.jsonl", {"messages": []})
    jsonl(inputs / "verifiable" / "gsm.jsonl", {"question": "What is 2+3?", "answer": "It is 5.\n#### 5"})
    (inputs / "text" / "picture.png").write_bytes(b"png")
    return inputs


def collect(inputs: Path, out: Path, **limits: object) -> dict:
    return crawl(inputs, out, tuned(CrawlParams, source="files", collect=tuned(CollectParams, **limits)), 1)


def test_own_files_are_collected_by_kind(own: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    metrics = collect(own, out)
    assert {path.name for path in out.iterdir()} == KINDS
    assert sorted(p.relative_to(out / "pages").as_posix() for p in (out / "pages").rglob("*.*")) == [
        "crawl/more.jsonl",
        "text/notes.jsonl",
    ]
    assert (metrics["pages"], metrics["files"], metrics["unused_files"], metrics["tasks"]) == (201, 2, 1, 1)
    assert (out / "chat" / "talk.jsonl").exists() and (out / "preferences" / "about.json").exists()
    tasks = [
        json.loads(line) for path in sorted((out / "tasks").glob("*.jsonl")) for line in path.read_text().splitlines()
    ]
    assert [(task["prompt"], task["answer"]) for task in tasks] == [("What is 2+3?", "5")]
    assert json.loads((out / "truth" / "about.json").read_text()) == {"kind": "none"}


def test_sampling_is_a_share_that_is_always_the_same(own: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        collect(own, tmp_path / name, rates={"text": 0.25})
    lines = zstandard.decompress(
        (tmp_path / "a" / "pages" / "text" / "notes.jsonl.zst").read_bytes(), 1 << 20
    ).splitlines()
    assert 30 <= len(lines) <= 70
    assert digest(tmp_path / "a") == digest(tmp_path / "b")


def test_file_limit(own: Path, tmp_path: Path) -> None:
    assert collect(own, tmp_path / "out", max_files=1)["files"] == 1


def test_a_folder_without_the_layout_is_documents(tmp_path: Path) -> None:
    jsonl(tmp_path / "own" / "deep" / "a.jsonl", {"text": "One."})
    assert collect(tmp_path / "own", tmp_path / "out")["pages"] == 1


def test_missing_and_empty_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="input missing does not exist"):
        collect(tmp_path / "missing", tmp_path / "a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="input empty holds no documents"):
        collect(tmp_path / "empty", tmp_path / "b")
