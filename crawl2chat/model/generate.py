"""Text from a model: the one engine behind chat, samples, probes, evaluation and rollouts.

Prompts of any lengths go in; a `Completion` for each comes out, in order. A decoder caches keys and values in a table
of `batch_size` slots; a row that ends leaves its slot to the next prompt (continuous batching, Yu et al. 2022, "Orca"),
and when no prompt is left the table shrinks. Equal prompts that start together are read once. Each request draws from
its own random numbers, a function of (seed, index of the request): what else is in the batch never changes its sample
(in PyTorch: beyond rounding). Matrices run in bfloat16 where the device is fast at it, as the training forward does
under autocast, so that log-probabilities are the ones a policy gradient needs; pass `dtype=torch.float32` for exact
work.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from crawl2chat.errors import UserError
from crawl2chat.model.decoders import choose_decoder
from crawl2chat.model.network import Transformer
from crawl2chat.model.precision import fastest_dtype


@dataclass
class Completion:
    """What a model wrote after one prompt."""

    # With the stop token, if there was one.
    ids: list[int] = field(default_factory=list)
    # Of each id, at the temperature it was sampled with.
    logprobs: list[float] = field(default_factory=list)
    # True where a stop token or stop text ended it, False where it ran out of room.
    finished: bool = False
    # The likeliest (id, logprob) at each step.
    alternatives: list[list[tuple[int, float]]] = field(default_factory=list)


@dataclass(frozen=True)
class Token:
    """One token as it is drawn; the fields are those of a `Completion`."""

    id: int
    logprob: float
    alternatives: list[tuple[int, float]]


@dataclass(frozen=True)
class Sampling:
    """How a text is drawn: its end, and its next token from scores. Temperature 0 takes the likeliest.

    A text ends at a stop token or at the token that completes a stop text, both kept in it, after `max_new_tokens`, or
    where the model's context is full. Cuts keep the `top_k` likeliest ids, the likeliest ids that together hold
    `top_p`, ids at least `min_p` times as likely as the likeliest. A repetition penalty r > 1 makes ids of the prompt
    and the text so far less likely: positive scores are divided by r, negative ones multiplied (Keskar et al. 2019,
    "CTRL"). `alternatives` is how many of the likeliest ids are kept at each step.
    """

    max_new_tokens: int
    stop_ids: Collection[int] = ()
    stop_texts: Collection[str] = ()
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    alternatives: int = 0

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise UserError(f"temperature is {self.temperature}; it must be 0 (greedy) or larger")
        if self.repetition_penalty <= 0:
            raise UserError(f"repetition_penalty is {self.repetition_penalty}; it must be positive, 1 changes nothing")

    def draw(self, logits: Tensor, uniform: Tensor, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Ids (B,) and their log-probabilities (B,) from logits (B, V) and one uniform number per row; `seen` (B, V)
        bool marks the ids that the repetition penalty touches.

        The log-probability is that of softmax(logits / temperature) before penalty and cuts, which is what the training
        forward can recompute."""
        if self.temperature not in (0, 1):
            logits = logits / self.temperature
        logprobs = torch.log_softmax(logits, -1)
        penalised = logprobs
        if seen is not None:
            r = self.repetition_penalty
            logits = torch.where(seen, torch.where(logits > 0, logits / r, logits * r), logits)
            penalised = torch.log_softmax(logits, -1)
        if self.temperature == 0:
            ids = logits.argmax(-1)
            return ids, logprobs.gather(-1, ids[:, None]).squeeze(-1)
        weights = penalised.exp()
        if self.min_p:
            weights = weights.where(weights >= self.min_p * weights.amax(-1, keepdim=True), 0.0)
        if self.top_k and self.top_k < weights.shape[-1]:
            weights = weights.where(weights >= weights.topk(self.top_k).values[:, -1:], 0.0)
        if self.top_p and self.top_p < 1:
            ordered, order = weights.sort(descending=True)
            before = ordered.cumsum(-1) - ordered  # mass of the likelier tokens; the first is always kept
            kept = ordered.where(before < self.top_p * ordered.sum(-1, keepdim=True), 0.0)
            weights = torch.zeros_like(weights).scatter_(-1, order, kept)
        heap = weights.cumsum(-1)
        ids = torch.searchsorted(heap, uniform[:, None] * heap[:, -1:], right=True)
        ids = ids.clamp(max=weights.shape[-1] - 1)
        hit = weights.gather(-1, ids) > 0  # rounding at the very end of the heap may point past the last weight
        ids = torch.where(hit, ids, weights.argmax(-1, keepdim=True))
        return ids.squeeze(-1), logprobs.gather(-1, ids).squeeze(-1)


class Engine:
    """A decoder with its slots, and the requests that wait for one."""

    def __init__(
        self,
        model: Transformer,
        prompts: Sequence[Sequence[int]],
        sampling: Sampling,
        *,
        seed: int | Sequence[int | tuple[int, ...]],
        batch_size: int,
        decode: Callable[[Sequence[int]], str] | None,
        dtype: torch.dtype | None,
    ) -> None:
        # Of a model compiled by torch.compile, the plain one.
        model = getattr(model, "_orig_mod", model)
        self.device = next(model.parameters()).device
        dtype = dtype or fastest_dtype(self.device)
        self.prompts, self.sampling, self.seed, self.decode = prompts, sampling, seed, decode
        context, vocabulary = model.config.max_position_embeddings, model.config.vocab_size
        for index, prompt in enumerate(prompts):
            if not prompt:
                raise UserError(f"prompt {index} is empty: generation starts from at least one token")
            if len(prompt) >= context:
                raise UserError(
                    f"prompt {index} has {len(prompt)} tokens and the model's context is {context}: shorten it"
                )
            foreign = [id_ for id_ in prompt if not 0 <= id_ < vocabulary]
            if foreign:
                raise UserError(
                    f"prompt {index} has the id {foreign[0]} and the model knows the ids below {vocabulary}: "
                    "encode it with the model's own tokenizer"
                )
        # The last token is drawn but never read, so a row may hold one token more than the context.
        self.limits = [min(sampling.max_new_tokens, context - len(prompt) + 1) for prompt in prompts]
        self.stops = np.zeros(vocabulary, dtype=bool)
        self.stops[sorted(sampling.stop_ids)] = True
        if sampling.stop_texts and decode is None:
            raise ValueError("stop_texts needs decode, a function from ids to text")
        # So many last tokens hold any stop text that the newest token completes, were each of them a single byte.
        self.tail = 4 + max((len(text.encode()) for text in sampling.stop_texts), default=0)
        self.done = [Completion() for _ in prompts]
        # Long prompts first, so that prompts read together are of similar length; equal ones are neighbours.
        self.waiting = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), prompts[i], -i))
        slots = min(batch_size, len(prompts))
        self.decoder = choose_decoder(model, slots, dtype)
        # Of each slot: the request it serves (-1: none), the token drawn last and not yet read, how many tokens are
        # read, drawn, and drawn at most.
        self.request = np.full(slots, -1)
        self.last, self.lengths, self.written, self.limit = (np.zeros(slots, dtype=np.int64) for _ in range(4))
        self.ids = np.zeros((slots, max(self.limits, default=0)), dtype=np.int64)
        self.uniforms, self.logprobs = (np.zeros(self.ids.shape, dtype=np.float32) for _ in range(2))
        # (slots, V): ids of each slot's prompt and text.
        self.seen: Tensor | None = None
        if sampling.repetition_penalty != 1.0:
            self.seen = torch.zeros(slots, vocabulary, dtype=torch.bool, device=self.device)

    @torch.inference_mode()
    def run(self) -> list[Completion]:
        """Works until every request is answered."""
        while self.waiting or (self.request >= 0).any():
            self.refill()
            if (self.request >= 0).any():
                self.step()
        return self.done

    def refill(self) -> None:
        """Gives free slots to waiting requests once an eighth of them is free; without any waiting, drops free slots
        where they cost something."""
        free = np.flatnonzero(self.request < 0)
        slots = len(self.request)
        if self.waiting and (len(free) >= max(1, slots // 8) or len(free) == slots):
            self.start(free[: len(self.waiting)])
        elif not self.waiting and self.decoder.computes_free_slots and slots > len(free) >= max(1, slots // 4):
            kept = np.flatnonzero(self.request >= 0)
            self.decoder.keep(kept)
            if self.seen is not None:
                self.seen = self.seen[kept]
            for name in ("request", "last", "lengths", "written", "limit", "uniforms", "ids", "logprobs"):
                setattr(self, name, getattr(self, name)[kept])

    def start(self, slots: np.ndarray) -> None:
        """Reads the prompts of as many waiting requests as there are slots, and draws their first tokens."""
        requests = [self.waiting.pop() for _ in slots]
        distinct: dict[tuple[int, ...], int] = {}
        prompt_of = np.array([distinct.setdefault(tuple(self.prompts[r]), len(distinct)) for r in requests])
        # The first slot of each prompt reads it, the others copy.
        readers = slots[np.unique(prompt_of, return_index=True)[1]]
        logits = self.decoder.read(list(distinct), readers)
        copies = readers[prompt_of] != slots
        self.lengths[slots] = [len(self.prompts[r]) for r in requests]
        if copies.any():
            self.decoder.share(readers[prompt_of][copies], slots[copies], int(self.lengths[slots].max()))
        self.request[slots] = requests
        self.written[slots] = 0
        self.limit[slots] = [self.limits[r] for r in requests]
        for slot, r in zip(slots, requests, strict=True):
            if self.sampling.temperature:
                key = [self.seed, r] if isinstance(self.seed, int) else [self.seed[r]]
                self.uniforms[slot, : self.limits[r]] = np.random.default_rng(key).random(self.limits[r])
            if self.seen is not None:
                self.seen[slot] = False
                self.seen[slot, torch.tensor(self.prompts[r], device=self.device)] = True
        self.draw(logits[torch.from_numpy(prompt_of).to(self.device)], slots)

    def step(self) -> None:
        """One more token for every busy slot."""
        slots = np.flatnonzero(self.request >= 0)
        logits = self.decoder.step(self.last[slots], self.lengths[slots], slots)
        self.lengths[slots] += 1
        self.draw(logits, slots)

    def draw(self, logits: Tensor, slots: np.ndarray) -> None:
        """Draws a token for each of the slots, notes it, and frees the slots whose request is now answered."""
        places = self.written[slots]
        uniform = torch.from_numpy(self.uniforms[slots, places]).to(self.device)
        at = None if self.seen is None else torch.from_numpy(slots).to(self.device)
        drawn, logprobs = self.sampling.draw(logits, uniform, None if at is None else self.seen[at])
        if at is not None:
            self.seen[at, drawn] = True
        self.last[slots] = self.ids[slots, places] = drawn.cpu().numpy()
        self.logprobs[slots, places] = logprobs.cpu().numpy()
        if self.sampling.alternatives:
            best = torch.log_softmax(logits / (self.sampling.temperature or 1.0), -1).topk(self.sampling.alternatives)
            for slot, ids, values in zip(slots, best.indices.tolist(), best.values.tolist(), strict=True):
                self.done[self.request[slot]].alternatives.append(list(zip(ids, values, strict=True)))
        self.written[slots] += 1
        stopped = self.stops[self.last[slots]]
        if self.sampling.stop_texts:
            stopped |= [self.ends_in_stop_text(slot) for slot in slots]
        ended = stopped | (self.written[slots] >= self.limit[slots])
        for slot, stop in zip(slots[ended], stopped[ended], strict=True):
            self.finish(slot, bool(stop))

    def ends_in_stop_text(self, slot: int) -> bool:
        end = self.written[slot]
        tail = self.decode(self.ids[slot, max(0, end - self.tail) : end].tolist())
        return any(text in tail for text in self.sampling.stop_texts)

    def newest(self) -> Token:
        """The token drawn last in the first slot."""
        place = self.written[0] - 1
        best = self.done[0].alternatives[-1] if self.sampling.alternatives else []
        return Token(int(self.ids[0, place]), float(self.logprobs[0, place]), best)

    def finish(self, slot: int, stopped: bool) -> None:
        completion = self.done[self.request[slot]]
        completion.ids = self.ids[slot, : self.written[slot]].tolist()
        completion.logprobs = self.logprobs[slot, : self.written[slot]].tolist()
        completion.finished = stopped
        self.request[slot] = -1


def generate(
    model: Transformer,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    *,
    seed: int | Sequence[int | tuple[int, ...]] = 0,
    batch_size: int = 256,
    decode: Callable[[Sequence[int]], str] | None = None,
    dtype: torch.dtype | None = None,
) -> list[Completion]:
    """A completion for each prompt, in order.

    `seed` is one number for the whole list, or a seed for each prompt, whose sample then does not depend on its place
    in the list. `decode` turns ids into text, which stop texts need. `dtype` of the matrices: the fastest unless one is
    named.
    """
    if not prompts or sampling.max_new_tokens < 1:
        return [Completion() for _ in prompts]
    return Engine(model, prompts, sampling, seed=seed, batch_size=batch_size, decode=decode, dtype=dtype).run()


def stream(
    model: Transformer,
    prompt: Sequence[int],
    sampling: Sampling,
    *,
    seed: int = 0,
    decode: Callable[[Sequence[int]], str] | None = None,
    dtype: torch.dtype | None = None,
) -> Iterator[Token]:
    """The tokens that `generate` would give for one prompt, each as soon as it is drawn."""
    engine = Engine(model, [prompt], sampling, seed=seed, batch_size=1, decode=decode, dtype=dtype)
    with torch.inference_mode():
        engine.refill()
    yield engine.newest()
    while engine.request[0] >= 0:
        with torch.inference_mode():
            engine.step()
        yield engine.newest()
