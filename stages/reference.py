"""The dials that stand in code alone: docs/parameters.md, made from the fields of the parameter classes.

    python -m stages.reference            # whether the page says what the code says
    python -m stages.reference --write    # make it so

A dial whose value was tuned stands in params.yaml and nowhere else; its field has no default. All other fields have
their default in code, may be set in params.yaml, and are listed here with type, default and the comment above the
field.
"""

import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from crawl2chat.evaluation.table import markdown_table
from crawl2chat.machine import Machine
from crawl2chat.parameters import Params
from stages.files import check_or_write, read_yaml

PAGE = Path("docs/parameters.md")
HEAD = """# Parameters that have a default

`params.yaml` holds the values that were tuned, and says what each means. The parameters below have a default in the
code that suits nearly everyone; set them in the same sections of `params.yaml`. This page is made by
`python -m stages.reference --write`.
"""
MACHINE_HEAD = """
## machine.yaml

Where and how fast a stage runs. The file stands beside `params.yaml`, git does not track it, and without it every key
has its default. A key at the top level holds for all stages, a section named like a stage (`pretrain: {devices: 4}`)
for that one. No finished stage becomes stale by it.

"""


@dataclass(frozen=True)
class Dial:
    """A field of a parameter class, by the path that leads to it from its section."""

    name: str
    type: str
    default: Any
    # Whether the value has to be given: there is no default then.
    required: bool
    comment: str


def dials(model: type[Params], above: str = "") -> Iterator[Dial]:
    """Every field of a parameter class and of the classes nested in it."""
    comments = field_comments(model)
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        kinds = (field.annotation, *getattr(field.annotation, "__args__", ()))
        nested = [kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, Params)]
        if field.annotation not in nested:
            default = field.get_default(call_default_factory=True)
            yield Dial(above + name, type_of(properties[name]), default, field.is_required(), comments.get(name, ""))
        for kind in nested:
            yield from dials(kind, f"{above}{name}.")


def field_comments(model: type[Params]) -> dict[str, str]:
    """Field → the comment above it, of a class and those it is made from."""
    found = {}
    for kind in reversed([kind for kind in model.__mro__ if issubclass(kind, Params) and kind is not Params]):
        above: list[str] = []
        for line in map(str.strip, inspect.getsource(kind).splitlines()):
            if line.startswith("# ----"):
                continue
            if line.startswith("#"):
                above.append(line.lstrip("# "))
                continue
            if (field := re.match(r"(\w+): ", line)) and above:
                found[field[1]] = " ".join(above)
            above = []
    return found


def type_of(schema: dict[str, Any]) -> str:
    """A type in words, from its JSON schema: `number ≥ 0`, `auto or sdpa`, `list of string`."""
    if "anyOf" in schema:
        return " or ".join(type_of(option) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type", "section")
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    bounds = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if key in schema]
    return " ".join([kind, " and ".join(limits)]).strip()


def table(rows: list[Dial]) -> str:
    cells = [
        [f"`{row.name}`", row.type, f"`{json.dumps(row.default, default=str)}`", row.comment.replace("|", "\\|")]
        for row in rows
    ]
    return markdown_table([["parameter", "type", "default", ""], *cells]) + "\n"


def page(root: Path) -> str:
    """The whole of docs/parameters.md."""
    parts = [HEAD]
    for stage in read_yaml(root / "dvc.yaml")["stages"]:
        model = get_type_hints(getattr(importlib.import_module(f"stages.{stage}"), stage)).get("params")
        rows = [dial for dial in dials(model) if not dial.required] if model else []
        if rows:
            parts.append(f"\n## {stage}\n\n{table(rows)}")
    return "".join(parts) + MACHINE_HEAD + table(list(dials(Machine)))


if __name__ == "__main__":
    sys.exit(check_or_write(PAGE, page(Path.cwd()), sys.argv[1:]))
