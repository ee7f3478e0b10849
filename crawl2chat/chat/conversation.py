"""How a conversation becomes one row of tokens: the same for training, chat, reinforcement learning and export.

A turn is opened by its role's special token and closed by `<|end|>`; the text between is encoded as plain text, so
nothing a user types can become a special token:

    <|bos|><|user|> What is 2 + 3?<|end|>
    <|assistant|><|tool_call|> 2+3<|end|><|tool_result|> 5<|end|><|assistant|> 5<|end|>

without the line break between them.

Every text starts with a space. Inside a sentence a word carries its leading space, so an answer that starts without one
would consist of other tokens than those in which pretraining saw the fact.

Only what the assistant itself writes is supervised: its text, its tool calls and the end of its turns. Tool results are
the world's words, not the model's.
"""

from collections.abc import Iterable

from crawl2chat.errors import UserError
from crawl2chat.tokens.tokenizer import Tokenizer

ROLES = ("system", "user", "assistant", "tool")
DEFAULT_TOOL = "calculator"

CHAT_TEMPLATE = (
    "{{ '<|bos|>' }}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'tool' -%}{{ '<|tool_result|> ' + message['content'] | trim + '<|end|>' }}"
    "{%- elif message['role'] == 'assistant' -%}{{ '<|assistant|>' }}"
    "{%- if message['content'] -%}{{ ' ' + message['content'] | trim }}{%- endif -%}"
    "{%- for call in message['tool_calls'] or [] -%}{{ '<|tool_call|> ' }}"
    "{%- if call['name'] == '" + DEFAULT_TOOL + "' -%}{{ call['arguments'] }}"
    "{%- else -%}{{ call['name'] + '(' + call['arguments'] + ')' }}{%- endif -%}"
    "{%- endfor -%}{{ '<|end|>' }}"
    "{%- else -%}{{ '<|' + message['role'] + '|> ' + message['content'] | trim + '<|end|>' }}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}{%- endif -%}"
)
"""The same layout as a Jinja template, for the exported model."""


def render(messages: list[dict], tokenizer: Tokenizer) -> tuple[list[int], list[bool]]:
    """Token ids of a whole conversation, and for each id whether the model is trained to produce it.

    Both lists have the same length. Raises UserError for a role that does not exist or a turn without content.
    """
    ids, supervised = [tokenizer.bos], [False]
    for part, mine in _parts(messages, tokenizer):
        ids += part
        supervised += [mine] * len(part)
    return ids, supervised


def render_prompt(messages: list[dict], tokenizer: Tokenizer) -> list[int]:
    """Token ids of a conversation that waits for the assistant: ends in `<|assistant|>`."""
    return [*render(messages, tokenizer)[0], tokenizer.assistant]


def render_call(call: dict) -> str:
    """A tool call as the text behind `<|tool_call|>`: a bare expression is meant for the calculator."""
    if call["name"] == DEFAULT_TOOL:
        return str(call["arguments"])
    return f"{call['name']}({call['arguments']})"


def _parts(messages: list[dict], tokenizer: Tokenizer) -> Iterable[tuple[list[int], bool]]:
    openers = {
        "system": tokenizer.system,
        "user": tokenizer.user,
        "assistant": tokenizer.assistant,
        "tool": tokenizer.tool_result,
    }
    for message in messages:
        role, content = message.get("role"), (message.get("content") or "").strip()
        calls = message.get("tool_calls") or []
        if role not in openers:
            raise UserError(f"role {role!r} in a conversation: it must be one of {', '.join(ROLES)}")
        if not content and not calls:
            raise UserError(f"a {role} turn is empty: remove it or give it content")
        yield [openers[role]], False
        mine = role == "assistant"
        if content:
            yield tokenizer.encode(" " + content), mine
        for call in calls:
            yield [tokenizer.tool_call, *tokenizer.encode(" " + render_call(call))], mine
        yield [tokenizer.end], mine
