"""The document that an archive's record holds: an HTTP answer, its body as the server packed it, its type.

In: a record. Out: a `Found`, or a `Lost` with the reason. Bodies are unpacked (chunked, gzip, deflate, brotli, zstd) up
to a limit. Servers and crawlers lie, so the first bytes decide before the headers do.
"""

import re
import zlib
from collections.abc import Iterable

from crawl2chat.curation.reading.charset import decode_text
from crawl2chat.curation.reading.records import ORDINARY, Found, Head, Lost

HTML = re.compile(rb"<\s*(!doctype\s+html|html|head|body|title|p|div|table|h1|meta)\b", re.IGNORECASE)
EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
# PDF, PNG, GIF, JPEG, ZIP, RIFF, MP4.
MEDIA = (b"%PDF", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"PK\x03\x04", b"RIFF", b"\x00\x00\x00")


def outcome_of(head: Head, block: bytes, max_bytes: int) -> Found | Lost:
    """The document that a whole record holds, or why it holds none."""

    def lost(reason: str, detail: str = "") -> Lost:
        return Lost(reason, 0, head.id, head.url, detail)

    if head.kind not in ("response", "resource", "conversion"):
        return lost(head.kind if head.kind in ORDINARY else "other_record", head.kind[:80])
    if len(block) > max_bytes:
        return lost("too_large", f"more than {max_bytes} bytes")
    body, media = block, head.media
    if head.kind == "response":
        if head.url.startswith(("dns:", "whois:")):
            return lost("not_html", head.url[:80])
        answer = http_answer(block)
        if answer is None:
            http = not head.id or media.startswith("application/http")
            reason = "empty_body" if not block.strip() else "no_http_headers" if http else "not_html"
            return lost(reason, media[:80])
        status, fields, body = answer
        if not status.isdecimal():
            return lost("no_status", status[:80])
        if status.startswith("3"):
            return lost("redirect", f"{status} {fields.get('location', '')}"[:200])
        if status != "200":
            return lost("http_error", status)
        media = fields.get("content-type", "").lower()
        encodings = f"{fields.get('content-encoding', '')} {fields.get('transfer-encoding', '')}".lower()
        try:
            body = decode_body(body, encodings, max_bytes)
        except (zlib.error, ValueError, OSError, EOFError) as error:
            return lost("broken_body", f"{encodings.strip()}: {error}"[:200])
        if len(body) > max_bytes:
            return lost("too_large", f"more than {max_bytes} bytes after decompression")
    if not body.strip():
        return lost("empty_body")
    metadata = {"url": head.url, "date": head.date, "media": media[:80]}
    if head.kind == "conversion":
        return Found(body.decode("utf-8", "replace"), head.id, "text", 0, metadata)
    if not is_html(body, media):
        return lost("not_html", media[:80])
    return Found(decode_text(body, media), head.id, "html", 0, metadata)


def http_answer(block: bytes) -> tuple[str, dict[str, str], bytes] | None:
    """Status, header fields and body of an HTTP answer; None if the block does not begin like one."""
    while block.startswith(b"HTTP/"):
        end = EMPTY_LINE.search(block)
        head, body = (block[: end.start()], block[end.end() :]) if end else (block, b"")
        first, *lines = head.decode("latin-1").splitlines()
        status = (first.split(None, 2) + ["", ""])[1]
        if status != "100":  # "continue": the answer itself comes behind it
            return status, header_fields(lines), body
        block = body
    return None


def header_fields(lines: Iterable[str]) -> dict[str, str]:
    """Header fields, names in lower case, the first of each name."""
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    return fields


def dechunk(body: bytes) -> bytes:
    """Undo chunked transfer encoding; bytes that are not chunked after all come back as they are."""
    parts, position = [], 0
    while position < len(body):
        end = body.find(b"\r\n", position, position + 32)
        try:
            size = int(body[position:end].split(b";")[0], 16) if end > 0 else -1
        except ValueError:
            size = -1
        if size < 0:
            return body if not parts else b"".join(parts)
        if size == 0:
            break
        parts.append(body[end + 2 : end + 2 + size])
        position = end + 2 + size + 2
    return b"".join(parts)


def inflate(body: bytes, wbits: int, max_bytes: int) -> bytes:
    stream = zlib.decompressobj(wbits)
    plain = stream.decompress(body, max_bytes + 1)
    if not stream.eof and len(plain) <= max_bytes:
        raise EOFError("ends early")
    return plain


def unbrotli(body: bytes, max_bytes: int) -> bytes:
    import brotli

    decompressor = brotli.Decompressor()
    plain = decompressor.process(body, output_buffer_limit=max_bytes + 1)
    while len(plain) <= max_bytes and not decompressor.can_accept_more_data():
        plain += decompressor.process(b"", output_buffer_limit=max_bytes + 1 - len(plain))
    if len(plain) <= max_bytes and not decompressor.is_finished():
        raise EOFError("ends early")
    return plain[: max_bytes + 1]  # the decoder keeps to its limit by the block only


def decode_body(body: bytes, encodings: str, max_bytes: int) -> bytes:
    """Undo transfer and content encodings named in `encodings`, to at most max_bytes + 1 bytes.

    Servers and crawlers lie: a body that does not start like its encoding is taken as it is.
    """
    if "chunked" in encodings:
        body = dechunk(body)
    if "gzip" in encodings and body[:2] == b"\x1f\x8b":
        return inflate(body, 31, max_bytes)
    if "deflate" in encodings and not HTML.search(body[:512]):
        try:
            return inflate(body, 15, max_bytes)
        except zlib.error:  # some servers send a bare deflate stream
            return inflate(body, -15, max_bytes)
    if "zstd" in encodings and body[:4] == b"\x28\xb5\x2f\xfd":
        import zstandard

        try:
            return zstandard.ZstdDecompressor().stream_reader(body).read(max_bytes + 1)
        except zstandard.ZstdError as error:
            raise ValueError(error) from None
    if re.search(r"\bbr\b", encodings) and body:
        import brotli

        try:
            return unbrotli(body, max_bytes)
        except brotli.error as error:
            if HTML.search(body[:512]):
                return body
            raise ValueError(f"brotli: {error}") from None
    return body


def is_html(body: bytes, media: str) -> bool:
    """Whether an answer is a web page: what its type claims, unless the first bytes say otherwise."""
    if body.startswith(MEDIA):
        return False
    if "html" in media:
        return True
    claims_other = media and not media.startswith(("text/plain", "application/octet-stream", "unk", "no-type"))
    return not claims_other and bool(HTML.search(body[:2048]))
