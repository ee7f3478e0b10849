"""What happened to a page, from its record in the crawl to its tokens: a program for people, no stage of the pipeline.

`python -m stages.trace <url | document id | words of a page | train:<token>> [--root .]`
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from crawl2chat.curation.report.inputs import Folders
from crawl2chat.curation.trace import Candidate, Line, find, story
from crawl2chat.errors import UserError
from crawl2chat.tokens.places import SPLITS, TokenPlaces
from stages.files import read_yaml
from stages.program import program

MOST = 20  # candidates that are listed
# The stage to run where a step has not run, or ran on something else.
MAKERS = {"filter": "filter", "deduplicate": "deduplicate", "tokens": "tokenize"}


def folders_of(root: Path) -> Folders:
    """Where the pipeline puts what curation wrote."""
    data = root / "data"
    if not (data / "extracted").is_dir():
        raise UserError(f"{root} holds no data/extracted; run `dvc repro extract`, or name the project with --root.")
    removed = {stage: data / "removed" / stage for stage in ("extract", "filter", "deduplicate")}
    return Folders(data / "extracted", data / "filtered", data / "corpus", removed, data / "crawl" / "truth")


def places_of(root: Path) -> TokenPlaces:
    parameters = read_yaml(root / "params.yaml")
    share = parameters["tokenize"]["val_share"]
    data = root / "data"
    return TokenPlaces(data / "corpus", data / "tokens", root / "models" / "tokenizer", parameters["seed"], share)


def candidates(root: Path, query: str) -> list[Candidate]:
    """The documents that a query may mean; `train:<token>` and `val:<token>` mean the one that the token belongs to."""
    folders = folders_of(root)
    split, _, token = query.partition(":")
    if split not in SPLITS or not token.isdigit():
        return find(folders, query)
    if not (places := places_of(root)).exist():
        raise UserError("There are no data/tokens yet; run `dvc repro tokenize`.")
    return [Candidate(places.document_at(split, int(token)), "", "", True)]


def lines_of(root: Path, key: str) -> Iterator[Line]:
    """The story of a document, with the stage to run where it ends too early."""

    def in_tokens(key: str, text: str) -> Line:
        places = places_of(root)
        if not places.exist():
            return Line("tokens", None, "not encoded yet")
        if not (place := places.of(key, text)):
            return Line("tokens", None, f"{places.tokens} are those of another corpus")
        split, start, end, number, count = place
        where = f"{places.tokens / split}.bin, tokens {start:,} to {end - 1:,}"
        return Line("tokens", True, f"{where} (document {number:,} of {count:,})")

    for line in story(folders_of(root), root / "data" / "crawl" / "pages", key, in_tokens):
        advice = f"; `dvc repro {MAKERS[line.step]}`" if line.passed is None else ""
        yield Line(line.step, line.passed, line.text + advice)


def marked(lines: Iterable[Line], color: bool) -> Iterator[str]:
    marks = {True: ("✓", "32"), False: ("✗", "31"), None: ("·", "33")}
    for line in lines:
        mark, code = marks[line.passed]
        shown = f"\033[{code}m{mark}\033[0m" if color else mark
        yield f"  {shown} {line.step:<14} {line.text}"


@program
def main(arguments: list[str]) -> int:
    """Tell the story of the page that the query means; 1 where it means none or too many."""
    parser = argparse.ArgumentParser(prog="python -m stages.trace", description="What happened to a page.")
    parser.add_argument("query", help="URL, document id, a piece of its text, or train:<token>, val:<token>")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder")
    options = parser.parse_args(arguments)
    found = candidates(options.root, options.query)
    if not found:
        data = options.root / "data"
        raise UserError(f"Nothing in {data} has the URL or the id {options.query!r}, or shows this text.")
    if len(found) > 1:
        print(f"{len(found)} documents match; ask for one by its id:")
        for candidate in found[:MOST]:
            print(f"  {candidate.id}  {candidate.url}  {candidate.title[:60]}".rstrip())
        if len(found) > MOST:
            print(f"  … and {len(found) - MOST} more")
        return 1
    print(found[0].id)
    for line in marked(lines_of(options.root, found[0].id), sys.stdout.isatty()):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
