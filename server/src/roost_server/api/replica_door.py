"""The door for replicas: what may be asked of the API at the host's address in the replicas' network.

Replicas reach no other service of their host. At this one they get access tokens, and what a token lets them do; what
needs no token (metrics, documents) is for people and is not there for them.
"""

import ipaddress

from starlette.types import ASGIApp, Receive, Scope, Send

from roost_server.api.errors import raw
from roost_server.domain import errors

OPEN = {"/healthz", "/flavors"}
OPEN_BELOW = ("/oauth/", "/accounts-api/", "/.well-known/", "/api/v1/", "/agent-runtimes", "/flavors/", "/v1/flavors")


class ReplicaDoor:
    """Answers 404 to whatever came in at `address` and is not for replicas. None: there is no such address."""

    def __init__(self, app: ASGIApp, address: str | None) -> None:
        self._app = app
        self._address = None if address is None else ipaddress.ip_address(address)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not self._is_asked_at(scope) or is_open(scope["path"]):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
        else:
            await _refuse(scope, send)

    def _is_asked_at(self, scope: Scope) -> bool:
        """By the address that the connection itself has, which no header can change."""
        server = scope.get("server")
        return self._address is not None and server is not None and _plain(server[0]) == self._address


def is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_BELOW)


def _plain(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """A socket for both families says IPv4 addresses in IPv6's way. None for what is no address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


async def _refuse(scope: Scope, send: Send) -> None:
    where = f"{scope['method']} {scope['path']}"
    error = errors.NotFound(f"cannot find {where}: replicas reach the API and the token endpoint here, nothing else")
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": error.code, "headers": headers})
    await send({"type": "http.response.body", "body": raw(error)})
