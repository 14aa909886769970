"""Wait for a condition, never for a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE_SECONDS = 25.0
"""Shorter than leases and resyncs, which after half a minute would make good for a wake that was lost."""


async def eventually(look: Callable[[], Awaitable[T]], seconds: float = PATIENCE_SECONDS) -> T:
    """What `look` gives as soon as it is true. Fails the test, with the last look, when it never is."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not (seen := await look()):
        assert asyncio.get_running_loop().time() < deadline, f"waited {seconds:g} s in vain; the last look was {seen!r}"
        await asyncio.sleep(0.005)
    return seen
