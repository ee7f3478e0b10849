"""What a running flow listens to: that a person cancels it, and that whoever started it is gone.

Prefect tells only its own workers of a cancellation. A flow started from a terminal would go on, and so would one whose
worker was killed. A thread asks the server every second, and ends the process as the worker would: with SIGTERM.
"""

import os
import signal
import threading
from contextlib import suppress
from types import TracebackType

# Seconds between questions.
INTERVAL = 1.0


class Supervision:
    """Watches the flow run `run_id` for as long as the block lasts; `cancelled` and `orphaned` tell why it ended."""

    def __init__(self, run_id: str, supervised: bool) -> None:
        """`supervised`: a worker started this process, and without it nobody would report its end."""
        self.run_id, self.supervised = run_id, supervised
        self.cancelled = self.orphaned = False
        self.parent = os.getppid()
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def __enter__(self) -> "Supervision":
        if self.run_id:
            self.thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.ended.set()
        if self.cancelled or self.orphaned:
            self.report()

    def watch(self) -> None:
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            while not self.ended.wait(INTERVAL):
                self.orphaned = self.supervised and os.getppid() != self.parent
                with suppress(Exception):  # a server that does not answer now may do so later
                    state = client.read_flow_run(self.run_id).state
                    self.cancelled = state.is_cancelling() or state.is_cancelled()
                if self.orphaned or self.cancelled:
                    os.kill(os.getpid(), signal.SIGTERM)
                    return

    def report(self) -> None:
        """Say how the run ended: Prefect would call a flow that got SIGTERM Crashed, or leave it Cancelling."""
        from prefect.client.orchestration import get_client
        from prefect.states import Cancelled, Crashed

        state = Cancelled() if self.cancelled else Crashed(message="its worker is gone; start `flows.serve` again")
        with suppress(Exception), get_client(sync_client=True) as client:
            client.set_flow_run_state(self.run_id, state, force=True)
