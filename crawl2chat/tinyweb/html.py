"""Turns the text of a page into the HTML a real site would serve: layout, navigation, ads, banners, broken markup.

In: a title and paragraphs. Out: an HTML string whose *main text* is exactly title and paragraphs, wrapped in what
main-text extraction must remove. Layouts follow common kinds of site: semantic article, `div` soup, table layout of
2003, blog, wiki and the bare page. Everything is drawn from the random generator that is passed in.
"""

import re
import zlib
from html import escape
from random import Random

SECTIONS = "Home,News,Travel,Food,Garden,Science,Culture,Sport,Letters,Archive,Maps,Weather,Contact,About".split(",")
TOPICS = (
    "the old harbour at night",
    "ten ways to dry herbs",
    "a weekend by the river",
    "what the census missed",
    "repairing a wooden gate",
    "the library opens again",
    "small towns, large markets",
    "notes from the ferry",
    "how bakers keep time",
    "a winter without snow",
    "the new tram line",
    "maps of the northern coast",
)
ADS = (
    "Advertisement",
    "Save 30% on garden tools today",
    "Sponsored: the lamp everyone talks about",
    "Subscribe now for only 2.99 a month",
    "Limited offer on hiking boots",
    "Ad: fresh coffee, delivered",
)
COOKIES = (
    "This site uses cookies. By continuing you accept our cookie policy.",
    "We value your privacy. Accept all cookies or manage your settings.",
    "We use cookies to improve your experience. Read our privacy policy.",
)
BYLINES = ("Zoë Marchand", "Søren Lund", "A. Keller", "José Ortega", "the editors", "M. Okafor")


def _links(rng: Random, labels: tuple[str, ...] | list[str], count: int) -> str:
    chosen = rng.sample(list(labels), count)
    return "".join(f'<li><a href="/{text.lower().replace(" ", "-")[:24]}">{escape(text)}</a></li>' for text in chosen)


def _navigation(rng: Random) -> str:
    return f'<ul class="menu">{_links(rng, SECTIONS, rng.randint(5, 9))}</ul>'


def _related(rng: Random) -> str:
    heading = rng.choice(("Related articles", "You may also like", "More from this site", "Most read"))
    return (
        f'<div class="related-posts sidebar"><h3>{heading}</h3><ul>{_links(rng, TOPICS, rng.randint(3, 6))}</ul></div>'
    )


def _advertisement(rng: Random) -> str:
    number, campaign = rng.randint(1, 9), rng.randint(100, 999)
    return f'<div class="ad ad-banner" id="ad-{number}"><a href="/go?c={campaign}">{rng.choice(ADS)}</a></div>'


def _banner(rng: Random) -> str:
    return (
        f'<div id="cookie-banner" class="cookie-consent" role="dialog"><p>{rng.choice(COOKIES)}</p>'
        "<button>Accept</button> <button>Decline</button></div>"
    )


def _footer(rng: Random, site: str) -> str:
    return (
        f'<footer class="site-footer"><p>&copy; {rng.randint(2009, 2025)} {escape(site)}. All rights reserved.</p>'
        '<ul><li><a href="/terms">Terms of use</a></li><li><a href="/privacy">Privacy policy</a></li></ul></footer>'
    )


def _byline(rng: Random, date: str) -> str:
    return f'<div class="byline meta"><span>By {rng.choice(BYLINES)}</span> <time datetime="{date}">{date}</time></div>'


def _paragraphs(rng: Random, paragraphs: list[str], advertise: bool) -> str:
    """Paragraphs as <p>, line breaks inside one as <br>; now and then an advertisement between two of them."""
    parts = []
    for index, paragraph in enumerate(paragraphs):
        parts.append("<p>" + "<br>\n".join(escape(line, quote=False) for line in paragraph.split("\n")) + "</p>")
        if advertise and index + 1 < len(paragraphs) and rng.random() < 0.15:
            parts.append(_advertisement(rng))
    return "\n".join(parts)


def _article(rng: Random, site: str, title: str, date: str, text: str) -> str:
    return (
        f'<header class="site-header"><a href="/">{escape(site)}</a><nav>{_navigation(rng)}</nav></header>'
        f"<main><article><h1>{escape(title)}</h1>{_byline(rng, date)}\n{text}\n</article></main>"
        f'<aside class="sidebar">{_related(rng)}{_advertisement(rng)}</aside>{_footer(rng, site)}'
    )


def _divs(rng: Random, site: str, title: str, date: str, text: str) -> str:
    return (
        f'<div id="wrapper"><div id="header"><div class="logo">{escape(site)}</div>'
        f'<div id="nav">{_navigation(rng)}</div></div>'
        f'<div id="content" class="content"><h1>{escape(title)}</h1>\n{text}\n</div>'
        f'<div id="sidebar" class="sidebar">{_related(rng)}{_advertisement(rng)}</div></div>{_footer(rng, site)}'
    )


def _table(rng: Random, site: str, title: str, date: str, text: str) -> str:
    return (
        f'<table width="100%" border="0"><tr><td width="160" class="menu" valign="top">{_navigation(rng)}</td>'
        f'<td valign="top"><div id="main"><h1>{escape(title)}</h1>\n{text}\n</div></td></tr></table>'
        f"{_footer(rng, site)}"
    )


def _blog(rng: Random, site: str, title: str, date: str, text: str) -> str:
    return (
        f'<div class="navbar">{_navigation(rng)}</div><div class="post"><h1 class="entry-title">{escape(title)}</h1>'
        f'{_byline(rng, date)}<div class="entry-content">\n{text}\n</div></div>'
        f'<div class="share-buttons social"><a href="#">Share</a> <a href="#">Tweet</a> <a href="#">Print</a></div>'
        f'{_related(rng)}<div id="newsletter" class="newsletter"><p>Sign up for our newsletter</p>'
        f'<form><input type="text" name="email"><button>Join</button></form></div>{_footer(rng, site)}'
    )


def _wiki(rng: Random, site: str, title: str, date: str, text: str) -> str:
    return (
        f'<div id="mw-navigation" class="navigation">{_navigation(rng)}</div><div id="content" role="main">'
        f'<h1 id="firstHeading">{escape(title)}</h1><div id="bodyContent">\n{text}\n</div></div>'
        f'<div id="footer" class="footer"><p>This page was last edited on {date}.</p>'
        f'<a href="/privacy">Privacy policy</a></div>'
    )


def _bare(rng: Random, site: str, title: str, date: str, text: str) -> str:
    return f'<h1>{escape(title)}</h1>\n{text}\n<hr><div class="footer"><a href="/">{escape(site)}</a></div>'


LAYOUTS = {"article": _article, "divs": _divs, "table": _table, "blog": _blog, "wiki": _wiki, "bare": _bare}


CARELESS: tuple[tuple[tuple[str, str], ...], ...] = (
    (("</p>", ""),),
    (('class="content"', "class=content"), ("</li>", "")),
    (("</h1>", "</h1></b></font>"),),
    (("</body>", ""), ("</html>", "")),
    (("<p>", "<p><font face=Arial>"), ("<ul", "<center><ul")),
)
"""What hand-written pages do: unclosed paragraphs, bare attributes, stray tags, a missing end, tags nobody closes."""


def _break(rng: Random, html: str, faults: int) -> str:
    """Commit so many kinds of carelessness."""
    for replacements in rng.sample(CARELESS, faults):
        for before, after in replacements:
            html = html.replace(before, after)
    return html


def _hide_names(rng: Random, html: str) -> str:
    """What style compilers do: every class and id becomes a code that tells nobody what it is for."""
    salt = rng.randrange(10**6)

    def code(match: re.Match) -> str:
        return f'{match.group(1)}="css-{zlib.crc32(f"{salt} {match.group(2)}".encode()):08x}"'

    return re.sub(r'\b(class|id)="([^"]*)"', code, html)


def render(
    rng: Random,
    *,
    site: str,
    title: str,
    paragraphs: list[str],
    date: str,
    layout: str,
    charset: str | None,
    language: str = "en",
    faults: int = 0,
    hidden_names: bool = False,
) -> str:
    """One HTML page. `charset` goes into a meta tag (None: no meta tag), `layout` is a key of `LAYOUTS`, `faults`
    counts the kinds of careless markup."""
    text = _paragraphs(rng, paragraphs, advertise=layout != "bare")
    body = LAYOUTS[layout](rng, site, title, date, text)
    meta = f'<meta charset="{charset}">' if charset else ""
    published = f'<meta property="article:published_time" content="{date}">' if rng.random() < 0.7 else ""
    script = "<script>window.dataLayer=window.dataLayer||[];function gtag(){dataLayer.push(arguments);}</script>"
    style = "<style>body{margin:0;font:16px serif}.menu li{display:inline}</style>"
    head = f"<head>{meta}<title>{escape(title)} | {escape(site)}</title>{published}{style}{script}</head>"
    banner = _banner(rng) if rng.random() < 0.4 else ""
    html = f'<!DOCTYPE html>\n<html lang="{language}">{head}<body>{banner}{body}</body></html>'
    html = _hide_names(rng, html) if hidden_names else html
    return _break(rng, html, faults)
