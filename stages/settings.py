"""What a stage is given: its section of params.yaml and its share of machine.yaml, each validated by its pydantic
model.

A key that is unknown, missing or of another type is a UserError that names file and key, what was found and what is
allowed.
"""

import difflib
import importlib
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from pydantic import BaseModel, ValidationError

from crawl2chat.errors import UserError
from crawl2chat.machine import Machine
from crawl2chat.parameters import Params
from crawl2chat.secrets import secret_keys
from stages.files import read_yaml

PARAMS, MACHINE = "params.yaml", "machine.yaml"
PROJECT = Path(__file__).parents[1]
Settings = TypeVar("Settings", bound=Params)


def read_parameters(stage: str, root: Path, stages: list[str]) -> tuple[dict[str, Any], int]:
    """The stage's section of params.yaml and the pipeline's seed."""
    everything = read_yaml(root / PARAMS)
    for key in everything:
        if key not in stages and key != "seed":
            raise UserError(f"{PARAMS}: {unknown(key, ['seed', *stages])}")
    if stage not in everything:
        raise UserError(f"{PARAMS} has no section {stage!r}; add `{stage}: {{}}` to take every default.")
    seed = everything.get("seed")
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise UserError(f"{PARAMS}: seed must be a whole number, not {seed!r}.")
    section = section_of(PARAMS, stage, everything[stage])
    if secrets := secret_keys(section, f"{stage}."):
        raise UserError(
            f"{PARAMS}: {secrets[0]} is a secret and would be kept in dvc.lock; take it out, and give it in the "
            "environment or in a file of your own as the provider's tools expect it (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY; ~/.config/fsspec)."
        )
    return section, seed


def read_machine(stage: str, root: Path, stages: list[str]) -> Machine:
    """The stage's machine: machine.yaml's keys for all stages, and over them its section for this one."""
    path = root / MACHINE
    everything = read_yaml(path) if path.exists() else {}
    sections = {name: section_of(MACHINE, name, everything.pop(name)) for name in stages if name in everything}
    validate(stage, Machine, sections.get(stage, {}), MACHINE)
    return validate("", Machine, everything | sections.get(stage, {}), MACHINE)


def tuned(model: type[Settings], profile: str | None = None, **changes: Any) -> Settings:
    """A parameter class with the values that the project's params.yaml has for it, those of a profile over them, and
    `changes` over both: where tests and benchmarks start from. What a stage leaves open by a null that `model` does not
    know (pretrain's preset decides it) has the default of `model`."""
    params = read_yaml(PROJECT / PARAMS)
    merge(params, read_yaml(PROJECT / "profiles" / f"{profile}.yaml") if profile else {})
    for stage in read_yaml(PROJECT / "dvc.yaml")["stages"]:
        function = getattr(importlib.import_module(f"stages.{stage}"), stage)
        kind = get_type_hints(function).get("params")
        section = section_for(model, kind, params[stage]) if kind else None
        if section is not None:
            values = {
                key: section[key]
                for key, field in model.model_fields.items()
                if key in section and (section[key] is not None or type(None) in get_args(field.annotation))
            }
            nested = {key: value for key, value in changes.items() if is_section(model.model_fields[key].annotation)}
            merge(values, nested)
            return model.model_validate(values | {key: changes[key] for key in changes.keys() - nested.keys()})
    raise LookupError(f"no stage has a section for {model.__name__}")


def section_for(model: type[Params], kind: type[Params], section: dict[str, Any]) -> dict[str, Any] | None:
    """The part of a section of the class `kind` that belongs to `model`, at any depth."""
    if issubclass(kind, model):
        return section
    for name, field in kind.model_fields.items():
        if is_section(field.annotation):
            inner = section_for(model, field.annotation, section.get(name) or {})
            if inner is not None:
                return inner
    return None


def is_section(kind: Any) -> bool:
    """Whether a field's type is a nested section."""
    return inspect.isclass(kind) and issubclass(kind, Params)


def merge(target: dict[str, Any], changes: dict[str, Any]) -> None:
    """Lay `changes` over nested sections, in place."""
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        else:
            target[key] = value


def section_of(file: str, name: str, value: Any) -> dict[str, Any]:
    """A section as a dictionary; an empty one is written as nothing or `{}`."""
    if value is not None and not isinstance(value, dict):
        raise UserError(f"{file}: {name} must be a section of keys and values, not {value!r}.")
    return value or {}


def validate(section: str, model: type[Settings], values: dict[str, Any], file: str = PARAMS) -> Settings:
    """The values of a section of `file` (empty: of its top level) as a `model`. UserError names every bad key."""
    try:
        # By way of JSON: strict about types, yet lists may become tuples and strings paths or enumerations.
        return model.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        raise UserError(f"{file}: " + " ".join(sorted(complaints(section, model, error)))) from None


def complaints(section: str, model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    """One sentence for each bad key."""
    for problem in error.errors(include_url=False):
        keys = [*filter(None, [section]), *map(str, problem["loc"])]
        name = ".".join(keys)
        if problem["type"] == "extra_forbidden":
            fields = fields_at(model, problem["loc"][:-1])
            yield unknown(name, [".".join([*keys[:-1], field]) for field in fields])
        elif problem["type"] == "missing":
            yield f"{name} is missing; give it a value."
        else:
            text = problem["msg"].removeprefix("Value error, ").rstrip(".")
            raised_by_us = problem["type"] in ("value_error", "assertion_error")
            found = "" if raised_by_us else f" (found {problem['input']!r})"
            yield f"{name}: {text[:1].lower()}{text[1:]}{found}."


def fields_at(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The keys allowed in the nested section that `path` leads to."""
    for part in path:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        kinds = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        model = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), model)
    return list(model.model_fields)


def unknown(key: str, allowed: list[str]) -> str:
    """`a is unknown; did you mean b? Allowed: …`"""
    near = difflib.get_close_matches(key, allowed, n=1)
    hint = f"; did you mean {near[0]}?" if near else "."
    return f"{key} is unknown{hint} Allowed: {', '.join(allowed) or 'nothing'}."
