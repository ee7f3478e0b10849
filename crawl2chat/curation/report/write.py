"""Writes the report of curation: tables, drawings, and one page of them all.

Tables are CSV that `dvc plots` can draw, tables with texts are JSONL. The same tables give the same bytes.
"""

import csv
from pathlib import Path

from crawl2chat.curation.report.chapter import LISTS, NAMES, TEMPLATE, chapter_values
from crawl2chat.curation.report.charts import draw
from crawl2chat.curation.report.inputs import BYTES_PER_TOKEN, Row
from crawl2chat.jsonl import write_jsonl
from crawl2chat.page import environment


def write(tables: dict[str, list[Row]], out: Path) -> None:
    """Tables, drawings and the page that shows them, into a new folder."""
    out.mkdir(parents=True)
    for name, rows in tables.items():
        if name in LISTS:
            write_jsonl(out / f"{name}.jsonl", rows)
        elif rows:
            with (out / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    charts = draw(tables, NAMES)
    for name, svg in charts.items():
        (out / f"{name}.svg").write_text(svg, encoding="utf-8")
    template = environment(TEMPLATE.parent).get_template("page.html.jinja")
    page = template.render(chapter_values(tables, charts, BYTES_PER_TOKEN))
    (out / "index.html").write_text(page, encoding="utf-8")
