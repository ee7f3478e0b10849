"""What does a base model know? It is asked with prompts alone, before anybody has taught it to converse.

In: a base model and questions with answers (of the tiny world, or made from a corpus). Out: for each question the greedy
completion of a sentence that tells the fact (cloze), k sampled answers to the question, and how often they are right.
Where it is consistently wrong, an assistant should later learn to say so: Llama 3 §4.3.6.
"""

import random
import re
import zlib
from collections.abc import Iterable, Sequence

from crawl2chat.evaluation.tasks import verify
from crawl2chat.model.generate import Sampling, generate
from crawl2chat.model.network import Transformer
from crawl2chat.tokens.tokenizer import Tokenizer

QUESTION = "Question: {question} Answer:"
"""The prompt that makes a document simulator answer: a question as pages write it."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_NAME = re.compile(r"[A-Z][a-z]{2,}|\d{2,4}")


def continuations(
    model: Transformer,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[str]:
    """How the model goes on with each text, as the beginning of a document."""
    prompts = [[tokenizer.bos, *tokenizer.encode(text)] for text in texts]
    room = model.config.max_position_embeddings - max_new_tokens
    completions = generate(
        model,
        [prompt[:1] + prompt[1:][-room + 1 :] for prompt in prompts],
        Sampling(max_new_tokens, {tokenizer.bos}, temperature=temperature),
        seed=seed,
    )
    return [tokenizer.decode(completion.ids) for completion in completions]


def first_sentence(text: str) -> str:
    """Up to the first full stop or line end: a simulator goes on with the next sentence of its page."""
    return re.split(r"(?<=\D)[.\n]|(?<=\d)\.(?!\d)|\n", text.strip(), maxsplit=1)[0].strip()


def probe(
    model: Transformer, tokenizer: Tokenizer, tasks: list[dict], *, samples: int, max_new_tokens: int, seed: int
) -> list[dict]:
    """Each task with `cloze` (bool), `answers` (samples) and `rate` (share of right ones) added, and `cloze_apart` where the
    task has a statement in words that no page uses."""
    cloze = continuations(model, tokenizer, [cloze_prompt(task) for task in tasks], max_new_tokens=max_new_tokens)
    apart = [row["meta"].get("cloze_apart", "") for row in tasks]
    retold = continuations(model, tokenizer, [f" {text}" for text in apart], max_new_tokens=max_new_tokens)
    questions = [QUESTION.format(question=task["prompt"]) for task in tasks for _ in range(samples)]
    said = continuations(model, tokenizer, questions, max_new_tokens=max_new_tokens, temperature=0.7, seed=seed)
    rows = []
    for number, task in enumerate(tasks):
        answers = [first_sentence(text) for text in said[number * samples : (number + 1) * samples]]
        rate = sum(verify(task, answer) for answer in answers) / samples
        known = verify(task, first_sentence(cloze[number]))
        row = task | {"cloze": known, "answers": answers, "rate": rate}
        if apart[number]:
            row["cloze_apart"] = verify(task, first_sentence(retold[number]))
        rows.append(row)
    return rows


def cloze_prompt(task: dict) -> str:
    """One of the statements that end in the answer, without it; which one is decided by the task.

    It begins with a space, as a sentence does that stands inside a page: without it a name would consist of other tokens.
    """
    prefixes = task["meta"]["cloze"]
    return " " + prefixes[zlib.crc32(task["id"].encode()) % len(prefixes)]


def questions_from_corpus(documents: Iterable[tuple[str, str]], count: int, seed: int) -> list[dict]:
    """Questions for a corpus without a manifest: sentences whose last word is a name or a number, asked to be completed.

    documents: (id, text). Split by a hash of the document; `mentions` is how often the corpus holds the last five words.
    """
    found: dict[str, dict] = {}
    tails: dict[str, int] = {}
    for document, text in documents:
        for sentence in _SENTENCE.split(text):
            words = sentence.split()
            if 8 <= len(words) <= 25 and sentence[-1] in ".!?" and _NAME.fullmatch(words[-1][:-1]):
                tail = " ".join(words[-5:])
                tails[tail] = tails.get(tail, 0) + 1
                prefix, answer = " ".join(words[:-1]), words[-1][:-1]
                split = ("train", "train", "dev", "test", "test")[zlib.crc32(document.encode()) % 5]
                key = f"{zlib.crc32(sentence.encode()):08x}"
                found.setdefault(key, _completion(key, split, prefix, answer, tail))
    chosen = sorted(found)
    random.Random(f"questions {seed}").shuffle(chosen)
    rows = [found[key] for key in chosen[:count]]
    return [row | {"mentions": tails[row["meta"].pop("tail")]} for row in rows]


def _completion(key: str, split: str, prefix: str, answer: str, tail: str) -> dict:
    return {
        "id": f"fact/{key}",
        "skill": "fact",
        "split": split,
        "prompt": f'Which word completes this sentence? "{prefix} ..."',
        "answer": answer,
        "aliases": [],
        "entity": None,
        "mentions": None,
        "meta": {"cloze": [prefix], "tail": tail},
    }
