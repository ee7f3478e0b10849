"""Every kind of segment, and how often people talk about it."""

from collections.abc import Callable, Iterable
from random import Random

from crawl2chat.tinyweb.talk.facts import (
    come_back,
    correction,
    fact,
    follow_up,
    how_to,
    look_up,
    recall_first,
    unknown,
    yes_no,
)
from crawl2chat.tinyweb.talk.letters import spelling
from crawl2chat.tinyweb.talk.numbers import calculator, decimals, large_sum, small_sum, word_problem
from crawl2chat.tinyweb.talk.open_book import open_book
from crawl2chat.tinyweb.talk.social import abilities, greeting, identity, outside, private, small_talk, thanks
from crawl2chat.tinyweb.talk.topics import Segment, Topics

MAKERS: dict[str, tuple[Callable[[Topics, Random], Segment], float]] = {
    "fact": (fact, 3.0),
    "follow_up": (follow_up, 2.0),
    "correction": (correction, 0.7),
    "return": (come_back, 1.0),
    "recall_first": (recall_first, 0.3),
    "yes_no": (yes_no, 1.3),
    "unknown": (unknown, 1.4),
    "look_up": (look_up, 2.0),
    "outside": (outside, 1.2),
    "private": (private, 0.7),
    "greeting": (greeting, 0.5),
    "thanks": (thanks, 0.5),
    "small_talk": (small_talk, 0.3),
    "identity": (identity, 1.2),
    "abilities": (abilities, 0.5),
    "small_sum": (small_sum, 2.0),
    "large_sum": (large_sum, 1.0),
    "calculator": (calculator, 1.5),
    "word_problem": (word_problem, 1.6),
    "decimals": (decimals, 0.7),
    "spelling": (spelling, 1.5),
    "how_to": (how_to, 0.9),
    "open_book": (open_book, 3.0),
}
"""What people talk about, and how often."""
ABOUT_FACTS = {"yes_no", "fact", "follow_up", "correction", "return", "recall_first", "look_up"}


def available(topics: Topics, kinds: Iterable[str] = MAKERS) -> list[str]:
    """Those of the kinds for which there is something to talk about: facts that are known, or a search for them."""
    known = {name for subject in topics.subjects for name in subject.facts}
    lacking = set() if known else ABOUT_FACTS
    return [kind for kind in kinds if kind not in lacking and (topics.search or kind != "look_up")]
