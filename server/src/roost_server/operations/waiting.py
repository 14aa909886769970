"""Waiting for an outcome is reading rows: now, after each nudge, and once a second in case one was lost."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from roost_server.store.nudges import Nudges

T = TypeVar("T")


async def until(
    nudges: Nudges, kind: str, read: Callable[[], Awaitable[T]], settled: Callable[[T], bool], seconds: float
) -> T:
    """What `read` gives once it is `settled`, or as it is after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        seen = nudges.seen(kind)
        found = await read()
        left = deadline - time.monotonic()
        if settled(found) or left <= 0:
            return found
        await nudges.wait(kind, seen, min(left, 1.0))
