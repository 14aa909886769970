"""How both clients speak HTTP: headers, timeouts, trust, and what a failure of httpx means."""

import re
import ssl
from typing import Any

import httpx

from roost import __version__, errors
from roost.calls import Call
from roost.settings import Connection

MARGIN_SECONDS = 15.0
"""Patience beyond the time that the server was allowed to take."""

_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
NEVER_REACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def options(connection: Connection, timeout: float) -> dict[str, Any]:
    """Arguments for an httpx client of the API. No proxy stands between this machine and itself."""
    headers = {"User-Agent": f"roost-python/{__version__}", "Accept": "application/json"}
    if connection.token:
        headers["Authorization"] = f"Bearer {connection.token}"
    return {
        "base_url": connection.url + connection.base_path,
        "headers": headers,
        "timeout": timeout,
        "trust_env": not connection.is_local,
        "verify": trust(connection.url),
    }


def gateway_options(connection: Connection) -> dict[str, Any]:
    """Arguments for an httpx client of the gateway; it never learns the API's token."""
    return {
        "headers": {"User-Agent": f"roost-python/{__version__}"},
        "trust_env": not connection.is_local,
        "verify": trust(connection.url),
    }


def trust(url: str) -> ssl.SSLContext | bool:
    """The operating system's certificates. Plain HTTP needs none, and loading them costs time."""
    return ssl.create_default_context() if url.startswith("https:") else False


def request_arguments(call: Call, timeout: float) -> dict[str, Any]:
    """Arguments for `build_request`, without the body."""
    patience = httpx.Timeout(timeout, read=max(timeout, call.seconds + MARGIN_SECONDS))
    return {
        "method": call.method,
        "url": call.path,
        "params": dict(call.params),
        "json": call.json,
        "headers": dict(call.headers),
        "timeout": patience,
    }


def json_of(response: httpx.Response) -> dict[str, Any]:
    """The answer's object. Raises `RoostError` for an answer that is none, as another kind of server gives."""
    try:
        read = response.json()
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise errors.RoostError(
            f"cannot use the answer of {response.url}: it is not Roost's; is the url a Roost server?"
        )
    return read


def unreachable(error: httpx.HTTPError | httpx.InvalidURL, url: str) -> errors.UnreachableError:
    """What a failure of the connection means for the caller."""
    if isinstance(error, NEVER_REACHED):
        return errors.UnreachableError(
            f"cannot reach the Roost server at {url}: {cause(error)}",
            hint="start it with `./up` or `roost-server run`, or name another one with ROOST_URL or `roost login URL`",
        )
    if isinstance(error, httpx.TimeoutException):
        return errors.UnreachableError(f"cannot get an answer from the Roost server at {url}: it took too long")
    return errors.UnreachableError(f"cannot finish the request: the connection to {url} broke: {cause(error)}")


def cause(error: Exception) -> str:
    """ "Connection refused", without the number before it."""
    return _ERRNO.sub("", str(error)) or type(error).__name__
