"""The encoding benchmark ends with one line of JSON whose ids were really compared; a pair takes turns."""

import json
from pathlib import Path

from benchmarks.encoding import main, strings
from benchmarks.measure import Pair


def test_the_last_line_is_the_result(tmp_path: Path, capsys) -> None:
    (tmp_path / "text").mkdir()
    lines = [{"id": f"d{n}", "text": f"Page {n} says <|user|> and {n * 977}.\n\n  Café 東京 "} for n in range(300)]
    (tmp_path / "text" / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "text" / "b.txt").write_text("One more text.")
    assert main(["--data", str(tmp_path), "--vocab-size", "300"]) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["ids_equal"] is True and result["documents"] == 601
    assert result["speed_ratio"] > 0 and result["training_ratio"] > 0 and result["batch_ratio"] > 0
    assert main(["--data", str(tmp_path / "text")]) == 1
    assert "holds no text in text, chat" in capsys.readouterr().err


def test_a_difference_is_seen(tmp_path: Path, capsys, monkeypatch) -> None:
    from crawl2chat.tokens.tokenizer import Tokenizer

    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("The same words once more. " * 50)
    monkeypatch.setattr(Tokenizer, "encode", lambda self, text: [0])
    main(["--data", str(tmp_path), "--vocab-size", "270"])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["ids_equal"] is False


def test_a_pair_takes_turns() -> None:
    ticks = iter([0.0, 1.0, 1.0, 4.0, 4.0, 8.0, 8.0, 9.0])
    order: list[str] = []
    pair = Pair(lambda: next(ticks))
    for _ in range(2):
        assert pair.run(lambda: order.append("ours"), lambda: order.append("theirs")) == (None, None)
    assert order == ["theirs", "ours", "ours", "theirs"]
    assert pair.seconds == [7.0, 2.0] and pair.ratio == 2 / 7


def test_strings_are_found_at_any_depth() -> None:
    assert list(strings({"a": ["x", {"b": "y"}], "c": 1, "d": None, "e": "\ud83d"})) == ["x", "y", "?"]
