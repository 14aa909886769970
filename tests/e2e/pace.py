"""Requests at a steady rate that a machine which halts for a moment is not overrun by."""

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine

AT_ONCE = 100
"""So many under way are waited for: a machine that cannot follow is asked less, and never the more the slower it is."""


async def steadily(
    per_second: float, ask: Callable[[int], Coroutine[None, None, None]], is_over: Callable[[], bool]
) -> None:
    """Ask, numbered from 0, whether or not what came before was answered; at the end all have their answer. What was
    missed while the machine stood still is not made up for."""
    room = asyncio.Semaphore(AT_ONCE)
    due = time.monotonic()
    async with asyncio.TaskGroup() as under_way:
        for number in itertools.count():
            await room.acquire()
            if is_over():
                return
            under_way.create_task(ask(number)).add_done_callback(lambda _: room.release())
            due = max(due + 1 / per_second, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
