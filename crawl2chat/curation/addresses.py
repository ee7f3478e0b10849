"""The URL filter: blocklists of domains and URLs, words that say what a page is, file types that hold no text.

In: a URL. Out: None, or a `Drop` with the entry that matched. The 4.6 million domains that datatrove ships are kept as
sorted 64-bit hashes in a memory map, 37 MB that all workers share, instead of 750 MB in each; so are one's own lists.
Source: Penedo et al. 2024.
"""

import re
import tarfile
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from pydantic import PositiveInt

from crawl2chat.curation.drop import Drop
from crawl2chat.parameters import Params

SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*://")
NOT_ALPHANUMERIC = re.compile(r"[^a-zA-Z0-9]+")


class AddressParams(Params):
    """What the URL filter refuses."""

    # datatrove's domains, URLs and words.
    integrated_lists: bool
    # Own domains, subdomains included.
    domains: tuple[str, ...]
    # Own words; one in a URL is enough.
    words: tuple[str, ...]
    # So many doubtful words make a bad one.
    soft_words: PositiveInt
    file_types: tuple[str, ...]


def assets_folder() -> Path:
    from datatrove.utils._import_utils import ASSETS_PATH

    return Path(ASSETS_PATH)


def build_lists(folder: Path, own: Path | None = None, integrated: bool = True) -> Path:
    """Write the lists below `folder` as sorted hashes, once; returns `folder`.

    `own` is a folder of one's own lists: text files, packed or not, with a domain or a URL a line (a line with a `/`
    behind its host is a URL and blocks what begins with it); `#` starts a comment, and of several words, as in a hosts
    file, the last counts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "complete").exists():
        return folder
    found: dict[str, list[np.ndarray]] = {"domains": [hash_lines([])], "urls": [hash_lines([])]}
    if integrated:
        with tarfile.open(assets_folder() / "url_filterblacklistsv0_3_0.tar.gz", "r|gz") as archive:
            for member in archive:
                if (name := member.name.split("/")[-1]) in found:
                    found[name].append(hash_lines(archive.extractfile(member).read().split()))
    hosts, pages = own_lists(own) if own else ([], [])
    found["domains"].append(hash_lines(hosts))
    for name, lists in (found | {"own_urls": [hash_lines(pages)]}).items():
        np.save(folder / f"{name}.npy", np.unique(np.concatenate(lists)))
    (folder / "complete").touch()
    return folder


def hash_lines(lines: list[bytes]) -> np.ndarray:
    from xxhash import xxh3_64_intdigest

    return np.fromiter(map(xxh3_64_intdigest, lines), np.uint64, len(lines))


def own_lists(folder: Path) -> tuple[list[bytes], list[bytes]]:
    """The domains and the URLs (without scheme and `www.`) of one's own lists."""
    from crawl2chat.curation.reading.files import open_binary

    hosts, pages = [], []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "about.json"):
        with open_binary(path) as file:
            for line in file:
                words = line.split(b"#")[0].split()
                entry = bare(words[-1].decode("utf-8", "replace")).rstrip("/") if words else ""
                if entry:
                    (pages if "/" in entry else hosts).append(entry.encode())
    return hosts, pages


def bare(url: str) -> str:
    """A URL without its scheme and `www.`, the host in lower case."""
    host, slash, rest = SCHEME.sub("", url).partition("/")
    return host.lower().removeprefix("www.") + slash + rest


def listed_words(name: str) -> frozenset[str]:
    lines = (assets_folder() / name).read_text().splitlines()
    return frozenset(NOT_ALPHANUMERIC.sub("", line).lower() for line in lines if line and not line.startswith("#"))


def beginnings_of(url: str) -> list[str]:
    """The URL without its scheme, and what it says up to each `/`, `?` and `#`."""
    whole = bare(url)
    return [whole, *(whole[: match.start()] for match in re.finditer(r"[/?#]", whole))]


class AddressFilter:
    """Judges URLs. `lists` is a folder made by `build_lists`, or None for the entries of `params` alone."""

    def __init__(self, params: AddressParams, lists: Path | None):
        self.params, self.lists = params, lists
        self.own = frozenset(params.domains)
        self._integrated = lists is not None and params.integrated_lists

    @cached_property
    def _hashes(self) -> dict[str, np.ndarray]:
        return {name: np.load(self.lists / f"{name}.npy", mmap_mode="r") for name in ("domains", "urls", "own_urls")}

    @cached_property
    def _hard(self) -> frozenset[str]:
        return frozenset(self.params.words) | (listed_words("banned_words.txt") if self._integrated else frozenset())

    @cached_property
    def _soft(self) -> frozenset[str]:
        return listed_words("soft_banned_words.txt") if self._integrated else frozenset()

    @cached_property
    def _parts(self) -> re.Pattern | None:
        parts = sorted(listed_words("banned_subwords.txt")) if self._integrated else []
        return re.compile("|".join(map(re.escape, parts))) if parts else None

    def __getstate__(self) -> dict:
        return {name: vars(self)[name] for name in ("params", "lists", "own", "_integrated")}

    def _listed(self, name: str, text: str) -> bool:
        if not self.lists:
            return False
        from xxhash import xxh3_64_intdigest

        hashes, wanted = self._hashes[name], np.uint64(xxh3_64_intdigest(text.encode()))
        place = int(np.searchsorted(hashes, wanted))
        return place < len(hashes) and hashes[place] == wanted

    def judge(self, url: str) -> Drop | None:
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
        except ValueError:
            return Drop("broken_url", url[:200])
        labels = host.split(".")
        for start in range(max(1, len(labels) - 1)):
            domain = ".".join(labels[start:])
            if domain in self.own or self._listed("domains", domain):
                return Drop("blocked_domain", domain)
        if self._listed("urls", url) or any(self._listed("own_urls", start) for start in beginnings_of(url)):
            return Drop("blocked_url", url[:200])
        if parts.path.lower().endswith(self.params.file_types):
            return Drop("file_type", parts.path.rsplit(".", 1)[-1])
        words = set(NOT_ALPHANUMERIC.split(url))
        if found := sorted(words & self._hard):
            return Drop("blocked_word", found[0])
        if len(found := sorted(words & self._soft)) >= self.params.soft_words:
            return Drop("blocked_words", " ".join(found))
        if self._parts and (match := self._parts.search(NOT_ALPHANUMERIC.sub("", url).lower())):
            return Drop("blocked_subword", match.group())
        return None


def domain_of(url: str) -> str:
    """The host in lower case, without `www.`; empty where there is none."""
    try:
        return (urlsplit(url).hostname or "").lower().removeprefix("www.")
    except ValueError:
        return ""
