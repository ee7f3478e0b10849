"""Writes WARC 1.1 files as a crawler would, with deterministic bytes: fixed dates, ids from hashes, no gzip time.

In: requests answered by an imagined server (URL, status, headers, body as sent). Out: `.warc.gz` files, one gzip member
a record. Source: ISO 28500:2017 (WARC 1.1).
"""

import gzip
import hashlib
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

START = datetime(2026, 1, 5, tzinfo=UTC)
STATUS = {
    200: "OK",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    403: "Forbidden",
    404: "Not Found",
    410: "Gone",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


@dataclass
class Answer:
    """An HTTP answer as it went over the wire. `transfer` names the encodings the server applied."""

    url: str
    body: bytes
    content_type: str | None = "text/html; charset=utf-8"
    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    transfer: tuple[str, ...] = ()  # any of: gzip, deflate, bare-deflate, br, claimed-gzip, chunked


def record_id(url: str, number: int) -> str:
    """A URN that depends on the URL and its place in the crawl only."""
    digest = hashlib.sha256(f"{number} {url}".encode()).hexdigest()
    return f"<urn:uuid:{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}>"


def _chunks(body: bytes, size: int = 4093) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


SERVERS = ("nginx", "nginx/1.18.0 (Ubuntu)", "Apache/2.4.57 (Debian)", "cloudflare", "Microsoft-IIS/8.5", "LiteSpeed")
EXTRAS = (
    (),
    (("X-Powered-By", "PHP/5.6.40"), ("Set-Cookie", "session=0; Path=/; HttpOnly")),
    (("Cache-Control", "max-age=600"), ("Vary", "Accept-Encoding")),
    (("ETag", '"5e1-5a"'), ("Last-Modified", "Mon, 05 Jan 2026 00:00:00 GMT"), ("Connection", "close")),
    (("X-Note", "caf\xe9"), ("X-Empty", "")),
)


def _habits(answer: Answer) -> tuple[list[tuple[str, str]], bool]:
    """The headers a server adds to everything, and whether it writes names in lower case; each host has its own."""
    host = zlib.crc32(answer.url.split("/")[2].encode()) if "//" in answer.url else 0
    return [("Server", SERVERS[host % 6]), *EXTRAS[host // 6 % 5]], host // 30 % 4 == 0


def http_message(answer: Answer) -> bytes:
    """The status line, the headers and the body with the server's content and transfer encodings."""
    added, lower = _habits(answer)
    body, headers = answer.body, [*added, *answer.headers]
    if answer.content_type:
        headers.append(("Content-Type", answer.content_type))
    if "claimed-gzip" in answer.transfer:  # a crawler unpacked the body and left the header as it was
        headers.append(("Content-Encoding", "gzip"))
    elif "gzip" in answer.transfer:
        body = gzip.compress(body, compresslevel=6, mtime=0)
        headers.append(("Content-Encoding", "gzip"))
    elif "deflate" in answer.transfer:
        body = zlib.compress(body)
        headers.append(("Content-Encoding", "deflate"))
    elif "bare-deflate" in answer.transfer:  # without the zlib wrapper that the standard asks for
        packer = zlib.compressobj(wbits=-15)
        body = packer.compress(body) + packer.flush()
        headers.append(("Content-Encoding", "deflate"))
    elif "br" in answer.transfer:
        import brotli

        body = brotli.compress(body, quality=4)
        headers.append(("Content-Encoding", "br"))
    if "chunked" in answer.transfer:
        body = _chunks(body)
        headers.append(("Transfer-Encoding", "chunked"))
    else:
        headers.append(("Content-Length", str(len(body))))
    if lower:
        headers = [(name.lower(), value) for name, value in headers]
    head = f"HTTP/1.1 {answer.status} {STATUS.get(answer.status, 'Unknown')}\r\n"
    return (head + "".join(f"{name}: {value}\r\n" for name, value in headers) + "\r\n").encode("latin-1") + body


class WarcFile:
    """One `.warc.gz`: a warcinfo record, then the records in the order they are added."""

    def __init__(self, path: Path):
        self.path = path
        self._file = path.open("wb")
        info = f"software: crawl2chat tiny web\r\nformat: WARC File Format 1.1\r\nfilename: {path.name}\r\n"
        headers = {"WARC-Filename": path.name}
        self._add("warcinfo", record_id(path.name, 0), START, info.encode(), "application/warc-fields", headers)

    def __enter__(self) -> "WarcFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _add(self, kind: str, identity: str, date: datetime, block: bytes, content: str, extra: dict[str, str]) -> int:
        headers = {
            "WARC-Type": kind,
            "WARC-Record-ID": identity,
            "WARC-Date": date.strftime("%Y-%m-%dT%H:%M:%SZ"),
            **extra,
            "Content-Type": content,
            "Content-Length": str(len(block)),
        }
        head = "WARC/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        offset = self._file.tell()
        self._file.write(gzip.compress(head.encode() + block + b"\r\n\r\n", compresslevel=6, mtime=0))
        return offset

    def response(self, number: int, answer: Answer) -> tuple[str, int]:
        """Add an answer; returns its record id and the byte offset of its gzip member."""
        identity, date = record_id(answer.url, number), START + timedelta(seconds=number)
        extra = {"WARC-Target-URI": answer.url, "WARC-IP-Address": "192.0.2.1"}
        kind = "application/http; msgtype=response"
        return identity, self._add("response", identity, date, http_message(answer), kind, extra)

    def revisit(self, number: int, url: str, of: str) -> tuple[str, int]:
        """Add a revisit record: the same bytes as record `of`, hence no body."""
        identity, date = record_id(url, number), START + timedelta(seconds=number)
        profile = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
        extra = {"WARC-Target-URI": url, "WARC-Profile": profile, "WARC-Refers-To": of}
        block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
        return identity, self._add("revisit", identity, date, block, "application/http; msgtype=response", extra)
