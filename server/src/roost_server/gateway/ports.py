"""Whether the gateway's ports are free, and whether they answer.

Envoy shares its ports among its threads (SO_REUSEPORT), so two Envoys on one port would silently share the traffic:
the ports are tried before Envoy is started.
"""

import asyncio
import contextlib
import errno
import ipaddress
import socket

from roost_server.domain import errors
from roost_server.gateway.settings import GatewaySettings

POLL_SECONDS = 0.005
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def check(settings: GatewaySettings) -> None:
    """Raises `Unavailable` naming the port and its setting if somebody else listens there."""
    for name, port in (("http_port", settings.http_port), ("https_port", settings.https_port)):
        try:
            _try(settings.http_host, port)
        except OSError as error:
            raise _cannot_listen(settings.http_host, name, port, error) from error


async def answer(settings: GatewaySettings, seconds: float) -> None:
    """Return when both ports accept connections. Raises `Unavailable` after `seconds`."""
    host = LOOPBACK.get(settings.http_host, settings.http_host)
    try:
        async with asyncio.timeout(seconds):
            for port in (settings.http_port, settings.https_port):
                await _accepting(host, port)
    except TimeoutError as error:
        raise errors.Unavailable(f"cannot reach the gateway: Envoy does not listen on {host}:{port}") from error


async def _accepting(host: str, port: int) -> None:
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            return
        await asyncio.sleep(POLL_SECONDS)


def _try(host: str, port: int) -> None:
    family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _cannot_listen(host: str, name: str, port: int, error: OSError) -> errors.Unavailable:
    if error.errno == errno.EADDRINUSE:
        return errors.Unavailable(
            f"cannot listen on {host}:{port}: another program does; end it, or choose another {name} "
            f"(ROOST_{name.upper()})",
            detail=str(error),
        )
    return errors.Unavailable(
        f"cannot listen on {host}:{port}: {error.strerror}; check http_host and {name}", detail=str(error)
    )
