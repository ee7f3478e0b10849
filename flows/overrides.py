"""Changes to params.yaml: a profile laid over it, or single values; comments and order stay. Or a file made anew."""

import difflib
import importlib
from pathlib import Path
from typing import Any, get_type_hints

from crawl2chat.errors import UserError
from stages.files import read_yaml
from stages.settings import merge, validate


def overlay(params: Path, changes: dict[str, Any]) -> None:
    """Write `changes`, nested as params.yaml is, into the file. UserError for a section that it does not have."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    content = yaml.load(params.read_text(encoding="utf-8"))
    check_sections(content, changes)
    merge(content, changes)
    with params.open("w", encoding="utf-8") as stream:
        yaml.dump(content, stream)


def check_sections(content: dict[str, Any], changes: dict[str, Any]) -> None:
    """UserError for a section that params.yaml does not have."""
    for key in changes:
        if key not in content:
            near = difflib.get_close_matches(str(key), list(content), n=1)
            hint = f"; did you mean {near[0]}?" if near else "."
            raise UserError(f"params.yaml has no section {key!r}{hint} It has {', '.join(content)}.")


def check(project: Path, layers: list[dict[str, Any]]) -> None:
    """UserError for a value in `layers`, laid over params.yaml, that the stage it is for does not take."""
    params = read_yaml(project / "params.yaml")
    for layer in layers:
        check_sections(params, layer)
        merge(params, layer)
    for stage in {key for layer in layers for key in layer} & read_yaml(project / "dvc.yaml")["stages"].keys():
        hints = get_type_hints(getattr(importlib.import_module(f"stages.{stage}"), stage))
        if "params" in hints:
            validate(stage, hints["params"], params[stage] or {})


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    from ruamel.yaml import YAML

    with path.open("w", encoding="utf-8") as stream:
        YAML().dump(content, stream)


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """{"pretrain.depth": 4} → {"pretrain": {"depth": 4}}; keys without a dot stay as they are."""
    result: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, key = path.split(".")
        place = result
        for parent in parents:
            place = place.setdefault(parent, {})
        place[key] = value
    return result


def read_settings(settings: list[str]) -> dict[str, Any]:
    """["pretrain.depth=4"] → {"pretrain.depth": 4}; values are YAML."""
    from ruamel.yaml import YAML, YAMLError

    values = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise UserError(f"{setting!r} is not a setting; write KEY=VALUE, such as pretrain.depth=4.")
        try:
            values[key] = YAML(typ="safe").load(value)
        except YAMLError:
            raise UserError(f"{setting!r}: the value is not YAML; lists are [a, b], sections {{a: 1}}.") from None
    return values
