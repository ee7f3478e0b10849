"""The report: one page, the same bytes for the same run, and whole when the input has no truth to score against."""

from pathlib import Path

import pytest
from report_inputs import LOCK, METRICS, write_metrics, write_plots

from crawl2chat.tracking import Tracker
from stages.files import read_yaml
from stages.report import STAGES, ReportParams, report
from stages.settings import tuned


def make(folder: Path, metrics: dict, plots: bool = True, lock: str = LOCK) -> str:
    (folder / "plots").mkdir(parents=True)
    if plots:
        write_plots(folder / "plots")
    (folder / "dvc.lock").write_text(lock)
    found = write_metrics(folder / "metrics", metrics)
    result = report(found, folder / "plots", folder / "dvc.lock", folder / "report", tuned(ReportParams), Tracker())
    assert result == {"path": "report/index.html"}
    return (folder / "report" / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make(tmp_path_factory.mktemp("report"), METRICS)


def test_every_chapter_shows_its_numbers(page: str) -> None:
    for text in ("4,321", "2.3 M", "1.020", "blocked domain", "truncated record", "0123456789ab", "Ada Quill"):
        assert text in page, text
    # Eleven of the chapters, two of curation, the hand-overs between the stages.
    assert page.count("<svg") == 11 + 2 + 1 and ">crawl</text>" in page


def test_conversations_of_the_exam_stand_whole_with_their_scores(page: str) -> None:
    assert "rude-guest" in page and "system: Be kind." in page
    assert "oi &lt;b&gt;you&lt;/b&gt;" in page
    assert '<td class="wrong">Oslo. <small>search</small></td>' in page
    exam, talk = page.split('id="talk"')
    assert "talk greeting" in talk and "talk greeting" not in exam


def test_curation_is_shown_in_tokens_of_the_tokenizer(page: str) -> None:
    assert "tokens, at 3.40 bytes each" in page and "2.7 M" in page  # 9.18 MB of text
    assert "address: blocked domain" in page and "measured 7, limit 50" in page
    assert "&lt;i&gt;twin&lt;/i&gt;" in page and "<i>thin</i>" not in page


def test_what_pretraining_costs_here_and_at_the_talks_sizes(page: str) -> None:
    assert "On one H100, 40 % of 989 TFLOP/s, $2.00 an hour" in page
    assert "<td>gpt2-1558m, its own tokens</td>" in page and "$442" in page
    assert "6.0e+13" in page


def test_every_stage_has_a_chapter_in_the_order_of_the_pipeline() -> None:
    pipeline = list(read_yaml(Path(__file__).parents[2] / "dvc.yaml")["stages"])
    assert [stage for stage in STAGES if stage in pipeline] == pipeline


def test_nothing_is_fetched_from_elsewhere(page: str) -> None:
    for tag in ("<script", "<link", "<img", "@import", 'src="'):
        assert tag not in page


def test_what_models_say_is_text_not_markup(page: str) -> None:
    assert "<b>Velmora</b>" not in page
    assert "&lt;b&gt;Velmora&lt;/b&gt;" in page


def test_times_do_not_enter_the_page(tmp_path: Path, page: str) -> None:
    slower = METRICS | {"pretrain": METRICS["pretrain"] | {"tokens_per_second": 9.0, "device_hours": 1.0, "cost": 1.0}}
    assert make(tmp_path, slower) == page


def test_a_run_without_truth_and_plots_still_has_a_page(tmp_path: Path) -> None:
    real = {
        "crawl": {"pages": 7},
        "extract": {"records": 7, "documents": 5, "f1": None, "dropped": {}, "unreadable": {}},
        "rlhf": {"kl": 1.0, "gold_before": None, "gold_after": None},
        "evaluate": {"base": {"fact": None, "fact_n": 0}, "chat": {"fact": None}},
    }
    page = make(tmp_path, real, plots=False, lock="schema: '2.0'\n")
    assert "<svg" not in page
    assert "None" not in page
