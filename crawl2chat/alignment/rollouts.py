"""Sampled answers, and their log-probabilities under a policy that is being trained.

In: a model, prompts as token ids. Out: rollouts, and padded batches of them whose tensors are aligned to the *answer*:
column j is the j-th answered token. Shared by verifiable RL, preferences and PPO. Sampling takes the full softmax (no
top-k), and the temperature divides the logits in rollout and training alike.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from crawl2chat.chat.conversation import render
from crawl2chat.chat.loop import Answer, write_turns
from crawl2chat.chat.tools import Source, Tool
from crawl2chat.model.network import Transformer
from crawl2chat.tokens.tokenizer import Tokenizer
from crawl2chat.training.ranks import share_out

TOKENS_AT_ONCE = 8192  # of a padded batch: memory stays small, and short answers travel with short ones


@dataclass(frozen=True)
class Text:
    """A prompt and an answer as token ids, and which of the answer's tokens count."""

    prompt: list[int]
    answer: list[int]
    sampled: list[bool]

    @property
    def length(self) -> int:
        return len(self.prompt) + len(self.answer)


@dataclass(frozen=True)
class Rollout(Text):
    """One answer to one prompt; it includes <|end|> if that was reached. `logprobs` are those under which it was
    sampled; where `sampled` is False a tool's result stands, with log-probability 0, and nothing is learnt."""

    logprobs: list[float]
    finished: bool
    # What the tools found that the answer may cite.
    sources: tuple[Source, ...] = ()
    # What every tool that it called gave back.
    results: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """How many the policy wrote."""
        return sum(self.sampled)

    @property
    def last_turn(self) -> list[int]:
        """What stands behind the last tool's result: all that a person reads."""
        results = [place for place, own in enumerate(self.sampled) if not own]
        return self.answer[results[-1] + 1 :] if results else self.answer

    def text(self, tokenizer: Tokenizer) -> str:
        """The last turn as a person reads it, without special tokens."""
        return tokenizer.decode(self.last_turn).strip()


@dataclass(frozen=True)
class Judged:
    """What a reward function says of one answer: the reward, and two facts for the curve."""

    reward: float
    correct: bool
    formatted: bool


@dataclass(frozen=True)
class Batch:
    """Rollouts side by side. ids (B, T) right-padded; places, targets, mask (B, A), A the longest answer:
    `places` is where the hidden state that predicts the j-th answered token stands, `targets` that token, `mask`
    whether the policy wrote it."""

    # Which of the rollouts these are.
    rows: list[int]
    ids: Tensor
    places: Tensor
    targets: Tensor
    mask: Tensor


def derived_seed(seed: int, *parts: int | str) -> int:
    """A seed that is a pure function of the run's seed and, say, the step: what makes a resumed run exact."""
    digest = hashlib.sha256(repr((seed, *parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big")


def sample(
    model: Transformer,
    prompts: Sequence[list[int]],
    count: int,
    tokenizer: Tokenizer,
    *,
    max_new_tokens: int,
    seed: int,
    temperature: float = 1.0,
    tools: Mapping[str, Tool] | None = None,
) -> list[Rollout]:
    """`count` answers to each prompt, those of one prompt side by side, with the tools' results in them as in chat.
    float32, so that the training forward finds the same log-probabilities. An answer ends where the context is full: a
    last token that no longer fits beside its prompt could be drawn, but not scored. Several processes share the
    prompts, and each gets all answers: an answer's random numbers are those of (seed, its place), whichever process
    samples it."""
    context = model.config.max_position_embeddings

    def answer(numbered: Sequence[tuple[int, list[int]]]) -> list[list[Rollout]]:
        answers = [Answer(prompt) for _, prompt in numbered for _ in range(count)]
        places = [number * count + i for number, _ in numbered for i in range(count)]
        how = {"max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed, "tools": tools}
        write_turns(model, tokenizer, answers, places, dtype=torch.float32, **how)
        rollouts = [as_rollout(one, context - len(one.prompt)) for one in answers]
        return [rollouts[i : i + count] for i in range(0, len(rollouts), count)]

    return [rollout for group in share_out(list(enumerate(prompts)), answer) for rollout in group]


def as_rollout(answer: Answer, room: int) -> Rollout:
    """An answer as tokens to learn from, as many as there is room for."""
    return Rollout(
        answer.prompt,
        answer.ids[:room],
        answer.sampled[:room],
        answer.logprobs[:room],
        answer.finished and len(answer.ids) <= room,
        tuple(answer.sources),
        tuple(call["result"] for call in answer.tool_calls),
    )


def answer_ids(messages: list[dict], text: str, finished: bool, tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """(prompt, answer) ids of a candidate given as text: the same tokens as in a conversation that ends with it.

    An empty answer is only its end. An answer that ran out of room has no <|end|>, which a reward model may notice.
    """
    prompt = [*render(messages, tokenizer)[0], tokenizer.assistant]
    if not text.strip():
        return prompt, [tokenizer.end]
    whole = render([*messages, {"role": "assistant", "content": text}], tokenizer)[0]
    answer = whole[len(prompt) :]
    return prompt, answer if finished else answer[:-1]


def batches(sequences: Sequence[Text], pad: int, device: torch.device) -> Iterator[Batch]:
    """Texts in batches of similar length, at most TOKENS_AT_ONCE each, shortest first."""
    order = sorted(range(len(sequences)), key=lambda i: (sequences[i].length, i))
    rows: list[int] = []
    for i in order:
        if rows and (len(rows) + 1) * sequences[i].length > TOKENS_AT_ONCE:
            yield collate(sequences, rows, pad, device)
            rows = []
        rows.append(i)
    if rows:
        yield collate(sequences, rows, pad, device)


def collate(sequences: Sequence[Text], rows: list[int], pad: int, device: torch.device) -> Batch:
    """These rows as one padded batch. Padding stands right of everything, where causal attention never looks."""
    T = max(sequences[i].length for i in rows)
    A = max(len(sequences[i].answer) for i in rows)
    ids = torch.full((len(rows), T), pad)
    places, targets = torch.zeros(len(rows), A, dtype=torch.long), torch.full((len(rows), A), pad)
    mask = torch.zeros(len(rows), A, dtype=torch.bool)
    for row, i in enumerate(rows):
        prompt, answer, sampled = sequences[i].prompt, sequences[i].answer, sequences[i].sampled
        ids[row, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        places[row, : len(answer)] = torch.arange(len(answer)) + len(prompt) - 1
        targets[row, : len(answer)] = torch.tensor(answer)
        mask[row, : len(answer)] = torch.tensor(sampled)
    return Batch(rows, *(t.to(device) for t in (ids, places, targets, mask)))


def answer_hidden(model: Transformer, batch: Batch) -> Tensor:
    """(N, d): hidden states that predict the N real answer tokens, in the order of `batch.mask`."""
    hidden = model(batch.ids)
    rows = torch.arange(len(batch.rows), device=batch.ids.device)[:, None].expand_as(batch.places)
    return hidden[rows[batch.mask], batch.places[batch.mask]]


def token_logprobs(model: Transformer, hidden: Tensor, batch: Batch, temperature: float = 1.0) -> Tensor:
    """Log-probabilities of the answered tokens (B, A), zero at padding."""
    return spread(-model.token_losses(hidden, batch.targets[batch.mask], temperature), batch.mask)


@torch.no_grad()
def token_entropies(model: Transformer, hidden: Tensor, temperature: float = 1.0) -> Tensor:
    """Entropies (N,) in nats of the distributions that hidden (N, d) predicts, worked off in chunks."""
    parts = []
    for part in hidden.split(model.rows_at_once):
        logs = torch.log_softmax(model.logits(part) / temperature, dim=-1)
        parts.append(-(logs.exp() * logs).sum(-1))
    return torch.cat(parts)


@torch.no_grad()
def entropies(model: Transformer, rollouts: Sequence[Rollout], pad: int, temperature: float = 1.0) -> list[float]:
    """Mean entropy in nats of the distributions that each answer's tokens were drawn from, under `model`. Several
    processes share them."""
    device = next(model.parameters()).device

    def part(sequences: Sequence[Text]) -> list[float]:
        found = [0.0] * len(sequences)
        for batch in batches(sequences, pad, device):
            table = spread(token_entropies(model, answer_hidden(model, batch), temperature), batch.mask)
            means = table.sum(1) / batch.mask.sum(1).clamp_min(1)
            for row, value in zip(batch.rows, means.tolist(), strict=True):
                found[row] = value
        return found

    return share_out(rollouts, part)


def spread(values: Tensor, mask: Tensor) -> Tensor:
    """(N,) values of the real tokens as (B, A), zero elsewhere; differentiable."""
    return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)


def table_of(rows: list[Tensor], mask: Tensor) -> Tensor:
    """Rows of different lengths as (B, A), zero behind their ends."""
    table = torch.zeros(mask.shape)
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table.to(mask.device)


@torch.no_grad()
def score(model: Transformer, rollouts: Sequence[Rollout], pad: int, temperature: float = 1.0) -> list[Tensor]:
    """Log-probabilities of each rollout's answer under `model`, by the training forward. Several processes share
    them."""
    device = next(model.parameters()).device

    def score_part(sequences: Sequence[Text]) -> list[Tensor]:
        scores: list[Tensor] = [torch.empty(0)] * len(sequences)
        for batch in batches(sequences, pad, device):
            logprobs = token_logprobs(model, answer_hidden(model, batch), batch, temperature)
            for row, i in enumerate(batch.rows):
                scores[i] = logprobs[row, : len(sequences[i].answer)].cpu()
        return scores

    return share_out(rollouts, score_part)


def rollout_difference(rollouts: Sequence[Rollout], logprobs: Sequence[Tensor]) -> float:
    """Mean |log-probability in training − at sampling| over the sampled tokens: above about 0.01 the gradient is no
    longer that of the sampled policy."""
    gaps = [
        (now - torch.tensor(one.logprobs)).abs()[torch.tensor(one.sampled)]
        for one, now in zip(rollouts, logprobs, strict=True)
    ]
    return float(torch.cat(gaps).mean())
