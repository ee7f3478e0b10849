"""The trace tells every page's story: dropped by which block and why, kept where, as which tokens."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from curation_toys import curate, tiny_crawl

from crawl2chat.curation.documents import documents_in
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tokens.training import train
from stages.settings import tuned
from stages.tokenize import TokenizeParams, tokenize
from stages.trace import main


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has come as far as tokens."""
    root = tmp_path_factory.mktemp("project")
    curate(tiny_crawl(root / "data" / "crawl"), root / "data")
    corpus, vocabulary = root / "data" / "corpus", root / "models" / "tokenizer"
    train(pl.read_parquet(corpus / "*.parquet")["text"], vocabulary, 300, 1)
    tokenize(corpus, vocabulary, root / "data" / "tokens", tuned(TokenizeParams, val_share=0.2), 1)
    (root / "params.yaml").write_text("seed: 1\ntokenize: {val_share: 0.2}\n")
    return root


def traced(root: Path, query: str, capsys: pytest.CaptureFixture) -> dict[str, str]:
    """{step: mark and what is said}; the title line under the step ''."""
    assert main([query, "--root", str(root)]) == 0
    title, *lines = capsys.readouterr().out.splitlines()
    return {"": title} | {line.split()[1]: line.split()[0] + line[19:] for line in lines}


def test_a_kept_page_is_followed_to_its_tokens(project: Path, capsys: pytest.CaptureFixture) -> None:
    row = pl.read_parquet(project / "data" / "corpus" / "*.parquet").row(7, named=True)
    told = traced(project, row["url"], capsys)
    assert told[""] == row["id"]
    assert told["read"].startswith(f"✓{project}/data/crawl/pages/{row['file']}, record at byte {row['offset']:,}")
    assert all(told[step].startswith("✓") for step in told if step)
    assert f"mean_word_length {row['mean_word_length']:.4g} (at least 3 and at most 10)" in told["gopher"]
    assert f"line_punctuation {row['line_punctuation']:.4g} (at least 0.12)" in told["fineweb"]
    assert f"{row['words']:,} words, sha256 {row['sha256'][:16]}" in told["corpus"]
    where, first, last = (
        told["tokens"][1:].split(",")[0],
        *told["tokens"].split("tokens ")[1].split(" (")[0].split(" to "),
    )
    start, end = (int(number.replace(",", "")) for number in (first, last))
    ids = np.fromfile(project / where, np.uint16)[start : end + 1]
    encoder = Tokenizer.load(project / "models" / "tokenizer")
    assert ids[0] == encoder.bos and encoder.decode(ids[1:].tolist()) == row["text"]
    split = Path(where).stem
    assert traced(project, f"{split}:{start + 3}", capsys) == told  # and back from any token of it


@pytest.mark.parametrize("stage", ["extract", "filter", "deduplicate"])
def test_a_dropped_page_says_where_and_why(project: Path, stage: str, capsys: pytest.CaptureFixture) -> None:
    """One page of every reason: by its id, and where it has one by its URL."""
    seen: dict[tuple[str, str], dict] = {}
    for document in documents_in(project / "data" / "removed" / stage):
        seen.setdefault((document["metadata"]["block"], document["metadata"]["reason"]), document)
    assert seen
    for (block, reason), document in seen.items():
        told = traced(project, document["id"], capsys)
        steps = [step for step in told if step]
        assert steps[0] == "read" and steps[-1] == block and told[block].startswith("✗dropped: ")
        assert block == "read" or all(told[step].startswith("✓") for step in steps[:-1])
        assert reason.replace("_", "-") in told[block].replace("_", "-") or block == "contamination"


def test_a_limit_that_was_broken_is_told_with_the_value(project: Path, capsys: pytest.CaptureFixture) -> None:
    document = next(
        d for d in documents_in(project / "data" / "removed" / "filter") if d["metadata"]["reason"] == "short"
    )
    told = traced(project, document["id"], capsys)
    assert (
        told["gopher"] == f"✗dropped: short, measured {document['metadata']['value']} (at least 50 and at most 100000)"
    )


def test_a_duplicate_names_the_twin_that_stays(project: Path, capsys: pytest.CaptureFixture) -> None:
    gone = next(documents_in(project / "data" / "removed" / "deduplicate" / "minhash"))["metadata"]
    told = traced(project, gone["url"], capsys)["minhash"]
    assert f"near-duplicate in cluster {gone['value']} of {gone['minhash_cluster_size']}; {gone['kept']} stays" in told
    assert "% of runs of five words shared" in told
    assert f"of cluster {gone['value']}" in traced(project, gone["kept"], capsys)["minhash"]


def test_a_piece_of_text_finds_its_page(project: Path, capsys: pytest.CaptureFixture) -> None:
    row = pl.read_parquet(project / "data" / "corpus" / "*.parquet").filter(pl.col("cluster") < 0).row(3, named=True)
    snippet = " ".join(row["text"].split()[:25])
    assert traced(project, snippet, capsys)[""] == row["id"]


def test_several_matches_and_none_are_told(project: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["the", "--root", str(project)]) == 1
    said = capsys.readouterr().out
    assert "documents match; ask for one by its id:" in said and "https://" in said and "more" in said
    for query, sentence in (
        ("https://nowhere.example/", "has the URL or the id 'https://nowhere.example/', or shows this text."),
        ("train:99999999", "99,999,999 is none of them"),
    ):
        assert main([query, "--root", str(project)]) == 1
        assert sentence in capsys.readouterr().err


def test_stages_that_have_not_run_are_named(project: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["anything", "--root", str(tmp_path)]) == 1
    assert "holds no data/extracted; run `dvc repro extract`" in capsys.readouterr().err
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "extracted").symlink_to(project / "data" / "extracted")
    key = next(documents_in(project / "data" / "extracted"))["id"]
    assert "·has not run" in traced(tmp_path, key, capsys)["filter"]
