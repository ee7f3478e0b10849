"""Offers the flows to Prefect's page, command line and schedules, and runs them: `python -m flows.serve`.

    PREFECT_API_URL=http://127.0.0.1:4200/api python -m flows.serve [--nightly "0 3 * * *"] [--limit 2]

In: a Prefect server (`make ui` starts one, and this). Out: the deployments `full run`, `nightly`, `evaluate only`,
`sweep` and `promote`, for as long as this runs. Runs that a crash of this machine left Running are Crashed first.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prefect import serve
from prefect.deployments.runner import EntrypointType
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_RUNNER_POLL_FREQUENCY,
    temporary_settings,
)

from crawl2chat.errors import UserError
from flows import isolated
from flows.pipeline import pipeline
from flows.prefect_server import server_address
from flows.promote import promote
from flows.sweep import sweep
from flows.watchdog import crash
from stages.files import read_yaml
from stages.program import program

# A flow is found by its module: the project need not be the folder that the code is in.
MODULE = EntrypointType.MODULE_PATH
NIGHTLY = "0 3 * * *"


def deployments(nightly: str, stages: list[str]) -> Iterator[Any]:
    """All that is offered; `stages` is what the project has."""
    yield pipeline.to_deployment(
        entrypoint_type=MODULE, name="full run", tags=["full"], description="Every stage, or those that are ticked."
    )
    yield pipeline.to_deployment(
        entrypoint_type=MODULE,
        name="nightly",
        cron=nightly,
        parameters={"snapshot": "newest"},
        tags=["nightly"],
        description="Every stage on the newest crawl in inputs/snapshots.",
    )
    judging = [stage for stage in ("evaluate", "report") if stage in stages]
    yield pipeline.to_deployment(
        entrypoint_type=MODULE,
        name="evaluate only",
        parameters={"stages": judging or stages[-1:]},
        tags=["evaluate"],
        description="The exam and the report of the models that there are.",
    )
    yield sweep.to_deployment(
        entrypoint_type=MODULE, name="sweep", tags=["sweep"], description="Variants against the baseline, over seeds."
    )
    yield promote.to_deployment(
        entrypoint_type=MODULE, name="promote", tags=["promote"], description="Challenger against champion."
    )


def check_schedule(cron: str) -> None:
    """UserError for a schedule that is no cron expression."""
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        CronSchedule(cron=cron)
    except ValidationError:
        raise UserError(
            f"{cron!r} is no schedule; write five fields as cron has them, such as '0 3 * * *' for three at night."
        ) from None


@program
def main(arguments: list[str]) -> int:
    """Serve until a signal; 1 after one sentence about a mistake in the call."""
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description="Offer the flows to Prefect.")
    parser.add_argument("--nightly", default=NIGHTLY, metavar="CRON", help="when the nightly run starts")
    parser.add_argument("--limit", type=int, default=max(2, (os.cpu_count() or 2) // 2), help="runs at the same time")
    options = parser.parse_args(arguments)
    project = Path.cwd()
    check_schedule(options.nightly)
    stages = list(read_yaml(project / "dvc.yaml")["stages"])
    if not server_address():
        raise UserError("PREFECT_API_URL is not set; `make ui` starts a server and this with it.")
    for flow_run in isolated.abandoned(project):
        crash(flow_run, "found without a process; run it again, it goes on from the last checkpoint")
    with temporary_settings({PREFECT_RUNNER_POLL_FREQUENCY: 2, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: 30}):
        serve(*deployments(options.nightly, stages), limit=options.limit)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
