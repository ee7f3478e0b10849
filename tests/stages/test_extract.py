"""Stage extract: every record is a document or has a reason, and damage is told in a sentence."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from curation_toys import ALONE, EXTRACT, jsonl, tiny_crawl

from crawl2chat.curation.documents import documents_in
from crawl2chat.errors import UserError
from crawl2chat.tinyweb.archive import Answer, WarcFile
from crawl2chat.tracking import Tracker
from stages.extract import extract


def run(pages: Path, root: Path, **update: Any) -> dict[str, Any]:
    work = root / "work"
    work.mkdir(exist_ok=True)
    crawl, params = pages.parent, EXTRACT.model_copy(update=update)
    return extract(
        pages, crawl / "blocklists", crawl / "truth", root / "out", root / "removed", params, ALONE, Tracker(), work
    )


def test_tiny_web_text_comes_out_whole(tmp_path: Path) -> None:
    metrics = run(tiny_crawl(tmp_path / "crawl") / "pages", tmp_path)
    gone = sum(
        sum(reasons.values()) for reasons in (metrics["ordinary"], metrics["unreadable"], *metrics["dropped"].values())
    )
    assert metrics["records"] == metrics["documents"] + gone
    assert metrics["f1"] > 0.97 and metrics["f1_n"] == metrics["documents"]
    assert metrics["address_recall"] == metrics["address_precision"] == 1.0
    documents = list(documents_in(tmp_path / "out"))
    assert len(documents) == metrics["documents"]
    assert {"url", "domain", "title", "date", "file", "offset", "source"} <= set(documents[0]["metadata"])
    assert all("<p>" not in document["text"] for document in documents)
    for block in ("read", "address"):
        assert all(d["metadata"]["reason"] for d in documents_in(tmp_path / "removed" / block))


def test_own_lists_of_domains_and_urls_are_obeyed(tmp_path: Path) -> None:
    """Plain, packed and in the form of a hosts file; a URL blocks what begins with it, and no other page."""
    urls = [
        "https://www.spam.example/",
        "https://sub.spam.example/a",
        "https://hosts.example/",
        "https://a.example/bad/1",
        "http://a.example/bad?x=1",
        "https://a.example/badly",
        "https://a.example/",
        "https://notspam.example/",
    ]
    jsonl(tmp_path / "pages" / "a.jsonl", *({"text": "Fine.", "url": url} for url in urls))
    (tmp_path / "blocklists").mkdir()
    (tmp_path / "blocklists" / "domains.txt").write_text("# spam\nspam.example\n0.0.0.0 Hosts.example # ads\n\n")
    (tmp_path / "blocklists" / "urls.gz").write_bytes(gzip.compress(b"https://a.example/bad\n"))
    metrics = run(tmp_path / "pages", tmp_path)
    assert metrics["dropped"] == {"address": {"blocked_domain": 3, "blocked_url": 2}}
    assert [d["metadata"]["url"] for d in documents_in(tmp_path / "out")] == urls[5:]


def test_broken_lines_are_counted_and_named(tmp_path: Path) -> None:
    jsonl(tmp_path / "pages" / "a.jsonl", {"text": "One fine document."}, '{"text": "cut', {"body": "none"})
    metrics = run(tmp_path / "pages", tmp_path)
    assert metrics["documents"] == 1 and metrics["f1"] is None
    assert metrics["unreadable"] == {"broken_json": 1, "no_text_field": 1}
    lost = {d["metadata"]["reason"]: d["metadata"] for d in documents_in(tmp_path / "removed" / "read")}
    assert lost["broken_json"]["file"] == "a.jsonl" and lost["broken_json"]["offset"] == 2
    assert lost["no_text_field"]["detail"] == "keys: body"


def test_truncated_archive_gives_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    with WarcFile(tmp_path / "pages" / "a.warc.gz") as archive:
        for number in range(3):
            text = " ".join(f"word{n * number}" for n in range(400))
            archive.response(
                number, Answer(f"https://a.example/{number}", f"<html><body><p>{text}</p></body></html>".encode())
            )
    path = tmp_path / "pages" / "a.warc.gz"
    path.write_bytes(path.read_bytes()[:-300])
    metrics = run(tmp_path / "pages", tmp_path)
    assert metrics["documents"] == 2 and sum(metrics["unreadable"].values()) == 1


def test_missing_empty_and_unreadable_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="folder pages does not exist"):
        run(tmp_path / "pages", tmp_path)
    (tmp_path / "pages").mkdir()
    with pytest.raises(UserError, match="No readable file in pages"):
        run(tmp_path / "pages", tmp_path)


def test_everything_dropped_names_the_block(tmp_path: Path) -> None:
    jsonl(tmp_path / "pages" / "a.jsonl", {"body": "x"}, {"body": "y"}, "broken")
    with pytest.raises(
        UserError, match="every document was dropped, most of them .3. by block 'read', reason 'no_text_field'"
    ):
        run(tmp_path / "pages", tmp_path)


def test_an_extractor_that_finds_nothing_stops_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jsonl(tmp_path / "pages" / "a.jsonl", {"text": "One."})
    monkeypatch.setattr("crawl2chat.curation.extraction._resiliparse", lambda html: "")
    with pytest.raises(UserError, match="finds no text in a plain test page"):
        run(tmp_path / "pages", tmp_path)


def test_a_page_that_crashes_or_hangs_takes_nothing_else_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child process is killed on one page and sleeps on another: both are named, the rest of the batch survives."""
    import os
    import signal
    import time

    def extract_or_worse(html: str, extractor: str) -> str:
        if "bomb" in html:
            os.kill(os.getpid(), signal.SIGKILL)
        if "sleep" in html:
            time.sleep(60)
        if "raise" in html:
            raise RuntimeError("broken markup")
        return html

    monkeypatch.setattr("crawl2chat.curation.pages.extract", extract_or_worse)
    (tmp_path / "pages").mkdir()
    words = ("fine", "bomb", "sleep", "raise", "good")
    with WarcFile(tmp_path / "pages" / "a.warc.gz") as archive:
        for number, word in enumerate(words):
            archive.response(
                number, Answer(f"https://a.example/{word}", f"<html><body><p>{word}</p></body></html>".encode())
            )
    metrics = run(tmp_path / "pages", tmp_path, timeout=2.0)
    assert metrics["documents"] == 2
    assert metrics["dropped"]["extract"] == {"crash": 1, "timeout": 1, "error": 1}
    reasons = {d["metadata"]["url"]: d["metadata"]["reason"] for d in documents_in(tmp_path / "removed" / "extract")}
    assert reasons == {
        "https://a.example/bomb": "crash",
        "https://a.example/sleep": "timeout",
        "https://a.example/raise": "error",
    }
