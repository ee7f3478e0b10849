"""The filters of language and quality as judges of single documents. Each notes what it measures on the document."""

from pathlib import Path

from datatrove.data import Document

from crawl2chat.curation import classifier, quality
from crawl2chat.curation.drop import Drop
from crawl2chat.curation.language import LanguageParams, identify
from crawl2chat.curation.repetition import RepetitionParams, repetition
from crawl2chat.curation.rules import judge
from crawl2chat.curation.words import words_by_line, words_of


class LanguageJudge:
    """Keeps wanted languages with a sure score, and notes language and score on every document."""

    def __init__(self, params: LanguageParams):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        language, score = identify(document.text)
        document.metadata |= {"language": language, "language_score": round(score, 4)}
        if self.params.languages and language not in self.params.languages:
            return Drop(f"language_{language}", score)
        return Drop("language_score", score) if score < self.params.min_score else None


def measured_on(document: Document) -> dict[str, float]:
    """Where the filters note what they measure on a document, kept or dropped."""
    return document.metadata.setdefault("measured", {})


class RepetitionJudge:
    def __init__(self, params: RepetitionParams):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        words = words_of(document.text)
        return repetition(document.text, words, self.params, measured_on(document))


class GopherJudge:
    def __init__(self, params: quality.GopherParams):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        words = words_of(document.text)
        return quality.gopher(document.text, words, self.params, measured_on(document))


class C4Judge:
    """C4's rules also rewrite: lines that break a rule leave the text."""

    def __init__(self, params: quality.C4Params):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        words = words_by_line(document.text)
        result = quality.c4(document.text, words, self.params, measured_on(document))
        if isinstance(result, Drop):
            return result
        document.text, document.metadata["words"] = result
        return None


class FineWebJudge:
    """FineWeb's rules; comes after C4's, which counted the words."""

    def __init__(self, params: quality.FineWebParams):
        self.params = params

    def __call__(self, document: Document) -> Drop | None:
        words = document.metadata["words"]
        return quality.fineweb(document.text, words, self.params, measured_on(document))


class ClassifierJudge:
    """Notes how much a document is like the good samples, and keeps those that are like enough."""

    def __init__(self, model: Path, min_score: float):
        self.model, self.min_score = model, min_score

    def __call__(self, document: Document) -> Drop | None:
        value = classifier.score(document.text, self.model)
        return judge([("quality", value, "quality" if value < self.min_score else None)], measured_on(document))
