"""Server-sent events: lines as they come, with a comment now and then so that dead connections are noticed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from fastapi.responses import StreamingResponse
from pydantic import BaseModel

HEARTBEAT_SECONDS = 15.0


def event_stream(events: AsyncIterator[tuple[str, BaseModel]]) -> StreamingResponse:
    """`(id, data)` pairs as an SSE response. A client continues with `Last-Event-ID`."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_frames(events), media_type="text/event-stream", headers=headers)


async def _frames(events: AsyncIterator[tuple[str, BaseModel]]) -> AsyncIterator[str]:
    yield ": open\n\n"
    coming = asyncio.ensure_future(anext(events))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=HEARTBEAT_SECONDS)
            if not done:
                yield ": still here\n\n"
                continue
            try:
                event_id, data = coming.result()
            except StopAsyncIteration:
                return
            yield f"id: {event_id}\ndata: {data.model_dump_json()}\n\n"
            coming = asyncio.ensure_future(anext(events))
    finally:
        coming.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await coming
