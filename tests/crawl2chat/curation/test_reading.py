"""Reading archives and documents: every record becomes a document or has a reason, whatever state the file is in."""

import bz2
import gzip
import json
import os
import re
import zlib
from collections import Counter
from pathlib import Path

import lz4.frame
import polars as pl
import pytest
import zstandard

from crawl2chat.curation.pages import unparsable
from crawl2chat.curation.reading.answers import decode_body, is_html
from crawl2chat.curation.reading.any_file import read_file
from crawl2chat.curation.reading.charset import decode_text
from crawl2chat.curation.reading.files import kind_of
from crawl2chat.curation.reading.records import Found, Lost
from crawl2chat.tinyweb.archive import Answer, WarcFile

HTML = "<html><head><title>T</title></head><body><p>Hello café.</p></body></html>"
LIMIT = 1 << 20


def read(path: Path, limit: int = LIMIT) -> list[Found | Lost]:
    return list(read_file(path, limit))


def archive(path: Path, *answers: Answer) -> Path:
    with WarcFile(path) as file:
        for number, answer in enumerate(answers, 1):
            file.response(number, answer)
    return path


def test_each_answer_without_a_page_has_its_reason(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.warc.gz",
        Answer("https://a.example/1", HTML.encode()),
        Answer("https://a.example/2", b"", status=301, headers=[("Location", "/")]),
        Answer("https://a.example/3", b"<html>gone</html>", status=404),
        Answer("https://a.example/4", b"%PDF-1.4", "application/pdf"),
        Answer("https://a.example/5", b""),
        Answer("https://a.example/6", b"%PDF-1.4", "text/html"),
        Answer("https://a.example/7", b"<html>" + b"a" * LIMIT),
    )
    records = read(path)
    reasons = [record.reason if isinstance(record, Lost) else "document" for record in records]
    assert reasons == [
        "warcinfo",
        "document",
        "redirect",
        "http_error",
        "not_html",
        "empty_body",
        "not_html",
        "too_large",
    ]
    assert records[1].text == HTML and records[1].metadata["url"] == "https://a.example/1"
    assert records[1].place == path.read_bytes().index(b"\x1f\x8b", 10)


@pytest.mark.parametrize("transfer", [(), ("gzip",), ("deflate",), ("br",), ("chunked",), ("gzip", "chunked")])
def test_transfer_encodings_are_undone(tmp_path: Path, transfer: tuple[str, ...]) -> None:
    body = HTML.replace("Hello", "Hello " * 2000).encode()
    records = read(archive(tmp_path / "a.warc.gz", Answer("https://a.example/", body, transfer=transfer)))
    assert records[1].text == body.decode()


@pytest.mark.parametrize(
    ("encoding", "media"),
    [
        ("utf-8", "text/html; charset=iso-8859-1"),
        ("cp1252", "text/html; charset=utf-8"),
        ("cp1252", "text/html"),
        ("latin-1", "text/html; charset=ISO-8859-1"),
        ("utf-16", "text/html"),
        ("utf-8-sig", ""),
    ],
)
def test_bytes_decide_the_charset_before_the_server_does(encoding: str, media: str) -> None:
    text = (
        "Ein Café in Zürich über dem Fluss, und „naïve“ Gäste."
        if encoding != "latin-1"
        else "Café in Zürich, naïve Gäste."
    )
    assert decode_text(text.encode(encoding), media) == text


def test_a_body_that_does_not_match_its_encoding_is_taken_as_it_is() -> None:
    assert decode_body(b"<html>plain</html>", "gzip", LIMIT) == b"<html>plain</html>"
    assert decode_body(b"<html>plain</html>", "chunked", LIMIT) == b"<html>plain</html>"
    assert decode_body(b"<html>plain</html>", "br", LIMIT) == b"<html>plain</html>"


def test_gzip_bomb_is_bounded() -> None:
    bomb = gzip.compress(bytes(50 * LIMIT))
    assert len(decode_body(bomb, "gzip", LIMIT)) == LIMIT + 1


def test_truncated_archive_ends_with_a_reason(tmp_path: Path) -> None:
    whole = archive(
        tmp_path / "a.warc.gz",
        *(Answer(f"https://a.example/{n}", b"<p>" + os.urandom(3000).hex().encode()) for n in range(4)),
    )
    plain = b"".join(_members(whole.read_bytes()))
    cut = tmp_path / "cut.warc"
    cut.write_bytes(plain[: len(plain) * 5 // 8])
    records = read(cut)
    assert isinstance(records[-1], Lost) and records[-1].reason == "truncated_record"
    (tmp_path / "cut.warc.gz").write_bytes(whole.read_bytes()[:-700])
    records = read(tmp_path / "cut.warc.gz")
    assert [type(record).__name__ for record in records] == ["Lost", "Found", "Found", "Found", "Lost"]
    assert (records[-1].reason, records[-1].url) == ("broken_record", "https://a.example/3")


def _members(data: bytes) -> list[bytes]:
    parts = []
    while data:
        member = zlib.decompressobj(31)
        parts.append(member.decompress(data))
        data = member.unused_data
    return parts


def test_one_gzip_stream_around_all_records_is_read(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.warc.gz", *(Answer(f"https://a.example/{n}", HTML.encode()) for n in range(3)))
    (tmp_path / "b.warc.gz").write_bytes(gzip.compress(b"".join(_members(whole.read_bytes())), mtime=0))
    assert Counter(type(record).__name__ for record in read(tmp_path / "b.warc.gz")) == {"Found": 3, "Lost": 1}


def test_jsonl_lines_are_counted_and_named(tmp_path: Path) -> None:
    lines = [
        json.dumps({"id": "x", "text": "Good."}),
        '{"text": "cut',
        json.dumps({"body": "no text"}),
        "[1]",
        json.dumps({"text": " "}),
    ]
    data = "\n".join(lines).encode()
    (tmp_path / "a.jsonl").write_bytes(data)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(data))
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(data))
    for path in sorted(tmp_path.iterdir()):
        found, *lost = read(path)
        assert found.text == "Good." and found.place == 1
        assert [(r.reason, r.place) for r in lost] == [
            ("broken_json", 2),
            ("no_text_field", 3),
            ("not_an_object", 4),
            ("empty_text", 5),
        ]
        assert f"{path.name}:2" in lost[0].detail and "body" in lost[1].detail


def test_parquet_and_text(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["One.", "Two."], "url": ["https://a.example/", None]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"body": ["One."]}).write_parquet(tmp_path / "b.parquet")
    (tmp_path / "book.txt").write_text("A line.\n\nAnother line.\n")
    (tmp_path / "dump.txt").write_text("a" * 3000 + "\n" + "b" * 3000 + "\n")
    (tmp_path / "empty.txt").write_text("")
    assert [record.text for record in read(tmp_path / "a.parquet")] == ["One.", "Two."]
    assert [record.reason for record in read(tmp_path / "b.parquet")] == ["no_text_column"]
    assert [record.text for record in read(tmp_path / "book.txt")] == ["A line.\n\nAnother line.\n"]
    assert [record.text[0] for record in read(tmp_path / "dump.txt")] == ["a", "b"]
    assert [record.reason for record in read(tmp_path / "empty.txt")] == ["empty_file"]


def test_kinds_by_name() -> None:
    names = {
        "a.warc.gz": "warc",
        "a.arc": "warc",
        "a.warc.wet.gz": "warc",
        "a.jsonl.zst": "jsonl",
        "a.txt.gz": "text",
        "a.exe": None,
    }
    assert {name: kind_of(Path(name)) for name in names} == names


def test_media_type_and_first_bytes_decide_what_html_is() -> None:
    assert is_html(b"anything", "text/html") and is_html(b"\n <!DOCTYPE html>", "") and is_html(b"<p>x", "text/plain")
    assert not is_html(b"\x89PNG\r\n", "text/html") and not is_html(b"<html>", "application/json")


def test_damage_costs_the_damaged_record_only(tmp_path: Path) -> None:
    """Wherever a file is cut or a bit of a member is wrong, each record that begins has one outcome."""
    whole = archive(tmp_path / "a.warc.gz", *(Answer(f"https://a.example/{n}", HTML.encode()) for n in range(4)))
    data = whole.read_bytes()
    offsets = [record.place for record in read(whole)]
    cut = tmp_path / "cut.warc.gz"
    for end in range(4, len(data), 23):
        cut.write_bytes(data[:end])
        assert [record.place for record in read(cut)] == [place for place in offsets if place < end]
    for place in range(offsets[2] + 12, offsets[3], 11):
        cut.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        kinds = [getattr(record, "reason", "document") for record in read(cut)]
        assert kinds == ["warcinfo", "document", "broken_record", "document", "document"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (b"Content-Length: 9999", "wrong_length"),
        (b"Content-Length: 60", "wrong_length"),
        (b"Length: 1", "wrong_length"),
        (b"Content-Length: -1", "wrong_length"),
        (b"Content-Length: 999999999999999999999", "wrong_length"),
    ],
)
def test_a_wrong_length_does_not_swallow_the_next_record(tmp_path: Path, wrong: bytes, reason: str) -> None:
    whole = archive(tmp_path / "a.warc.gz", *(Answer(f"https://a.example/{n}", HTML.encode()) for n in range(3)))
    members = _members(whole.read_bytes())
    members[2] = re.sub(rb"Content-Length: \d+", wrong, members[2], count=1)
    (tmp_path / "plain.warc").write_bytes(b"".join(members))
    kinds = [getattr(record, "reason", "document") for record in read(tmp_path / "plain.warc")]
    assert kinds == ["warcinfo", "document", reason, "document"]


def test_bytes_between_records_are_one_reason(tmp_path: Path) -> None:
    whole = archive(tmp_path / "a.warc.gz", *(Answer(f"https://a.example/{n}", HTML.encode()) for n in range(2)))
    one, two, three = _members(whole.read_bytes())
    (tmp_path / "a.warc").write_bytes(one + b"junk\nmore junk\n" + two + bytes(512) + three)
    kinds = [getattr(record, "reason", "document") for record in read(tmp_path / "a.warc")]
    assert kinds == ["warcinfo", "broken_record", "document", "document"]


def test_arc_of_both_versions(tmp_path: Path) -> None:
    answer = b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + HTML.encode()
    head = b"filedesc://a.arc 0.0.0.0 20080430204825 text/plain 4\n1 0 \n\n"
    first = b"http://a.example/one two 127.0.0.1 20080430204825 text/html %d\n" % len(answer)
    second = b"http://a.example/ 127.0.0.1 20080430204825 text/html 200 - - 99 a.arc %d\n" % len(answer)
    for path, pack in (
        (tmp_path / "a.arc", bytes),
        (tmp_path / "a.arc.gz", gzip.compress),
        (tmp_path / "b.arc.bz2", bz2.compress),
    ):
        path.write_bytes(b"".join(map(pack, (head, first + answer + b"\n", second + answer + b"\n"))))
        info, one, two = read(path)
        assert info.reason == "warcinfo" and one.text == two.text == HTML
        assert one.metadata["url"] == "http://a.example/one two" and one.metadata["date"] == "2008-04-30T20:48:25Z"
        assert len({info.id, one.id, two.id}) == 3


def test_bombs_are_bounded_in_every_encoding() -> None:
    import brotli

    plain = bytes(20 * LIMIT)
    packed = {
        "gzip": gzip.compress(plain),
        "deflate": zlib.compress(plain),
        "br": brotli.compress(plain),
        "zstd": zstandard.compress(plain),
    }
    for name, body in packed.items():
        assert len(decode_body(body, name, LIMIT)) == LIMIT + 1
        assert decode_body(body, name, 2 * len(plain)) == plain


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
def test_a_body_that_breaks_off_is_broken(tmp_path: Path, encoding: str) -> None:
    pack = {"gzip": gzip.compress, "br": __import__("brotli").compress, "deflate": zlib.compress}[encoding]
    with pytest.raises((EOFError, ValueError)):
        decode_body(pack(os.urandom(3000))[:-500], encoding, LIMIT)


def test_pages_that_only_harm_a_parser_are_known_before_it() -> None:
    def why(html: str) -> str:
        lost = unparsable(Found(html, "x", "html", 0), 10_000, 100)
        return lost.reason if lost else ""

    assert why("<div>" * 101) == "too_deep" and why("<div>" * 100) == ""
    assert why("<p>One.<br>" * 500) == "" and why("<div></div>" * 500) == "" and why("a" * 10_001) == "too_large"


@pytest.fixture
def real() -> Path:
    folder = os.environ.get("CRAWL2CHAT_REAL_DATA")
    if not folder:
        pytest.skip("CRAWL2CHAT_REAL_DATA names no folder")
    return Path(folder)


def counted_by_others(path: Path) -> int:
    """Records in an archive: as warcio counts them, or, where it gives up, as many heads as its bytes show."""
    from warcio.archiveiterator import ArchiveIterator
    from warcio.exceptions import ArchiveLoadFailed

    opener = lz4.frame.open if path.suffix == ".lz4" else open
    try:
        with opener(path, "rb") as file:
            return sum(record.raw_stream.read() is not None for record in ArchiveIterator(file, arc2warc=True))
    except ArchiveLoadFailed:
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        arc = rb"(?:filedesc|https?|dns):\S+ \d+\.\d+\.\d+\.\d+ \S+ \S+ -?\w+\r?$"
        return len(re.findall(rb"(?m)^WARC/1\.\d\r?$|" + arc, data))


@pytest.mark.real
def test_records_in_are_documents_and_reasons_for_every_real_capture(real: Path) -> None:
    files = sorted(path for path in (real / "crawl").rglob("*") if path.is_file())
    different = {}
    for path in files:
        outcomes, records = len(read(path, 32 << 20)), counted_by_others(path)
        if outcomes != records:
            different[path.name] = (outcomes, records)
    assert len(files) > 80 and not different


@pytest.mark.real
def test_every_real_capture_ends_with_documents_or_reasons(real: Path) -> None:
    folder = real
    counts: Counter[str] = Counter()
    for path in sorted((Path(folder) / "crawl").rglob("*")):
        if path.is_file():
            records = read(path, 32 << 20)
            assert records, path.name
            counts.update("document" if isinstance(record, Found) else record.reason for record in records)
    assert counts["document"] > 600
    assert {"wrong_length", "truncated_record", "revisit", "redirect"} <= set(counts)
    pages = read(Path(folder) / "crawl" / "pages-readability.warc.gz", 32 << 20)
    assert sum(isinstance(record, Found) for record in pages) == 130
    same = [
        read(path, 32 << 20)
        for path in sorted((Path(folder) / "crawl").glob("aut__example.*arc.gz"))
        if "docs" not in path.name and "pdf" not in path.name
    ]
    arc, warc = ({r.metadata["url"] for r in records if isinstance(r, Found)} for records in same)
    assert len(arc) > 90 and arc == warc
