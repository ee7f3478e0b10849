"""Personal data on texts whose spans people labelled: `python -m benchmarks.personal --data <folder>`.

In: `filters/presidio-research*.json.gz` below the folder (template text; Microsoft Presidio). Out: a row a kind and one
line of JSON. Recall: labelled spans that were replaced as a whole; precision: replaced spans that overlap a labelled
one.
"""

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator

from benchmarks import command, data_folder
from crawl2chat.curation.personal import KINDS as NAMES
from crawl2chat.curation.personal import replace
from crawl2chat.errors import UserError

KINDS = {
    "EMAIL_ADDRESS": "email",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
    "IP_ADDRESS": "ip",
}
_PLACEHOLDER = re.compile(rf"\[({'|'.join(NAMES)})\]")


def replaced_spans(text: str) -> Iterator[tuple[int, int, str]]:
    """Where a text's personal data stood: start, end and kind of each replaced span."""
    kept, *rest = _PLACEHOLDER.split(replace(text)[0])
    end = len(kept)
    for kind, following in zip(rest[::2], rest[1::2], strict=True):
        start = end
        end = text.index(following, start + 1) if following else len(text)
        yield start, end, kind
        end += len(following)


def main() -> None:
    data = data_folder(__doc__)
    files = sorted((data / "filters").glob("presidio*.json.gz")) if data else []
    if not files:
        raise UserError("benchmarks.personal needs --data, a folder with filters/presidio*.json.gz.")
    labelled, found, replaced, right = Counter(), Counter(), Counter(), Counter()
    for file in files:
        for row in json.loads(gzip.decompress(file.read_bytes())):
            spans = list(replaced_spans(row["full_text"]))
            labels = [
                (s["start_position"], s["end_position"], KINDS[s["entity_type"]])
                for s in row["spans"]
                if s["entity_type"] in KINDS
            ]
            for start, end, kind in labels:
                labelled[kind] += 1
                found[kind] += any(s <= start and e >= end for s, e, _ in spans)
            for start, end, kind in spans:
                replaced[kind] += 1
                right[kind] += any(s < end and e > start for s, e, _ in labels)
    print(f"{'kind':<8}{'labelled':>9}{'recall':>8}{'replaced':>10}{'precision':>11}")
    for kind in KINDS.values():
        recall = found[kind] / max(1, labelled[kind])
        precision = right[kind] / max(1, replaced[kind])
        print(f"{kind:<8}{labelled[kind]:>9}{recall:>8.3f}{replaced[kind]:>10}{precision:>11.3f}")
    totals = {"recall": found.total() / labelled.total(), "precision": right.total() / max(1, replaced.total())}
    print(json.dumps({"labelled": labelled.total(), **{k: round(v, 4) for k, v in totals.items()}}))


if __name__ == "__main__":
    command(main)
