"""The few words of ASGI that this library speaks: read a body, send an answer, notice that the caller went away."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any

from roost_agent import encode, errors
from roost_agent.errors import AgentError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


class Disconnected(Exception):
    """The caller went away; nobody is left to answer."""


def headers_of(scope: Scope) -> dict[str, str]:
    """All request headers by lower-case name."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


async def read_body(receive: Receive, limit_bytes: int) -> bytes:
    """The whole body. Raises `TooLarge` beyond the limit, `Disconnected` when the caller leaves before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body += message.get("body", b"")
        if len(body) > limit_bytes:
            raise errors.TooLarge(f"cannot read the body: it is larger than {limit_bytes} bytes")
        if not message.get("more_body", False):
            return bytes(body)


async def unless_disconnected(receive: Receive, work: Coroutine[Any, Any, None]) -> None:
    """Do `work`, cancelling it as soon as the caller goes away. The body must have been read before."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watch.cancel()
        gave_up = task.cancel()
        await asyncio.wait({task})
    if not (gave_up and task.cancelled()):
        task.result()


async def start(send: Send, status: int, headers: Mapping[str, str]) -> None:
    """Send the status line and headers."""
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def send_json(send: Send, status: int, value: object, headers: Mapping[str, str]) -> None:
    """Send a whole JSON answer. Nothing is sent when `value` cannot be encoded."""
    body = encode.dumps(value)
    length = {"content-type": "application/json", "content-length": str(len(body))}
    await start(send, status, {**length, **headers})
    await send({"type": "http.response.body", "body": body})


async def send_error(send: Send, error: AgentError, headers: Mapping[str, str]) -> None:
    """Send an error in its envelope."""
    await send_json(send, error.code, errors.envelope(error), headers)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
