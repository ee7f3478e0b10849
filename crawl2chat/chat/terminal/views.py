"""Looks into a conversation: its tokens, and what else the model could have said.

A special token stands at the beginning of a line, where no text can come; its spelling inside a text is cut into plain
tokens, between bars or on grounds of their own.
"""

import torch

from crawl2chat.chat.loop import Answer
from crawl2chat.chat.terminal.models import Voice
from crawl2chat.chat.terminal.screen import Screen
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.tokens.view import BACKGROUNDS, spell

# At each place so many of the likeliest tokens are shown, if they have at least this probability.
LIKELIEST, LEAST = 5, 0.001
# Columns of the longest special token.
WIDTH = 15


def spelled(token: int, tokenizer: Tokenizer) -> tuple[str, bool]:
    """A token's letters, and whether it is a special one."""
    piece = tokenizer.piece(token)
    return (spell(piece), False) if piece else (tokenizer.decode([token], specials=True), True)


def show_tokens(ids: list[int], voice: Voice, screen: Screen) -> None:
    """Every token, the special ones at the beginning of lines; then a line of counts."""
    specials = 0
    for number, token in enumerate(ids):
        letters, special = spelled(token, voice.tokenizer)
        specials += special
        if special:
            screen.write("\n" if number else "")
            screen.write(letters, "special")
        else:
            screen.write("" if screen.colours else "|")
            screen.write(letters, f"30;48;5;{BACKGROUNDS[number % len(BACKGROUNDS)]}")
    screen.write("\n")
    screen.note(f"{len(ids):,} of {voice.context:,} tokens, {specials:,} of them special")


def show_top(answer: Answer, voice: Voice, screen: Screen) -> None:
    """A line for each token that the model wrote: the token and its probability, then the likeliest in its place.

    All probabilities are the model's own, at temperature 1, from one forward pass.
    """
    # A token that a tool's result holds was not the model's to choose.
    places = [len(answer.prompt) + i for i, sampled in enumerate(answer.sampled) if sampled]
    ids = torch.tensor(answer.prompt + answer.ids, device=voice.model.head_weight.device)
    with torch.inference_mode():
        hidden = voice.model(ids[None, :-1])[0]
        probabilities = voice.model.logits(hidden[torch.tensor(places) - 1]).softmax(-1)  # (written, V)
    likeliest = probabilities.topk(LIKELIEST)
    screen.note(f"{'written':>{WIDTH}}          likeliest in its place, from {LEAST:.1%}")
    for row, place in enumerate(places):
        written = int(ids[place])
        screen.write(" " * (WIDTH - len(spelled(written, voice.tokenizer)[0])))
        show_probable(written, float(probabilities[row, written]), voice, screen)
        for p, token in zip(likeliest.values[row].tolist(), likeliest.indices[row].tolist(), strict=True):
            if p >= LEAST:
                screen.write("  ")
                show_probable(token, p, voice, screen)
        screen.write("\n")


def show_probable(token: int, p: float, voice: Voice, screen: Screen) -> None:
    letters, special = spelled(token, voice.tokenizer)
    screen.write(letters, "special" if special else f"30;48;5;{BACKGROUNDS[0]}")
    screen.write(f" {p:6.1%}", "dim")
