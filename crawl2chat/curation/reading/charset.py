"""The charset of a page: decided from its bytes first and from the server's claim second."""

import re

CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([a-zA-Z0-9_\-]+)", re.IGNORECASE)


def decode_text(body: bytes, media: str) -> str:
    """Text from bytes: UTF-8 if it fits, which it hardly does by chance, then declared charsets, then detection."""
    from resiliparse.parse.encoding import detect_encoding

    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    declared = [
        m.group(1).decode()
        for m in (CHARSET.search(media.encode("latin-1", "ignore")), CHARSET.search(body[:2048]))
        if m
    ]
    for charset in [*declared, detect_encoding(body), "windows-1252"]:
        if charset and charset.lower() in ("iso-8859-1", "latin-1", "latin1", "ascii", "us-ascii"):
            charset = "windows-1252"
        if not charset or charset.lower().replace("-", "") == "utf8":
            continue
        try:
            return body.decode(charset)
        except (UnicodeDecodeError, LookupError):
            continue
    return body.decode("windows-1252", "replace")
