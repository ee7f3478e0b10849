"""Serves the tiny web: hands every page to a domain, a layout, an encoding and a server, and writes what a crawler saw.

In: a world (`world.py`), its good pages (`pages.py`) and the defects (`defects.py`). Out: a folder in the shape of a
collected crawl: `pages/*.warc.gz`, `tasks/*.jsonl`, `truth/manifest.parquet`, `truth/world.json`. The truth is read by
nobody but the scoring functions.
"""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

from crawl2chat.parameters import Params
from crawl2chat.tasks import Task, write_tasks
from crawl2chat.tinyweb import defects
from crawl2chat.tinyweb.archive import Answer, WarcFile
from crawl2chat.tinyweb.defects import DefectParams, Draft
from crawl2chat.tinyweb.html import LAYOUTS, render
from crawl2chat.tinyweb.pages import Page, PageParams, write_pages
from crawl2chat.tinyweb.tasks import tasks as tasks_of
from crawl2chat.tinyweb.world import World

# Blocked hosts, under the name that is reserved for documentation: nobody real is meant.
BLOCKED_DOMAINS = [
    f"{a}-{b}.example" for a in ("lucky", "mega", "royal", "turbo") for b in ("slots", "pills", "loans", "dates")
]
FIRST = (
    "amber,birch,cedar,delta,ember,fjord,garnet,harbour,indigo,juniper,kestrel,linden,meadow,north,opal,pine,"
    "quartz,river,silver,tidal"
).split(",")
SECOND = (
    "almanac,bulletin,corner,courier,diary,field,gazette,guide,herald,house,journal,kitchen,letter,notes,pages,"
    "post,review,town,valley,weekly"
).split(",")
CAPTIONS = (
    "Photograph: the café beside the old bridge, “before the storm”.",
    "Caption: temperatures rose to 21° — warm for the season, said Mr Müller.",
    "Note: the word “naïve” is spelled with two dots, as in Zoë’s letter.",
    "Picture: a façade in the style of the 1920s, price £40 at the door.",
)
# What servers claim and what they send: (charset of the bytes, charset in the header, charset in the page), weight.
# In the header None leaves the charset out, "-" the whole Content-Type.
ENCODINGS = (
    (("utf-8", "utf-8", "utf-8"), 56),
    (("utf-8", "utf-8", None), 12),
    (("utf-8", None, "utf-8"), 10),
    (("latin-1", "iso-8859-1", None), 4),
    (("cp1252", "windows-1252", "windows-1252"), 3),
    (("cp1252", None, None), 3),
    (("cp1252", "iso-8859-1", None), 2),
    (("utf-8", "iso-8859-1", "utf-8"), 3),
    (("cp1252", "utf-8", None), 2),
    (("utf-8", None, None), 2),
    (("utf-8-sig", "utf-8", None), 1),
    (("utf-16", "utf-16", None), 1),
    (("utf-16", None, None), 1),
    (("utf-8", "-", "utf-8"), 1),
)
LEGACY = {"ru": ("windows-1251", "koi8-r"), "el": ("iso-8859-7",), "pl": ("iso-8859-2", "windows-1250")}
"""What other languages were written in before Unicode; the rest in windows-1252."""
TRANSFERS = (
    ((), 45),
    (("gzip",), 20),
    (("chunked",), 15),
    (("gzip", "chunked"), 12),
    (("br",), 5),
    (("deflate",), 2),
    (("bare-deflate",), 1),
    (("claimed-gzip",), 1),
)

SERVED = {
    "layout": "String",
    "broken_markup": "Int64",
    "hidden_names": "Boolean",
    "charset": "String",
    "charset_header": "String",
    "charset_page": "String",
    "transfer": "String",
}
"""Columns of the manifest about the answer, with their Polars types; null where there is no page."""


class WebParams(Params):
    """Size of the web and its defects."""

    domains: int
    files: int  # WARC files
    broken_markup: float  # share of pages with careless HTML
    hidden_names: float  # share of pages whose class names tell nothing
    defects: DefectParams


def _weighted(rng: Random, table: tuple) -> tuple:
    values, weights = zip(*table, strict=True)
    return rng.choices(values, weights)[0]


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split()[:6])


def _domains(rng: Random, count: int) -> list[str]:
    names = [f"{a}{b}.example" for a in FIRST for b in SECOND]
    chosen = rng.sample(names, min(count, len(names)))
    return chosen + [f"www{i}.{names[i % len(names)]}" for i in range(count - len(chosen))]


def _date(rng: Random) -> str:
    return f"{rng.randint(2012, 2025)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"


def _encoding(rng: Random, language: str) -> tuple[str, str | None, str | None]:
    """Charset of the bytes, in the header, and in the page."""
    if language == "en":
        return _weighted(rng, ENCODINGS)
    if rng.random() < 0.6:
        return "utf-8", "utf-8", None
    charset = rng.choice(LEGACY.get(language, ("windows-1252",)))
    return rng.choice(((charset, charset, None), (charset, None, charset)))


def _page(rng: Random, draft: Draft, url: str, host: str, params: WebParams, date: str) -> tuple[Answer, Draft]:
    """The HTTP answer for a page, and the draft as served: a caption shows whether an odd encoding survives."""
    actual, header, meta = _encoding(rng, draft.language)
    if not actual.startswith("utf") and draft.expected == "keep" and draft.cluster is None:
        caption = rng.choice(CAPTIONS)
        if actual == "latin-1":
            caption = caption.replace("“", '"').replace("”", '"').replace("’", "'").replace("—", "-")
        draft = replace(draft, paragraphs=[*draft.paragraphs, caption])
    if actual == "latin-1" and any(ord(c) > 255 for c in draft.text):
        actual, header = "utf-8", "utf-8"
    faults = rng.choice((1, 1, 2, 3, 5)) if rng.random() < params.broken_markup else 0
    hidden = rng.random() < params.hidden_names
    layout, transfer = rng.choice(sorted(LAYOUTS)), _weighted(rng, TRANSFERS)
    html = render(
        rng,
        site=host.split(".")[0].title(),
        title=draft.title,
        paragraphs=draft.paragraphs,
        date=date,
        layout=layout,
        charset=meta,
        language=draft.language,
        faults=faults,
        hidden_names=hidden,
    )
    content = None if header == "-" else "text/html" + (f"; charset={header}" if header else "")
    served = {
        "layout": layout,
        "broken_markup": faults,
        "hidden_names": hidden,
        "charset": actual,
        "charset_header": header,
        "charset_page": meta,
        "transfer": "+".join(transfer) or "plain",
    }
    answer = Answer(url, html.encode(actual, "xmlcharrefreplace"), content, transfer=transfer)
    return answer, replace(draft, served=served)


def _server(rng: Random, draft: Draft, url: str) -> Answer:
    """Answers without a page in them."""
    if draft.answer == "redirect":
        return Answer(url, b"", status=rng.choice((301, 302, 303, 307, 308)), headers=[("Location", url + "/moved")])
    if draft.answer in ("missing", "error"):
        status = rng.choice((404, 404, 403, 410) if draft.answer == "missing" else (500, 502, 503))
        return Answer(url, b"<html><body><h1>Sorry</h1><p>There is nothing here.</p></body></html>", status=status)
    if draft.answer == "media":
        kind, body = rng.choice(
            (
                ("application/pdf", b"%PDF-1.4\n%binary\n"),
                ("image/png", b"\x89PNG\r\n\x1a\n\0\0"),
                ("application/json", b'{"a": 1}'),
            )
        )
        return Answer(url, body, kind)
    return Answer(url, b"")


def generate(world: World, pages: PageParams, out: Path, params: WebParams, seed: int) -> dict[str, int]:
    """Write the tiny web of `world` below `out`. Returns counts: pages (records with HTML), domains, records, bytes.

    The same world, parameters and seed give the same bytes.
    """
    tasks = tasks_of(world)
    evaluated = [task.prompt for task in tasks if task.split != "train"]
    good = list(write_pages(world, pages, seed, evaluated))
    return write_web(good, tasks, world.to_json(), out, params, seed)


def write_web(
    pages: list[Page], tasks: list[Task], world: dict, out: Path, params: WebParams, seed: int
) -> dict[str, int]:
    """`generate` for pages and tasks that are already there."""
    rng = Random(f"web {seed}")
    hosts = _domains(rng, params.domains)
    popularity = [1 / (rank + 8) for rank in range(len(hosts))]
    good = [Draft(p.title, list(p.paragraphs), p.kind, facts=list(p.facts)) for p in pages]
    evaluation = [t for t in tasks if t.split != "train" and len(t.prompt.split()) >= 13]
    _spoil(rng, good, evaluation, params.defects)
    drafts = good + list(defects.bad_pages(rng, good, params.defects, BLOCKED_DOMAINS))
    rng.shuffle(drafts)

    for folder in ("pages", "tasks", "truth"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    rows: list[dict] = []
    per_file = -(-len(drafts) // params.files)
    responses: list[tuple[str, str]] = []
    for number in range(params.files):
        name = f"tinyweb-{number:05d}.warc.gz"
        with WarcFile(out / "pages" / name) as archive:
            for index in range(number * per_file, min((number + 1) * per_file, len(drafts))):
                draft = drafts[index]
                host = draft.host or rng.choices(hosts, popularity)[0]
                date = _date(rng)
                path = draft.path or f"/{date[:4]}/{date[5:7]}/{_slug(draft.title) or 'page'}-{index}.html"
                url = f"https://{host}{path}"
                if draft.answer == "html":
                    answer, draft = _page(rng, draft, url, host, params, date)
                    identity, offset = archive.response(index, answer)
                    responses.append((url, identity))
                elif draft.answer == "revisit" and responses:
                    url, of = rng.choice(responses)
                    identity, offset = archive.revisit(index, url, of)
                else:
                    identity, offset = archive.response(index, _server(rng, draft, url))
                rows.append(_row(draft, url, identity, name, offset, date))
    _write_truth(out / "truth", rows, world)
    write_tasks(out / "tasks", tasks)
    size = sum(path.stat().st_size for path in (out / "pages").iterdir())
    served = [row["url"].split("/")[2].removeprefix("www.").removeprefix("m.") for row in rows if row["layout"]]
    return {"pages": len(served), "domains": len(set(served)), "records": len(drafts), "bytes": size}


def _spoil(rng: Random, good: list[Draft], evaluation: list[Task], params: DefectParams) -> None:
    """Change some good pages, each at most once: personal data, what resembles it, evaluation items, mild defects."""
    order = iter(rng.sample(range(len(good)), len(good)))

    def some(share: float) -> list[int]:
        return [index for index, _ in zip(order, range(round(share * len(good))), strict=False)]

    for index in some(params.personal):
        good[index] = defects.personal(rng, good[index])
    if evaluation:
        for index in some(params.contaminated):
            good[index] = defects.contaminated(rng, good[index], evaluation)
    for index in some(params.lookalike):
        good[index] = defects.lookalike(rng, good[index])
    prose = [i for i in order if good[i].kind in ("almanac", "stories") and len(good[i].paragraphs) >= 5]
    for number, index in enumerate(prose[: round(params.mild * len(good))]):
        good[index] = defects.mild(rng, good[index], number)


def _row(draft: Draft, url: str, identity: str, file: str, offset: int, date: str) -> dict:
    return {
        "record_id": identity,
        "url": url,
        "file": file,
        "offset": offset,
        "date": date,
        "kind": draft.kind,
        "defects": draft.defects,
        "intensity": None if draft.intensity is None else float(draft.intensity),
        "cluster": draft.cluster,
        "similarity": draft.similarity,
        "facts": draft.facts,
        "language": draft.language,
        "expected": draft.expected,
        "stage": draft.stage,
        "personal": json.dumps(draft.personal),
        "contaminants": draft.contaminants,
        "text": draft.text if draft.answer == "html" else "",
        "lookalikes": json.dumps(draft.lookalikes),
        **{name: draft.served.get(name) for name in SERVED},
    }


def _write_truth(folder: Path, rows: list[dict], world: dict) -> None:
    import polars as pl

    schema = {
        "record_id": pl.String,
        "url": pl.String,
        "file": pl.String,
        "offset": pl.Int64,
        "date": pl.String,
        "kind": pl.String,
        "defects": pl.List(pl.String),
        "intensity": pl.Float64,
        "cluster": pl.Int64,
        "similarity": pl.Float64,
        "facts": pl.List(pl.String),
        "language": pl.String,
        "expected": pl.String,
        "stage": pl.String,
        "personal": pl.String,
        "contaminants": pl.List(pl.String),
        "text": pl.String,
        "lookalikes": pl.String,
        **{name: getattr(pl, kind) for name, kind in SERVED.items()},
    }
    pl.DataFrame(rows, schema=schema).write_parquet(folder / "manifest.parquet", compression="zstd")
    (folder / "world.json").write_text(json.dumps(world, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    (folder / "about.json").write_text(json.dumps({"kind": "tinyweb"}) + "\n")
