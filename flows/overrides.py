"""What a run lays over params.yaml: a profile, a crawl snapshot, single values. Comments and order stay.

    python -m flows.overrides smoke [--set sft.epochs=2]    # over this folder's params.yaml, for `dvc repro` in it

The same layers, in the same way, for a flow (--profile, --set, the form), a workspace (`make real PROFILE=…`), a trial
of a sweep, and plain DVC.
"""

import argparse
import difflib
import importlib
import sys
from pathlib import Path
from typing import Any, get_type_hints

from crawl2chat.errors import UserError
from stages.files import read_yaml
from stages.program import program
from stages.settings import merge, validate


def profile_path(project: Path, profile: str) -> Path:
    """The file of a profile. UserError, with the profiles that there are, for one that does not exist."""
    path = project / "profiles" / f"{profile}.yaml"
    if not path.exists():
        profiles = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml"))) or "none"
        raise UserError(f"there is no profile {profile!r}; the profiles are {profiles}.")
    return path


def newest_snapshot(project: Path) -> str:
    """The latest crawl in inputs/snapshots, whose folders are named by date; empty where there is none."""
    folders = [path for path in (project / "inputs" / "snapshots").glob("*") if path.is_dir()]
    return max(folders, key=lambda path: path.name).relative_to(project).as_posix() if folders else ""


def layers_of(project: Path, profile: str, overrides: dict[str, Any], snapshot: str = "") -> list[dict[str, Any]]:
    """What a run lays over params.yaml, in this order: its profile, a crawl snapshot, single values."""
    layers = [read_yaml(profile_path(project, profile))] if profile else []
    place = newest_snapshot(project) if snapshot == "newest" else snapshot and f"inputs/snapshots/{snapshot}"
    if place:
        if not (project / place).is_dir():
            raise UserError(f"there is no crawl snapshot {place}; put its files there, or name another.")
        layers.append({"crawl": {"source": "files", "inputs": place}})
    return [*layers, nested(overrides)]


def overlay(params: Path, *layers: dict[str, Any]) -> None:
    """Write `layers`, nested as params.yaml is, into the file, the later over the earlier; without any it stays as it
    is. UserError for a section that it does not have."""
    from ruamel.yaml import YAML

    if not any(layers):
        return
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 120
    content = yaml.load(params.read_text(encoding="utf-8"))
    for layer in layers:
        check_sections(content, layer)
        merge(content, layer)
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


@program
def main(arguments: list[str]) -> int:
    """The command line; 1 where a profile or value does not exist or fit, and params.yaml is as it was."""
    parser = argparse.ArgumentParser(prog="python -m flows.overrides", description="Lay a profile over params.yaml.")
    parser.add_argument("profile", nargs="?", default="", help="a file of profiles/, without .yaml")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="values over params.yaml")
    options = parser.parse_args(arguments)
    project = Path.cwd()
    chosen = layers_of(project, options.profile, read_settings(options.set))
    check(project, chosen)
    overlay(project / "params.yaml", *chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
