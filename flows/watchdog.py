"""Outlives a flow that is killed and cleans up after it: `python -m flows.watchdog <flow run> <pipeline run> <store>`.

In, on standard input: lines such as +123 and -123, a stage's process group that began or ended; the pipe closes when
the flow ends, however it ends. Out, where groups are still running then: the groups stopped, their runs in MLflow
KILLED, the flow run Crashed. Imports nothing heavy until then.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

# Seconds between asking a group to stop and killing it.
GRACE = 3.0
# Seconds in which whoever supervises the flow may say itself what became of it.
POLITE = 5.0


def start(uri: str, flow_run: str, pipeline_run: str) -> IO[str]:
    """Start a watchdog; the stream on which it is told of groups."""
    command = [sys.executable, "-m", "flows.watchdog", flow_run, pipeline_run, uri]
    here = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": here},
    ).stdin


def main(flow_run: str, pipeline_run: str, uri: str) -> None:
    """Follow the groups until the pipe closes; clean up if the flow did not say good-bye."""
    groups: set[int] = set()
    for line in sys.stdin:
        if line.strip() == "done":
            return
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for number, pause in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 0)):
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
        time.sleep(pause if groups else 0)
    if pipeline_run:
        from flows.mlflow_links import mark_killed

        mark_killed(uri, pipeline_run)
    if flow_run:
        time.sleep(POLITE)
        crash(flow_run, "its process was killed; run it again, it goes on from the last checkpoint")


def crash(flow_run: str, reason: str) -> None:
    """Set a flow run to Crashed, unless it has ended already."""
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    with suppress(Exception), get_client(sync_client=True) as client:
        run = client.read_flow_run(flow_run)
        if not run.state.is_final():
            client.set_flow_run_state(run.id, Crashed(message=reason), force=True)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):  # sent to the flow and all its children
        signal.signal(number, signal.SIG_IGN)
    main(*sys.argv[1:])
