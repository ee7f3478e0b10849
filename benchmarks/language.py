"""Language identification against py3langid: accuracy on the same sentences, in the same run.

In: `filters/language_sentences/<language>.txt.gz` below `--data`, one sentence a line. Out: a table, then one line of
JSON. Neither knows all 59 languages, so that the accuracy on those which both know stands beside the one on all; Bokmål
and Nynorsk count as Norwegian where a model has but one name for them. What matters to the filter is apart: which
English sentences it keeps, and which others it takes for English, at FineWeb's score.
"""

import gzip
import time
from pathlib import Path
from typing import Any

from benchmarks import command, data_folder
from benchmarks.measure import show
from crawl2chat.curation import language
from crawl2chat.errors import UserError
from crawl2chat.evaluation.statistics import accuracy, paired_difference
from stages.settings import tuned

SENTENCES = 200  # of each language, spread over the file
NORWEGIAN = {"nb", "nn", "no"}


def same(answer: str, truth: str) -> bool:
    return answer == truth or (answer == "no" and truth in NORWEGIAN)


def sentences(folder: Path) -> dict[str, list[str]]:
    """{language: sentences}."""
    found = {}
    for path in sorted(folder.glob("*.txt.gz")):
        text = gzip.decompress(path.read_bytes()).decode()
        lines = [line for line in text.splitlines() if line.strip()]
        found[path.name.split(".")[0]] = lines[:: max(1, len(lines) // SENTENCES)][:SENTENCES]
    if not found:
        raise UserError(f"No <language>.txt.gz in {folder}; the benchmark needs sentences by language.")
    return found


def compare(folder: Path) -> dict[str, Any]:
    """Accuracy of the filter's model and py3langid, overall and by language, with 95 % intervals."""
    import py3langid

    py3langid.classify("Load the model.")
    language.identify("Load the model.")
    peers = {"ours": lambda text: language.identify(text)[0], "py3langid": lambda text: py3langid.classify(text)[0]}
    known = {"ours": set(language.known()), "py3langid": {name for name, _ in py3langid.rank("")}}
    by_language, hits, spent = {}, {name: {} for name in peers}, dict.fromkeys(peers, 0.0)
    kept: dict[bool, list[bool]] = {True: [], False: []}  # by the filter; {is English: […]}
    english: dict[bool, list[bool]] = {True: [], False: []}  # says py3langid
    for truth, lines in sentences(folder).items():
        for name, identify in peers.items():
            start = time.process_time()
            answers = [identify(line) for line in lines]
            spent[name] += time.process_time() - start
            hits[name][truth] = [same(answer, truth) for answer in answers]
        kept[truth == "en"] += [_kept(line) for line in lines]
        english[truth == "en"] += [answer == "en" for answer in answers]
        by_language[truth] = {name: accuracy("accuracy", hits[name][truth]) for name in peers}
    common = [code for code in by_language if all(_knows(known[name], code) for name in peers)]
    flat = {name: [hit for code in hits[name] for hit in hits[name][code]] for name in peers}
    both = {name: [hit for code in common for hit in hits[name][code]] for name in peers}
    difference = paired_difference(both["py3langid"], both["ours"])
    figures: dict[str, Any] = {
        "languages": len(by_language),
        "languages_known_to_both": len(common),
        "difference": round(difference.value, 4),
        "difference_low": round(difference.low, 4),
        "difference_high": round(difference.high, 4),
        "by_language": by_language,
        **accuracy("english_kept", kept[True]),
        **accuracy("others_kept", kept[False]),
        **accuracy("english_py3langid", english[True]),
        **accuracy("others_as_english_py3langid", english[False]),
    }
    for name in peers:
        figures |= accuracy(f"accuracy_{name}", both[name]) | accuracy(f"accuracy_all_{name}", flat[name])
        figures[f"languages_{name}"] = len(known[name])
        figures[f"milliseconds_{name}"] = round(1_000 * spent[name] / len(flat[name]), 3)
    return figures


def _kept(text: str) -> bool:
    code, score = language.identify(text)
    return code == "en" and score >= tuned(language.LanguageParams, "real").min_score


def _knows(known: set[str], code: str) -> bool:
    return code in known or (code in NORWEGIAN and "no" in known)


def table(figures: dict[str, Any]) -> str:
    """The accuracies of each language, a line each."""
    rows = [f"{'language':>8} {'n':>5}   ours                    py3langid"]
    for code, peers in figures["by_language"].items():
        cells = [
            f"{p['accuracy']:.3f} [{p['accuracy_low']:.3f}, {p['accuracy_high']:.3f}]"
            for p in (peers["ours"], peers["py3langid"])
        ]
        rows.append(f"{code:>8} {peers['ours']['accuracy_n']:>5}   {cells[0]}    {cells[1]}")
    return "\n".join(rows)


def main() -> None:
    data = data_folder(__doc__)
    if not data:
        raise UserError("benchmarks.language needs --data, a folder with filters/language_sentences.")
    figures = compare(data / "filters" / "language_sentences")
    print(table(figures))
    figures.pop("by_language")
    show(figures)


if __name__ == "__main__":
    command(main)
