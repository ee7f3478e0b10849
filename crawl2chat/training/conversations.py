"""Conversations as a stream to train on: rendered, end to end, with weight only on what the assistant says."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from crawl2chat.chat.conversation import render
from crawl2chat.errors import UserError
from crawl2chat.jsonl import read_jsonl
from crawl2chat.model.network import Transformer
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.training.batches import Stream


@dataclass(frozen=True)
class Conversations:
    """A stream of conversations, and how many were used or left out."""

    stream: Stream
    used: int
    # Longer than the context; cutting would train on half an answer.
    too_long: int
    supervised_tokens: int


def read_conversations(path: Path, tokenizer: Tokenizer, context: int) -> Conversations:
    """Reads a file of conversations, one JSON object a line. UserError names the line that is broken."""
    ids: list[int] = []
    supervised: list[bool] = []
    starts: list[int] = []
    too_long = 0
    for number, record in enumerate(read_jsonl(path), start=1):
        try:
            tokens, mask = render(record["messages"], tokenizer)
        except (ValueError, KeyError, TypeError, UserError) as error:
            raise UserError(f"{path}:{number} is not a conversation ({error}); mend or remove it.") from None
        if len(tokens) - 1 > context:
            too_long += 1
            continue
        starts.append(len(ids))
        # The last token is only ever a target; it stays as an input of no weight, so that targets are ids shifted by
        # one.
        ids += tokens
        supervised += [*mask[1:], False]
    if not starts:
        raise UserError(f"{path} holds no conversation of at most {context} tokens: nothing to train on")
    stream = Stream(np.array(ids), np.array(starts), tokenizer.bos, np.array(supervised))
    return Conversations(stream, len(starts), too_long, int(stream.supervised.sum()))


def start_special_tokens(model: Transformer, tokenizer: Tokenizer) -> None:
    """Gives special tokens that pretraining never showed the embeddings of plain ones that play a similar part.

    Once, on the base model: done again later it would destroy what the model has learned. `<|end|>` starts as a newline
    and not like `<|bos|>`: with replayed text in the mixture the model would then end its turns by beginning a
    document.
    """
    alike = {
        tokenizer.system: "-",
        tokenizer.user: "-",
        tokenizer.assistant: ":",
        tokenizer.end: "\n",
        tokenizer.tool_call: ")",
        tokenizer.tool_result: "=",
    }
    tables = [model.model.embed_tokens.weight]
    if not model.config.tie_word_embeddings:
        tables.append(model.lm_head.weight)
    with torch.no_grad():
        for table in tables:
            for special, text in alike.items():
                table[special] = table[tokenizer.encode(text)[-1]]
