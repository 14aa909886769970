"""The process: uvicorn, signals, and an exit that is both graceful and bounded.

On SIGTERM or SIGINT the agent accepts no more connections, finishes what is under way, and exits with 0.
"""

import logging
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

from roost_agent import asgi

log = logging.getLogger("roost_agent")

GRACE_VARIABLE = "ROOST_STOP_GRACE_SECONDS"
KEEP_ALIVE_SECONDS = 3700
"""Longer than the gateway keeps an idle connection, so that it never sends a request into one that is closing."""


class Server(uvicorn.Server):
    """`stop_by` is the monotonic time at which to leave, None until a signal asked for it."""

    stop_by: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.stop_by = self.stop_by or time.monotonic() + grace_seconds()
        super().handle_exit(sig, frame)


def grace_seconds() -> float:
    """How long a stop may take: the platform's grace before it kills, less a second to leave in."""
    value = float(os.environ.get(GRACE_VARIABLE, "10"))
    return max(0.5, value - 1)


def serve(app: asgi.Asgi, host: str, port: int, on_server: Callable[[Server], None]) -> None:
    """Serve until a signal. Exits with 3 when the app's start fails, with 1 when the port cannot be had."""
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    server = Server(_config(app, host, port))
    on_server(server)
    _catch_signals(server)
    log.info("starting to serve host=%s port=%d", host, port)
    server.run()
    if not server.started and server.stop_by is None:
        sys.exit(3)


def leave_at_once() -> None:
    """Exit with 0 without waiting for threads that did not end in time."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def _config(app: asgi.Asgi, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=math.ceil(grace_seconds()),
    )


def _catch_signals(server: Server) -> None:
    """Before uvicorn does, so that none is lost while it starts; after it has stopped it raises the signal once
    more, which must not end the process with anything but 0."""
    signal.signal(signal.SIGTERM, server.handle_exit)
    signal.signal(signal.SIGINT, server.handle_exit)
