"""The URL filter: blocklists of domains and URLs, words that say what a page is, file types that hold no text.

In: a URL. Out: None, or a `Drop` with the entry that matched. The 4.6 million domains that datatrove ships are kept as
sorted 64-bit hashes in a memory map, 37 MB that all workers share, instead of 750 MB in each. Source: Penedo et al. 2024.
"""

import os
import re
import tarfile
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from crawl2chat.curation.quality import Drop
from crawl2chat.parameters import Params

_SPLIT = re.compile(r"[^a-zA-Z0-9]+")


class AddressParams(Params):
    """What the URL filter refuses."""

    integrated_lists: bool = True  # datatrove's domains, URLs and words
    domains: tuple[str, ...] = ()  # own domains, subdomains included
    words: tuple[str, ...] = ()  # own words; one in a URL is enough
    soft_words: int = 2  # so many doubtful words make a bad one
    file_types: tuple[str, ...] = (
        ".pdf",
        ".jpg",
        ".jpeg",
        ".png",
        ".gif",
        ".zip",
        ".exe",
        ".mp3",
        ".mp4",
        ".css",
        ".js",
        ".xml",
    )


def _assets() -> Path:
    from datatrove.utils._import_utils import ASSETS_PATH

    return Path(ASSETS_PATH)


def build_lists(folder: Path) -> Path:
    """Write the integrated lists below `folder` as sorted hashes, once; returns `folder`."""
    from xxhash import xxh3_64_intdigest

    folder.mkdir(parents=True, exist_ok=True)
    names = ("domains", "urls")
    if all((folder / f"{name}.npy").exists() for name in names):
        return folder
    with tarfile.open(_assets() / "url_filterblacklistsv0_3_0.tar.gz", "r|gz") as archive:
        for member in archive:
            name = member.name.split("/")[-1]
            if name in names:
                lines = archive.extractfile(member).read().split()
                aside = folder / f"{name}.aside.npy"
                np.save(aside, np.unique(np.fromiter(map(xxh3_64_intdigest, lines), np.uint64, len(lines))))
                os.replace(aside, folder / f"{name}.npy")
    return folder


def _words(name: str) -> frozenset[str]:
    lines = (_assets() / name).read_text().splitlines()
    return frozenset(_SPLIT.sub("", line).lower() for line in lines if line and not line.startswith("#"))


class AddressFilter:
    """Judges URLs. `lists` is a folder made by `build_lists`, or None for the own lists alone."""

    def __init__(self, params: AddressParams, lists: Path | None):
        self.params, self.lists = params, lists
        self.own = frozenset(params.domains)

    @cached_property
    def _hashes(self) -> dict[str, np.ndarray]:
        return {name: np.load(self.lists / f"{name}.npy", mmap_mode="r") for name in ("domains", "urls")}

    @cached_property
    def _hard(self) -> frozenset[str]:
        return frozenset(self.params.words) | (_words("banned_words.txt") if self.lists else frozenset())

    @cached_property
    def _soft(self) -> frozenset[str]:
        return _words("soft_banned_words.txt") if self.lists else frozenset()

    @cached_property
    def _parts(self) -> re.Pattern | None:
        parts = sorted(_words("banned_subwords.txt")) if self.lists else []
        return re.compile("|".join(map(re.escape, parts))) if parts else None

    def __getstate__(self) -> dict:
        return {"params": self.params, "lists": self.lists, "own": self.own}

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
        if self._listed("urls", url):
            return Drop("blocked_url", url[:200])
        if parts.path.lower().endswith(self.params.file_types):
            return Drop("file_type", parts.path.rsplit(".", 1)[-1])
        words = set(_SPLIT.split(url))
        if found := sorted(words & self._hard):
            return Drop("blocked_word", found[0])
        if len(found := sorted(words & self._soft)) >= self.params.soft_words:
            return Drop("blocked_words", " ".join(found))
        if self._parts and (match := self._parts.search(_SPLIT.sub("", url).lower())):
            return Drop("blocked_subword", match.group())
        return None
