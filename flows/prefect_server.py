"""Prefect's server for this machine's browser and programs alone: `python -m flows.prefect_server --port 4200`.

Prefect answers every Host and every Origin, so that any page a person visits could start flows on their machine. Here a
request must name this machine as its host, and a browser must send it from the server's own page.
"""

import argparse
import sys
import urllib.request
from http.client import HTTPException
from typing import Any

from crawl2chat.errors import UserError

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
# Seconds for the server to answer.
PATIENCE = 5


class OwnOrigin:
    """Refuses requests and sockets that another site's page sends. A program sends no Origin."""

    def __init__(self, app: Any, origins: frozenset[str]) -> None:
        self.app, self.origins = app, origins

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            origin = dict(scope["headers"]).get(b"origin")
            if origin is not None and origin.decode("latin-1") not in self.origins:
                await refuse(scope, receive, send)
                return
        await self.app(scope, receive, send)


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    from starlette.responses import PlainTextResponse

    await PlainTextResponse("Requests from other sites are refused.", 403)(scope, receive, send)


def behind_checks(app: Any, port: int) -> Any:
    """An application that answers this machine's names, and the pages of its own port."""
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    origins = frozenset(f"http://{name}:{port}" for name in NAMES)
    return TrustedHostMiddleware(OwnOrigin(app, origins), allowed_hosts=list(NAMES), www_redirect=False)


def server_address() -> str:
    """The API of the server to report to; empty where PREFECT_API_URL names none, and UserError where that one does not
    answer. Without a server no flow is made of a command: a temporary one takes a quarter of a minute to start, and
    longer on a busy machine."""
    from prefect.settings import PREFECT_API_URL

    address = PREFECT_API_URL.value() or ""
    try:
        if address:
            urllib.request.urlopen(f"{address}/health", timeout=PATIENCE).close()
    except (OSError, ValueError, HTTPException):
        raise UserError(
            f"Prefect at {address} does not answer; start it with `make ui`, or unset PREFECT_API_URL to do without."
        ) from None
    return address


def main(arguments: list[str]) -> None:
    """Serve until a signal."""
    import uvicorn
    from prefect.server.api.server import create_app

    parser = argparse.ArgumentParser(prog="python -m flows.prefect_server")
    parser.add_argument("--port", type=int, default=4200)
    port = parser.parse_args(arguments).port
    uvicorn.run(
        behind_checks(create_app(), port), host=HOST, port=port, log_level="warning", timeout_graceful_shutdown=2
    )


if __name__ == "__main__":
    main(sys.argv[1:])
