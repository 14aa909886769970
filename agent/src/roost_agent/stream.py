"""Streamed answers: server-sent events, one `data:` line of JSON an item.

The first item is awaited before the status is sent, so that a handler that refuses at once still answers with the
right status. What fails later becomes the last event, `event: error`, with the usual envelope as data.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from roost_agent import asgi, encode, errors
from roost_agent.entrypoint import END
from roost_agent.errors import AgentError

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
}

Explain = Callable[[Exception], AgentError]


async def send(send: asgi.Send, items: AsyncIterator[object], headers: Mapping[str, str], explain: Explain) -> None:
    """Send all items. Raises what the handler raises before its first item; `explain` words what fails later."""
    async with _closing(items):
        event = await _next(items)
        await asgi.start(send, 200, {**HEADERS, **headers})
        while event:
            await _write(send, event)
            try:
                event = await _next(items)
            except Exception as error:  # noqa: BLE001 explain() logs it
                await _write(send, b"event: error\ndata: " + encode.dumps(errors.envelope(explain(error))) + b"\n\n")
                break
        await send({"type": "http.response.body", "body": b""})


async def _next(items: AsyncIterator[object]) -> bytes:
    item = await anext(items, END)
    return b"" if item is END else b"data: " + encode.dumps(item) + b"\n\n"


async def _write(send: asgi.Send, event: bytes) -> None:
    await send({"type": "http.response.body", "body": event, "more_body": True})


@asynccontextmanager
async def _closing(items: AsyncIterator[object]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if (close := getattr(items, "aclose", None)) is not None:
            await close()
