"""Ageing: samples older than an hour become one for every five minutes; those are removed after `keep_hours`.

Five minutes a transaction, so that nobody waits long for the database's one writer.
"""

import asyncio

from roost_server.store import samples
from roost_server.store.store import Store

MOST_AT_ONCE = 300
"""Spans summed up in one go: a server that was away for a day goes on at the next collecting."""


async def age(store: Store, keep_hours: float, now: int) -> None:
    """`now` is Unix time."""
    due = (now - samples.FRESH_SECONDS) // samples.SUMMED * samples.SUMMED
    for _ in range(MOST_AT_ONCE):
        async with store.read() as tx:
            oldest = await samples.oldest_fresh(tx)
        if oldest is None or oldest > due:
            break
        async with store.write() as tx:
            await samples.sum_up(tx, -(-oldest // samples.SUMMED) * samples.SUMMED)
        await asyncio.sleep(0)
    async with store.write() as tx:
        await samples.forget(tx, now - int(keep_hours * 3600))
