"""Full-text search over a corpus: one SQLite file, an FTS5 index of its passages, and the ranking of what it finds.

In: pages as (id, address, title, text). Out: the file, the same bytes for the same pages; and for a query the few
passages that hold most of its words. A passage is a sentence, with the reply where it is a question: short enough for
a small context, and found more often than several sentences together. `with_search` makes it a tool (tools.py).

FTS5 keeps the words' stems and finds them. Its bm25 also weighs how long a passage is, which misleads where passages
are single sentences: here they are ranked by the inverse document frequency of the query's words that they hold. Names
(words with a capital) decide whether a passage is about the query at all. On the tiny web a passage that states the
fact is among the first two for .951 of 574 plain questions by bm25, for .962 by this rule, among three for .986.
"""

import math
import re
import sqlite3
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from crawl2chat.chat import tools
from crawl2chat.chat.tools import Source, Tool
from crawl2chat.errors import UserError

# The index's name, beside a model or in the folder of the models.
INDEX_FILE = "search.sqlite"
# Passages of a search: about 50 tokens of the tiny web's.
HITS = 3
# Share of the weight of a query's names that a passage has to hold. Of a full name with an unknown part it is less.
HELD = 0.6
# Words of a query at most: what a model writes may have no end.
MAX_WORDS = 32
# Passages that are looked at one by one.
CANDIDATES = 200

SCHEMA = """
CREATE TABLE pages (id INTEGER PRIMARY KEY, title TEXT, address TEXT);
CREATE VIRTUAL TABLE passages USING
    fts5(passage, page UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2', columnsize = 0);
"""
SENTENCE = re.compile(r"(?:(?<=[.!?])\s+|\n\s*)(?![a-z\s])")
# What no page may bring into a conversation: markers of citations, control characters, changes of direction.
FORBIDDEN = re.compile(r"\[\d+\]|[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
WORD = re.compile(r"[^\W_]+")
NAME = re.compile(r"\b([^\W_]+)(?= ([A-Z]\w+))?")  # a word, and the capitalized one behind it
STOP_WORDS = frozenset(
    "a an and are as at be by can could did do does find for from give had has have how i in is it its me my name not "
    "of on one or please s say she he should show tell that the their them there they this to was were what when where "
    "which who whom whose why will with would you your".split()
)


def write_index(pages: Iterable[tuple[str, str, str, str]], file: Path, passage_characters: int) -> dict[str, int]:
    """Writes the index of pages (id, address, title, text) to a new file; returns how many pages and passages it has.

    A page without an address is cited by its id. Raises UserError where this Python's SQLite has no FTS5.
    """
    with closing(sqlite3.connect(file)) as database, database:
        # Whoever calls puts the file in its place when it is whole.
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        try:
            database.executescript(SCHEMA)
        except sqlite3.OperationalError as error:
            raise UserError(f"{error}: search needs a Python whose SQLite has FTS5.") from None
        for number, (identity, address, title, text) in enumerate(pages, start=1):
            row = (number, harmless(title or ""), harmless(address or identity))
            database.execute("INSERT INTO pages VALUES (?, ?, ?)", row)
            rows = ((passage, number) for passage in passages(text, passage_characters))
            database.executemany("INSERT INTO passages VALUES (?, ?)", rows)
        database.execute("INSERT INTO passages (passages) VALUES ('optimize')")
        database.commit()
        database.execute("VACUUM")
        return {"pages": count(database, "pages"), "passages": count(database, "passages")}


def count(database: sqlite3.Connection, table: str) -> int:
    return database.execute(f"SELECT coalesce(max(rowid), 0) FROM {table}").fetchone()[0]


def passages(text: str, most: int) -> Iterator[str]:
    """The text's sentences, a question together with its reply; what is longer than `most` characters is cut."""
    passage = ""
    for sentence in filter(None, map(harmless, SENTENCE.split(text))):
        replies = passage.endswith("?") or len(sentence.split()) <= 3 or sentence.startswith("The answer")
        if passage and replies and len(passage) + len(sentence) < most:
            passage += f" {sentence}"
        else:
            yield from textwrap.wrap(passage, most)
            passage = sentence
    yield from textwrap.wrap(passage, most)


def harmless(text: str) -> str:
    """The text on one line, without what is forbidden and with nothing that spells a special token."""
    return " ".join(FORBIDDEN.sub(" ", text).replace("<|", "< |").split())


def index_of(model: Path) -> Path | None:
    """The index exported with a model, else the one in the folder of its models, else None."""
    return next((file for file in (model / INDEX_FILE, model.parent / INDEX_FILE) if file.is_file()), None)


def with_search(index: Path | None) -> dict[str, Tool]:
    """The registry of tools, and `search` where an index is given. Raises UserError where that is none."""
    return tools.TOOLS | ({} if index is None else {"search": Index(index).search})


class Index:
    """A file of `write_index`, only read; may be searched by several threads at once.

    Raises UserError where there is no such file, or another one.
    """

    def __init__(self, file: Path) -> None:
        if not file.is_file():
            raise UserError(f"{file}: no such search index; make it from the corpus, or name another one.")
        # Immutable: no locks and no files beside it.
        self.address = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
        try:
            with self._open() as database:
                sources(database, [1])
        except sqlite3.Error as error:
            raise UserError(f"{file} is no search index ({error}); make it again from the corpus.") from None

    def _open(self) -> closing[sqlite3.Connection]:
        return closing(sqlite3.connect(self.address, uri=True))

    def search(self, query: str, most: int = HITS) -> list[Source]:
        """The passages that hold most of the query's words by weight, the best first and none twice.

        Nothing where no passage holds its names, or where it has no word.
        """
        words = query_words(query)
        if not words:
            return []
        with self._open() as database:
            weights = ranked(database, words)
            rows = sources(database, weights)
        # Of equal weight the shorter passage is more about the words.
        rows.sort(key=lambda row: (-weights[row[0]], len(row[1]), row[0]))
        found: dict[str, Source] = {}
        for _, passage, title, address in rows:
            if not of_another_name(passage, words):
                found.setdefault(passage, Source(passage, title, address))
        return list(found.values())[:most]


def of_another_name(passage: str, words: list[str]) -> bool:
    """Whether every name of the query that a passage holds is the beginning of a longer one: who asks for Paris does
    not mean Paris Hilton."""
    names = {word for word in words if word[0].isupper()}
    held = [found for found in NAME.findall(passage) if found[0] in names]
    return bool(held) and all(after and after not in names for _, after in held)


def query_words(query: str) -> list[str]:
    """The words to look for: without those that every question has, unless there are no others. Each once."""
    words = {word.lower(): word for word in reversed(WORD.findall(query))}
    chosen = {key: word for key, word in words.items() if key not in STOP_WORDS} or words
    return list(reversed(chosen.values()))[:MAX_WORDS]


def ranked(database: sqlite3.Connection, words: list[str]) -> dict[int, float]:
    """Row of a passage → the weight of the words that it holds; of those that hold the names, the best."""
    total = count(database, "passages")

    def rows(expression: str) -> set[int]:
        return {row for (row,) in database.execute("SELECT rowid FROM passages WHERE passages MATCH ?", (expression,))}

    weight = {word: math.log((total + 1) / (len(rows(f'"{word}"')) + 0.5)) for word in words}
    names = sorted([word for word in words if word[0].isupper()] or words, key=weight.__getitem__, reverse=True)
    needed = HELD * sum(weight[name] for name in names)
    # A passage that holds enough holds one of these: the lighter names weigh too little together.
    heaviest = [name for at, name in enumerate(names) if sum(weight[lighter] for lighter in names[at:]) >= needed]
    one_of_them = " OR ".join(f'"{name}"' for name in heaviest)
    held: defaultdict[int, float] = defaultdict(float)
    names_held: defaultdict[int, float] = defaultdict(float)
    for word in words:
        for row in rows(f'"{word}" AND ({one_of_them})'):
            held[row] += weight[word]
            names_held[row] += weight[word] * (word in names)
    enough = sorted((row for row in held if names_held[row] >= needed), key=lambda row: (-held[row], row))
    return {row: held[row] for row in enough[:CANDIDATES]}


def sources(database: sqlite3.Connection, rows: Iterable[int]) -> list[tuple[int, str, str, str]]:
    """(row, passage, title, address) of passages."""
    return database.execute(
        "SELECT passages.rowid, passage, title, address FROM passages JOIN pages ON pages.id = page "
        f"WHERE passages.rowid IN ({', '.join(map(str, rows))})"
    ).fetchall()
