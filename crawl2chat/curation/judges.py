"""The filters of language and quality: why a document is dropped, or None. Each notes what it measures."""

from pathlib import Path

from datatrove.data import Document

from crawl2chat.curation import classifier, quality, repetition
from crawl2chat.curation.drop import Drop
from crawl2chat.curation.language import LanguageParams, identify
from crawl2chat.curation.rules import judge
from crawl2chat.curation.words import words_by_line, words_of


def measured_on(document: Document) -> dict[str, float]:
    """Where the filters note what they measure on a document, kept or dropped."""
    return document.metadata.setdefault("measured", {})


def judge_language(document: Document, params: LanguageParams) -> Drop | None:
    """Keeps wanted languages with a sure score, and notes language and score on every document."""
    language, score = identify(document.text)
    document.metadata |= {"language": language, "language_score": round(score, 4)}
    if params.languages and language not in params.languages:
        return Drop(f"language_{language}", score)
    return Drop("language_score", score) if score < params.min_score else None


def judge_repetition(document: Document, params: repetition.RepetitionParams) -> Drop | None:
    return repetition.repetition(document.text, words_of(document.text), params, measured_on(document))


def judge_gopher(document: Document, params: quality.GopherParams) -> Drop | None:
    return quality.gopher(document.text, words_of(document.text), params, measured_on(document))


def judge_c4(document: Document, params: quality.C4Params) -> Drop | None:
    """C4's rules also rewrite: lines that break a rule leave the text."""
    result = quality.c4(document.text, words_by_line(document.text), params, measured_on(document))
    if isinstance(result, Drop):
        return result
    document.text, document.metadata["words"] = result
    return None


def judge_fineweb(document: Document, params: quality.FineWebParams) -> Drop | None:
    """FineWeb's rules; comes after C4's, which counted the words."""
    return quality.fineweb(document.text, document.metadata["words"], params, measured_on(document))


def judge_by_classifier(document: Document, model: Path, min_score: float) -> Drop | None:
    """Notes how much a document is like the good samples, and keeps those that are like enough."""
    value = classifier.score(document.text, model)
    return judge([("quality", value, "quality" if value < min_score else None)], measured_on(document))
