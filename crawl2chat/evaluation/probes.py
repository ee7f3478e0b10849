"""What does a base model know? It is asked with prompts alone, before anybody has taught it to converse.

In: a base model and tasks (the corpus's own, or made from its sentences). Out: for each task whether the model
completes a statement of the fact greedily (cloze), k sampled answers to the question, and how often they are right.
Where it is consistently wrong, an assistant should later learn to say so: Llama 3 §4.3.6.
"""

import random
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

from crawl2chat.model.generate import Sampling, generate
from crawl2chat.model.network import Transformer
from crawl2chat.splits import split_of
from crawl2chat.tasks import ProbedTask, Task, verify
from crawl2chat.tokens.tokenizer import Tokenizer

QUESTION = "Question: {question} Answer:"
"""The prompt that makes a document simulator answer: a question as pages write it."""

SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
LABEL = re.compile(r"(?<!\w)[A-Z]\w*:")
NAME = re.compile(r"[A-Z][a-z]{2,}|\d{2,4}")


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


def own_turn(text: str) -> str:
    """Up to where somebody else of the page begins to speak: `Riga. Question: …` gives `Riga.`"""
    return LABEL.split(text, maxsplit=1)[0].strip()


def probe(
    model: Transformer,
    tokenizer: Tokenizer,
    tasks: Sequence[Task],
    *,
    samples: int,
    max_new_tokens: int,
    known_from: float,
    seed: int,
) -> list[ProbedTask]:
    """Each task with what the model answers; `known_from` is the share of right samples that makes a fact known."""
    cloze = continuations(model, tokenizer, [cloze_prompt(task) for task in tasks], max_new_tokens=max_new_tokens)
    unseen = [task.meta.get("cloze_apart", "") for task in tasks]
    cloze_apart = continuations(model, tokenizer, [f" {text}" for text in unseen], max_new_tokens=max_new_tokens)
    questions = [QUESTION.format(question=task.prompt) for task in tasks for _ in range(samples)]
    sampled = continuations(model, tokenizer, questions, max_new_tokens=max_new_tokens, temperature=0.7, seed=seed)
    probed = []
    for number, task in enumerate(tasks):
        answers = [first_sentence(text) for text in sampled[number * samples : (number + 1) * samples]]
        rate = sum(verify(task, answer) for answer in answers) / samples
        apart = verify(task, first_sentence(cloze_apart[number])) if unseen[number] else None
        probed.append(
            ProbedTask(
                **vars(task),
                cloze=verify(task, first_sentence(cloze[number])),
                answers=answers,
                rate=rate,
                cloze_apart=apart,
                known=rate >= known_from,
            )
        )
    return probed


def cloze_prompt(task: Task) -> str:
    """One of the statements that end in the answer, without it; which one is decided by the task.

    It begins with a space, as a sentence does inside a page: without it a name would consist of other tokens.
    """
    prefixes = task.meta["cloze"]
    return " " + prefixes[zlib.crc32(task.id.encode()) % len(prefixes)]


def questions_from_corpus(documents: Iterable[tuple[str, str]], count: int, seed: int) -> list[Task]:
    """Questions for a corpus without a manifest: sentences whose last word is a name or a number, to be completed.

    documents: (id, text). Split by document; `mentions` is how often the corpus holds the last five words.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    endings: Counter[tuple[str, ...]] = Counter()
    for document, text in documents:
        for sentence in SENTENCE_END.split(text):
            words = sentence.split()
            if 8 <= len(words) <= 25 and sentence[-1] in ".!?" and NAME.fullmatch(words[-1][:-1]):
                endings[tuple(words[-5:])] += 1
                found.setdefault(f"{zlib.crc32(sentence.encode()):08x}", (document, words))
    chosen = sorted(found)
    random.Random(f"questions {seed}").shuffle(chosen)
    return [completion_task(key, *found[key], endings) for key in chosen[:count]]


def completion_task(key: str, document: str, words: list[str], endings: Counter[tuple[str, ...]]) -> Task:
    prefix = " ".join(words[:-1])
    return Task(
        id=f"fact/{key}",
        skill="fact",
        split=split_of(document, {"train": 0.4, "dev": 0.2, "test": 0.4}, buckets=5),
        prompt=f'Which word completes this sentence? "{prefix} ..."',
        answer=words[-1][:-1],
        mentions=endings[tuple(words[-5:])],
        meta={"cloze": [prefix]},
    )
