"""Collecting documents: folders, files, patterns, lists, over disk, http, s3 and memory; shares, limits, sentences."""

import gzip
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from pydantic import ValidationError

from crawl2chat.curation import sources
from crawl2chat.curation.reading.any_file import read_file
from crawl2chat.curation.reading.records import Found
from crawl2chat.curation.sources import CollectParams, collect
from crawl2chat.errors import UserError
from crawl2chat.tinyweb.archive import Answer, WarcFile
from stages.settings import tuned


def rows(path: Path, count: int, **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"id": str(n), "text": f"Text {n}.", **more}) for n in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


def archive(path: Path, count: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with WarcFile(path) as file:
        for n in range(count):
            file.response(n, Answer(f"https://a.example/{n}", f"<html><p>Page {n}.</p></html>".encode()))
    return path


def texts(out: Path) -> list[str]:
    files = sorted(path for path in (out / "pages").rglob("*") if path.is_file())
    return [record.text for file in files for record in read_file(file, 1 << 20) if isinstance(record, Found)]


def names(out: Path) -> list[str]:
    return sorted(p.relative_to(out / "pages").as_posix() for p in (out / "pages").rglob("*") if p.is_file())


def take(inputs: Path, out: Path, seed: int = 1, **params: Any) -> dict[str, Any]:
    return collect(inputs, out, tuned(CollectParams, **params), seed)


# ---- what may be named


def test_a_file_a_pattern_and_a_list_name_documents(tmp_path: Path) -> None:
    data = tmp_path / "data"
    rows(data / "a" / "one.jsonl", 2), archive(data / "b" / "two.warc.gz", 3), rows(data / "b" / "x.jsonl", 5)
    assert take(data / "a" / "one.jsonl", tmp_path / "file")["pages"] == 2
    assert take(data / "*" / "*.warc.gz", tmp_path / "pattern")["pages"] == 3
    assert names(tmp_path / "pattern") == ["b/two.warc.gz"]
    (data / "my.paths.gz").write_bytes(gzip.compress(b"# two lines\na/one.jsonl\n\nb/*.warc.gz\n"))
    assert take(data / "my.paths.gz", tmp_path / "list")["pages"] == 5
    assert names(tmp_path / "list") == ["a/one.jsonl", "two.warc.gz"]


def test_a_list_in_a_folder_adds_to_its_files(tmp_path: Path) -> None:
    rows(tmp_path / "in" / "text" / "a.jsonl", 2), rows(tmp_path / "far" / "b.jsonl", 3)
    (tmp_path / "in" / "more.paths").write_text(f"{tmp_path}/far/b.jsonl\n")
    assert take(tmp_path / "in", tmp_path / "out")["pages"] == 5
    assert names(tmp_path / "out") == ["b.jsonl", "text/a.jsonl"]


def test_two_files_of_one_name_are_both_taken(tmp_path: Path) -> None:
    rows(tmp_path / "x" / "a.jsonl", 1), rows(tmp_path / "y" / "a.jsonl", 2)
    (tmp_path / "l.paths").write_text(f"{tmp_path}/x/a.jsonl\n{tmp_path}/y/a.jsonl\n")
    assert take(tmp_path / "l.paths", tmp_path / "out")["pages"] == 3
    assert names(tmp_path / "out") == ["2-a.jsonl", "a.jsonl"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "web")))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{web.server_port}"
    web.shutdown()
    web.server_close()


def test_common_crawls_list_is_fetched_over_http(tmp_path: Path, server: str) -> None:
    archive(tmp_path / "web" / "crawl-data" / "CC-1" / "a.warc.gz", 4)
    (tmp_path / "warc.paths.gz").write_bytes(gzip.compress(b"crawl-data/CC-1/a.warc.gz\n"))
    work = tmp_path / "work"
    metrics = collect(tmp_path / "warc.paths.gz", tmp_path / "out", tuned(CollectParams, prefix=server + "/"), 1, work)
    assert metrics["pages"] == 4 and names(tmp_path / "out") == ["crawl-data/CC-1/a.warc.gz"]
    web = tmp_path / "web" / "crawl-data" / "CC-1" / "a.warc.gz"
    assert (tmp_path / "out/pages/crawl-data/CC-1/a.warc.gz").read_bytes() == web.read_bytes()
    web.unlink()  # a run that was killed after the download does not fetch again
    assert (
        collect(tmp_path / "warc.paths.gz", tmp_path / "b", tuned(CollectParams, prefix=server), 1, work)["pages"] == 4
    )


def test_any_file_system_of_fsspec_is_read(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in ("a", "b"):
        memory.pipe(f"/bucket/deep/{name}.jsonl", b'{"text": "From memory."}\n')
    (tmp_path / "l.paths").write_text("memory://bucket/deep/*.jsonl\n")
    assert take(tmp_path / "l.paths", tmp_path / "out")["pages"] == 2
    assert names(tmp_path / "out") == ["bucket/deep/a.jsonl", "bucket/deep/b.jsonl"]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that speaks s3, with a bucket of two files, and an account."""
    pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    server = pytest.importorskip("moto.server", reason="moto is not installed")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    import s3fs

    system = s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}", skip_instance_cache=True)
    system.mkdir("bucket")
    for name in ("a", "b"):
        system.pipe(f"bucket/deep/{name}.jsonl", b'{"text": "From s3."}\n')
    yield f"http://{host}:{port}"
    moto.stop()


@pytest.mark.slow
def test_s3_is_read_and_wants_credentials(tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "l.paths").write_text("s3://bucket/deep/*.jsonl\n")
    storage = {"s3": {"endpoint_url": s3}}
    assert take(tmp_path / "l.paths", tmp_path / "out", storage=storage)["pages"] == 2
    assert names(tmp_path / "out") == ["bucket/deep/a.jsonl", "bucket/deep/b.jsonl"]
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    storage["s3"]["skip_instance_cache"] = True
    with pytest.raises(UserError, match="refused for want of credentials: set them"):
        take(tmp_path / "l.paths", tmp_path / "b", storage=storage)


# ---- how much is taken


def test_a_limit_of_documents_cuts_files_byte_for_byte(tmp_path: Path) -> None:
    archive(tmp_path / "in" / "a.warc.gz", 30)
    metrics = take(tmp_path / "in", tmp_path / "out", max_documents=12)
    whole = (tmp_path / "in" / "a.warc.gz").read_bytes()
    part = (tmp_path / "out" / "pages" / "a.warc.gz").read_bytes()
    assert metrics["pages"] == 12 == len(texts(tmp_path / "out"))
    assert whole.startswith(part) and len(part) < len(whole)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.parquet", "a.warc.gz", "a.warc", "a.warc.zst"])
def test_shares_are_the_same_whenever_asked_in_every_format(tmp_path: Path, name: str) -> None:
    file = tmp_path / "in" / "web" / name
    if ".warc" in name:
        plain = gzip.decompress(archive(file.with_name("tmp.gz"), 300).read_bytes())
        packed = file.with_name("tmp.gz").read_bytes()
        file.with_name("tmp.gz").unlink()
        file.write_bytes({"gz": packed, "zst": zstandard.compress(plain)}.get(name.rsplit(".")[-1], plain))
    elif name.endswith("parquet"):
        file.parent.mkdir(parents=True)
        pl.DataFrame({"text": [f"Text {n}." for n in range(300)]}).write_parquet(file)
    else:
        data = rows(file.with_name("tmp"), 300).read_bytes()
        file.with_name("tmp").unlink()
        file.write_bytes(zstandard.compress(data) if name.endswith("zst") else data)
    kept = []
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        metrics = take(tmp_path / "in", tmp_path / out, seed=seed, rates={"web": 0.3, "we": 0.9})
        kept.append(texts(tmp_path / out))
        assert metrics["pages"] == len(kept[-1])
        assert 60 <= len(kept[-1]) <= 125  # 90 ± 4 standard deviations
    assert kept[0] == kept[1] != kept[2]
    assert set(kept[0]) <= set(texts_of(file))


def texts_of(file: Path) -> list[str]:
    return [record.text for record in read_file(file, 1 << 20) if isinstance(record, Found)]


def test_a_share_by_metadata(tmp_path: Path) -> None:
    lines = [json.dumps({"id": n, "text": "T.", "metadata": {"lang": "de" if n % 2 else "en"}}) for n in range(400)]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text("\n".join(lines))
    take(tmp_path / "in", tmp_path / "out", rates={"lang=de": 0.25, "lang=fr": 0.0})
    records = [json.loads(line) for line in zstandard.open(tmp_path / "out/pages/a.jsonl.zst", "rt").readlines()]
    languages = [record["metadata"]["lang"] for record in records]
    assert languages.count("en") == 200 and 25 <= languages.count("de") <= 80
    archive(tmp_path / "web" / "a.warc.gz", 10)
    with pytest.raises(UserError, match="hold no document"):
        take(tmp_path / "web", tmp_path / "none", rates={"domain=a.example": 0.0})


# ---- sentences


def test_what_cannot_be_found_is_told_in_one_sentence(tmp_path: Path, server: str) -> None:
    lists = tmp_path / "l.paths"

    def sentence(line: str, **params: Any) -> str:
        lists.write_text(line + "\n")
        with pytest.raises(UserError) as error:
            take(lists, tmp_path / "out", **params)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "l.paths:1: the pattern *.warc.gz matches no file" in sentence("*.warc.gz")
    assert "l.paths:1: there is no file gone.warc.gz" in sentence("gone.warc.gz")
    (tmp_path / "web").mkdir()
    assert f"l.paths:1: {server}/gone.warc.gz does not exist" in sentence(f"{server}/gone.warc.gz")
    assert "has a protocol that nothing here reads" in sentence("gopher://a.example/b.warc.gz")
    assert "holds no documents" in sentence("# nothing")
    with pytest.raises(UserError, match="The input nowhere does not exist"):
        take(tmp_path / "nowhere", tmp_path / "out")


def test_a_host_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "PAUSE", 0.0)
    (tmp_path / "l.paths").write_text("http://127.0.0.1:9/a.warc.gz\n")
    with pytest.raises(
        UserError, match="l.paths:1: http://127.0.0.1:9/a.warc.gz cannot be read .*the host 127.0.0.1:9"
    ):
        take(tmp_path / "l.paths", tmp_path / "out")


def test_s3_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib
    import sys

    monkeypatch.delitem(importlib.import_module("fsspec.registry")._registry, "s3", raising=False)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    (tmp_path / "l.paths").write_text("s3://bucket/a.warc.gz\n")
    with pytest.raises(UserError, match=r"needs a package that is not there: pip install '.\[s3\]'"):
        take(tmp_path / "l.paths", tmp_path / "out")


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_schema_without_text(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    if name.endswith("parquet"):
        pl.DataFrame({"body": ["x"]}).write_parquet(tmp_path / "in" / name)
    else:
        (tmp_path / "in" / name).write_text('{"body": "x"}\n')
    with pytest.raises(UserError, match=rf"{name}: no row has a field `text` \(.*body\); rename the field"):
        take(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("params", [{"rates": {"a": 1.5}}, {"max_files": -1}, {"max_documents": -1}])
def test_parameters_out_of_range(params: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        tuned(CollectParams, **params)
