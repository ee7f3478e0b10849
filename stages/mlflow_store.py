"""Where MLflow's runs are kept, and how to open that place.

One store serves the project, the workspaces inside it and DVC's experiments, which run in `.dvc/tmp/exps/…`: the one in
the outermost folder around the current one that has a dvc.yaml, or the one that MLFLOW_TRACKING_URI names.
"""

import contextlib
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawl2chat.secrets import redacted, without_secrets
from stages.mlflow_views import share_view

# MLflow's own limits: parameters and tags in one request, characters of a parameter.
AT_ONCE, LONGEST = 100, 6000
# Seconds to wait for other processes that open the store: each takes about two while it is being made.
PATIENCE = 120
SQLITE = "sqlite:///"


def project_of(root: Path) -> Path:
    """The outermost folder around `root`, or it itself, that has a dvc.yaml."""
    root = root.resolve()
    return next((folder for folder in [*reversed(root.parents), root] if (folder / "dvc.yaml").exists()), root)


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, or the embedded store in the project's folder, from a workspace too."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}{project_of(root)}/mlflow.db"


def store_folder(uri: str) -> Path | None:
    """The folder of an embedded store, beside whose file the artifacts lie; None for a server."""
    return Path(uri.removeprefix(SQLITE)).resolve().parent if uri.startswith(SQLITE) else None


@contextlib.contextmanager
def lock_of(uri: str) -> Iterator[None]:
    """One process at a time at an embedded store: two that meet in its making or migration break it."""
    from filelock import FileLock

    folder = store_folder(uri)
    with FileLock(uri.removeprefix(SQLITE) + ".lock", timeout=PATIENCE) if folder else contextlib.nullcontext():
        yield


def open_client(uri: str, name: str) -> tuple[Any, str]:
    """A client of the store at `uri`, and the id of the experiment `name`, made if need be."""
    from mlflow import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    folder = store_folder(uri)
    with lock_of(uri):
        if folder:
            make_store(Path(uri.removeprefix(SQLITE)))
        client = MlflowClient(uri)
        found = client.get_experiment_by_name(name)
        if not found:
            location = (folder / "mlartifacts" / name).as_uri() if folder else None
            found = client.get_experiment(client.create_experiment(name, artifact_location=location))
        share_view(client, found)
    return client, found.experiment_id


def make_store(path: Path) -> None:
    """A sqlite store with all its tables at `path`, unless there is one. It is made aside: MLflow cannot mend a store
    whose tables were half made by a process that was killed, and every later run would go untracked."""
    from mlflow import MlflowClient

    if not path.exists():
        aside = path.with_name(f"{path.name}.new")
        aside.unlink(missing_ok=True)
        MlflowClient(f"{SQLITE}{aside}").search_experiments(max_results=1)
        aside.rename(path)


def log_params(client: Any, run_id: str, values: dict[str, Any]) -> None:
    """Nested values as parameters `a.b`, secrets hidden."""
    from mlflow.entities import Param

    params = [Param(key, str(value)[:LONGEST]) for key, value in flatten(without_secrets(values)).items()]
    for start in range(0, len(params), AT_ONCE):
        client.log_batch(run_id, params=params[start : start + AT_ONCE])


def set_tags(client: Any, run_id: str, tags: dict[str, str]) -> None:
    """Tags, secrets hidden."""
    from mlflow.entities import RunTag

    rows = [RunTag(key, redacted(str(value))[:LONGEST]) for key, value in tags.items()]
    for start in range(0, len(rows), AT_ONCE):
        client.log_batch(run_id, tags=rows[start : start + AT_ONCE])


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b+c": 1}} → {"a.b_c": 1}; MLflow refuses names with other characters, and with them the whole batch."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = prefix + re.sub(r"[^\w\-. :/]", "_", str(key), flags=re.ASCII)
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
