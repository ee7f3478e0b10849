"""Pictures of the consoles for the docs: `python tools/screenshots.py --root <project with a run>`.

In: a project that has run, with its MLflow store; Debian's chromium on the PATH. Out: docs/images/*.png, of the servers
that `make ui` starts, taken by a headless browser.
"""

import argparse
import contextlib
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from flows import ui
from flows.mlflow_links import reader
from stages.mlflow_views import experiment_link, latest_comparison

ROOT = Path(__file__).parents[1]
SIZE = (2000, 700)
# Milliseconds of the page's own time before the picture: both pages load their rows after they have drawn themselves.
SETTLE = 20_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ui.HOST, 0))
        return probe.getsockname()[1]


def take(address: str, picture: Path) -> None:
    """A picture of the page at an address."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--window-size={SIZE[0]},{SIZE[1]}", f"--virtual-time-budget={SETTLE}", f"--screenshot={picture}"]
    subprocess.run([*command, address], check=True, capture_output=True, timeout=180)


@contextlib.contextmanager
def consoles(root: Path) -> Iterator[tuple[str, str]]:
    """The addresses of Prefect and MLflow, served until the end of the block."""
    prefect, mlflow = (f"http://{ui.HOST}:{free_port()}" for _ in range(2))
    servers = [
        ui.start_prefect(root, int(prefect.rpartition(":")[2])),
        ui.start_mlflow(root, int(mlflow.rpartition(":")[2])),
    ]
    try:
        ui.wait_until_up("Prefect", f"{prefect}/api/health", servers[0], root / ".work" / "prefect.log")
        ui.wait_until_up("MLflow", f"{mlflow}/health", servers[1], root / ".work" / "mlflow.log")
        servers.append(ui.start_deployments(root, f"{prefect}/api", mlflow))
        wait_for_deployments(f"{prefect}/api")
        yield prefect, mlflow
    finally:
        for server in servers:
            ui.stop(server)


def wait_for_deployments(api: str) -> None:
    for _ in range(ui.PATIENCE):
        request = urllib.request.Request(f"{api}/deployments/count", b"{}", {"content-type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            if int(answer.read()):
                return
        time.sleep(1)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python tools/screenshots.py", description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, default=ROOT, help="a project that has run")
    root = parser.parse_args().root.resolve()
    out = ROOT / "docs" / "images"
    out.mkdir(exist_ok=True)
    client = reader(root)
    with consoles(root) as (prefect, mlflow):
        take(f"{prefect}/deployments", out / "prefect-deployments.png")
        for name in ("pipeline", "pretrain"):
            if experiment := client.get_experiment_by_name(name):
                take(experiment_link(mlflow, experiment.experiment_id), out / f"mlflow-{name}.png")
        if link := latest_comparison(client, mlflow, "sft"):
            take(link, out / "mlflow-comparison.png")


if __name__ == "__main__":
    main()
