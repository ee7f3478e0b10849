"""Pictures of the consoles for the docs: `python tools/screenshots.py --root <project with a run> [--vega <folder>]`.

In: a project that has run, with its MLflow store; Debian's chromium on the PATH; without a network a folder with
vega.js, vega-lite.js and vega-embed.js, which DVC's page fetches otherwise. Out: docs/images/*.png, of DVC's plots and
of the servers that `make ui` starts, taken by a headless browser.
"""

import argparse
import contextlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from flows import ui
from flows.mlflow_links import reader
from stages.mlflow_views import experiment_link, latest_comparison

ROOT = Path(__file__).parents[1]
SIZE = (2000, 700)
PLOTS_SIZE = (1500, 1100)
# Milliseconds of the page's own time before the picture: both pages load their rows after they have drawn themselves.
SETTLE = 20_000


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ui.HOST, 0))
        return probe.getsockname()[1]


def take(address: str, picture: Path, size: tuple[int, int] = SIZE) -> None:
    """A picture of the page at an address."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += ["--allow-file-access-from-files"]  # DVC's page is a file, and so is a library beside it
    command += [f"--window-size={size[0]},{size[1]}", f"--virtual-time-budget={SETTLE}", f"--screenshot={picture}"]
    subprocess.run([*command, address], check=True, capture_output=True, timeout=180)


def take_plots(root: Path, library: Path | None, picture: Path) -> None:
    """A picture of what `dvc plots show` writes, drawn by the library in a folder, if one is given."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "dvc", "plots", "show", "--out", place]
        subprocess.run(command, cwd=root, check=True, capture_output=True)
        page = Path(place) / "index.html"
        if library:
            at_home = rf'src="{library.resolve().as_uri()}/\1.js"'
            text = re.sub(
                r'src="https://[^"]*/(vega(?:-lite|-embed)?)@[^"]*"', at_home, page.read_text(encoding="utf-8")
            )
            page.write_text(text, encoding="utf-8")
        take(page.as_uri(), picture, PLOTS_SIZE)


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
    parser.add_argument("--vega", type=Path, help="a folder with the library that draws DVC's plots")
    options = parser.parse_args()
    root = options.root.resolve()
    out = ROOT / "docs" / "images"
    out.mkdir(exist_ok=True)
    take_plots(root, options.vega, out / "dvc-plots.png")
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
