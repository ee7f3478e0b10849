"""The viewer shows every byte of the text, its ids, and colours only where they can be seen."""

import io
import re
from pathlib import Path

import pytest

from crawl2chat.tokens.tokenizer import SPECIALS, Tokenizer
from crawl2chat.tokens.training import train
from crawl2chat.tokens.view import BACKGROUNDS, render, spell
from stages.view import main

TEXT = "A tab\there,  twice.\nCafé 🙂 <|user|>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokenizer")
    train([TEXT] * 3, out, 270, digits=1)
    return out


def test_white_space_and_cut_characters_are_visible() -> None:
    assert spell(b" a\tb\r\n") == "·a→b␍↵" and spell("é".encode()) == "é"
    assert spell(b" \xf0\x9f") == "·\\xf0\\x9f" and spell(b"\x1b[0m") == "\\x1b[0m"


def test_pieces_ids_and_counts(folder: Path) -> None:
    tokenizer = Tokenizer.load(folder)
    ids = tokenizer.encode(TEXT)
    pieces, numbers, counts = render(tokenizer, TEXT, colours=False).split("\n\n")
    assert pieces.replace("\n", "|").replace("||", "|").split("|")[0] == spell(tokenizer.piece(ids[0]))
    assert pieces.count("\n") == 1 and "→" in pieces and "↵" in pieces
    assert numbers == " ".join(map(str, ids)) and max(ids) < tokenizer.bos
    size = len(TEXT.encode())
    assert f"{len(ids)} tokens · {size} bytes" in counts and f"{size / len(ids):.2f} bytes per token" in counts


def test_colours_change_nothing_but_the_ground(folder: Path) -> None:
    tokenizer = Tokenizer.load(folder)
    coloured = render(tokenizer, TEXT, colours=True)
    plain = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    assert "\x1b" not in plain and plain.split("\n\n")[1:] == render(tokenizer, TEXT, False).split("\n\n")[1:]
    grounds = re.findall(r"48;5;(\d+)m", coloured.split("\n\n")[0])
    assert len(grounds) == len(tokenizer.encode(TEXT)) and set(map(int, grounds)) == set(BACKGROUNDS)
    assert all(a != b for a, b in zip(grounds, grounds[1:], strict=False))


def test_the_command_line(folder: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    assert main([TEXT, "--tokenizer", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown and "270" in shown  # no terminal: no colours
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode()), encoding="utf-8"))
    assert main(["-", "--tokenizer", str(folder)]) == 0
    assert capsys.readouterr().out == shown
    (tmp_path / "vocab.bpe").write_text("#version: 0.2\nC a\n")
    assert main(["Cab", "--ranks", str(tmp_path / "vocab.bpe"), "--split", "gpt2"]) == 0
    assert "Ca|b\n\n256 65" in capsys.readouterr().out
    assert main(["", "--tokenizer", str(folder)]) == 0
    assert (
        capsys.readouterr().out.strip()
        == f"0 tokens · 0 bytes · 0 characters · 0 words · vocabulary {262 + len(SPECIALS)}"
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--tokenizer", "nowhere"], "error: There is no tokenizer.json in nowhere: train a tokenizer into it first."),
        (["--ranks", "nowhere"], "error: nowhere is no file; name a file of ranks such as cl100k_base.tiktoken."),
    ],
)
def test_a_missing_tokenizer_is_one_sentence(arguments: list[str], sentence: str, capsys) -> None:
    assert main(["x", *arguments]) == 1
    assert capsys.readouterr().err.strip() == sentence


@pytest.mark.parametrize("variable", [True, False])
def test_colours_need_a_terminal_and_leave(variable: bool, folder: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if variable:
        monkeypatch.setenv("NO_COLOR", "1")
    main([TEXT, "--tokenizer", str(folder)])
    assert ("\x1b[" in capsys.readouterr().out) is not variable
