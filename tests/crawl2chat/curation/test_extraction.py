"""Main text: what themes put around it goes, what stands in it stays."""

import pytest

from crawl2chat.curation.extraction import CANARY, extract

BODY = "".join(f"<p>Paragraph number {n} tells one more thing about the mill by the river.</p>" for n in range(12))


def page(body: str) -> str:
    return f"<html><head><title>T</title></head><body>{body}</body></html>"


def test_a_container_that_is_named_like_the_frame_keeps_its_text() -> None:
    text = extract(page(f'<div class="page no-promo-bar"><article><h1>Mill</h1>{BODY}</article></div>'), "resiliparse")
    assert "number 0" in text and "number 11" in text


def test_parts_of_the_frame_go_when_the_text_is_long_enough() -> None:
    frame = '<div class="newsletter-box"><p>Subscribe to our weekly letter and never miss a thing again.</p></div>'
    text = extract(page(f"<article><h1>Mill</h1>{BODY}{frame}</article>"), "resiliparse")
    assert "number 11" in text and "Subscribe" not in text


@pytest.mark.parametrize(
    "byline", ["By José Ortega", "By the editors", "Written by A. Keller and Søren Lund", "By Ludwig van Beek"]
)
def test_bylines_without_a_class_go(byline: str) -> None:
    html = page(f'<article><h1>Mill</h1><div class="x1"><span>{byline}</span></div>{BODY}</article>')
    text = extract(html, "resiliparse")
    assert byline not in text and text.startswith("Mill\nParagraph number 0")


@pytest.mark.parametrize(
    "line", ["By then the mill was closed.", "By the river", "By 1870 it was gone", "Nearby towns"]
)
def test_lines_that_only_look_like_bylines_stay(line: str) -> None:
    assert line in extract(page(f"<article><h1>Mill</h1><p>{line}</p>{BODY}</article>"), "resiliparse")


def test_bylines_far_below_the_title_stay() -> None:
    html = page(f"<article><h1>Songs</h1>{BODY}<p>By José Ortega</p>{BODY}</article>")
    assert "By José Ortega" in extract(html, "resiliparse")


@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura", "auto"])
def test_every_extractor_hears_the_canary(extractor: str) -> None:
    assert "canary sings" in extract(CANARY, extractor)
