"""MLflow, Prefect and its deployments on this machine only: `make ui`. Ctrl-C stops all and leaves nothing running.

python -m flows.ui [--root <folder>] [--mlflow-port 5000] [--prefect-port 4200]
"""

import argparse
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from crawl2chat.errors import UserError
from flows.mlflow_links import EXPERIMENT, reader
from flows.stage_process import environment
from stages.files import read_yaml
from stages.mlflow_store import store_folder, tracking_uri
from stages.mlflow_views import experiment_link
from stages.program import program

HOST = "127.0.0.1"
CODE = str(Path(__file__).parents[1])
# Seconds for a server to come up.
PATIENCE = 120

# By its full name: as a program this module is called __main__.
logger = logging.getLogger("flows.ui")


def start(command: list[str], folder: Path, log: Path, **extra: str) -> subprocess.Popen[bytes]:
    """A server in a process group of its own, its output in a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            # A workspace has no flows of its own.
            env=environment(PYTHONPATH=os.pathsep.join([CODE, os.environ.get("PYTHONPATH", "")]), **extra),
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def start_prefect(root: Path, port: int) -> subprocess.Popen[bytes]:
    """Prefect's server; its database lies in the project's folder unless PREFECT_HOME says otherwise."""
    home = os.environ.get("PREFECT_HOME", str(root / ".work" / "prefect"))
    # Where the page looks for the server: the default names port 4200 whatever --port says.
    api = f"http://{HOST}:{port}/api"
    command = ["flows.prefect_server", "--port", str(port)]
    return start(command, root, root / ".work" / "prefect.log", PREFECT_HOME=home, PREFECT_SERVER_UI_API_URL=api)


def start_deployments(root: Path, api: str, mlflow_page: str) -> subprocess.Popen[bytes]:
    """What Prefect's page offers to run."""
    addresses = {"PREFECT_API_URL": api, "CRAWL2CHAT_MLFLOW_PAGE": mlflow_page}
    return start(["flows.serve"], root, root / ".work" / "serve.log", **addresses)


def start_mlflow(root: Path, port: int) -> subprocess.Popen[bytes]:
    """MLflow's UI on the embedded store, or on the one that MLFLOW_TRACKING_URI names."""
    command = ["mlflow", "server", "--backend-store-uri", tracking_uri(root), "--host", HOST, "--port", str(port)]
    store = store_folder(tracking_uri(root)) or root
    command += ["--artifacts-destination", str(store / "mlartifacts"), "--workers", "1"]
    # Background jobs of MLflow's own are not used here, and each would be a process more.
    return start(command, root, root / ".work" / "mlflow.log", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")


def mlflow_entry(address: str, root: Path) -> str:
    """Where MLflow is to be opened: at the pipeline's runs, as soon as there are any."""
    try:
        experiment = reader(root).get_experiment_by_name(EXPERIMENT)
    except UserError:
        return address
    return experiment_link(address, experiment.experiment_id) if experiment else address


def wait_until_up(name: str, address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a server's health page. UserError when it ends or does not come up."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.3)
    raise UserError(f"{name} did not start; its output is in {log}.")


def stop(server: subprocess.Popen[bytes]) -> None:
    """End a server and all its children."""
    for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(patience)


def check_port(name: str, port: int) -> None:
    """UserError for a port that is none, or that another server has."""
    if not 0 < port < 65536:
        raise UserError(f"--{name}-port {port} is no port; name one from 1 to 65535.")
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise UserError(f"port {port} is taken; name another with --{name}-port.")


@program
def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m flows.ui", description="MLflow and Prefect in the browser.")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the project or a workspace")
    parser.add_argument("--mlflow-port", type=int, default=5000)
    parser.add_argument("--prefect-port", type=int, default=4200)
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    read_yaml(root / "dvc.yaml")  # UserError where there is no project
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    servers: list[subprocess.Popen[bytes]] = []
    check_port("mlflow", options.mlflow_port)
    check_port("prefect", options.prefect_port)
    try:
        servers += [start_prefect(root, options.prefect_port), start_mlflow(root, options.mlflow_port)]
        logger.info("starting the servers: half a minute")
        prefect, mlflow = (f"http://{HOST}:{port}" for port in (options.prefect_port, options.mlflow_port))
        logs_of = root / ".work"
        wait_until_up("Prefect", f"{prefect}/api/health", servers[0], logs_of / "prefect.log")
        servers.append(start_deployments(root, f"{prefect}/api", mlflow))
        wait_until_up("MLflow", f"{mlflow}/health", servers[1], logs_of / "mlflow.log")
        print(f"MLflow:      {mlflow_entry(mlflow, root)}    every run of every stage, and the registered chat model")
        print(f"Prefect:     {prefect}    flow runs, their logs and results")
        print(f"Deployments: {prefect}/deployments    start a run, see what is scheduled; from a terminal:")
        print(f"             PREFECT_API_URL={prefect}/api .venv/bin/python -m flows.pipeline")
        print("Ctrl-C stops all three.", flush=True)
        while all(server.poll() is None for server in servers):
            time.sleep(1)
        raise UserError(f"one of the servers has ended; {logs_of} has their output.")
    except KeyboardInterrupt:
        return 0
    finally:
        for server in reversed(servers):
            stop(server)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
