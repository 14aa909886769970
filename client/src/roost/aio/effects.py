"""What differs between the two clients beyond `await`: sleeping, and handing over a body that is read from disk."""

import asyncio
from collections.abc import AsyncIterator

from roost.calls import Body

sleep = asyncio.sleep


async def chunks(body: Body) -> AsyncIterator[bytes]:
    """The body's chunks, read in a thread so that the event loop goes on."""
    iterator = body()
    while chunk := await asyncio.to_thread(next, iterator, b""):
        yield chunk
