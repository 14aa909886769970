"""Turns an engine's hints that a box changed into wakes of its row. Hints may be lost; the resync finds those."""

import asyncio

import structlog

from roost_server.engines.engine import Watches
from roost_server.store import leases, tables
from roost_server.store.store import Store

log = structlog.get_logger()

RETRY_SECONDS = 1.0


async def watch(store: Store, engine: Watches) -> None:
    """Until cancelled."""
    while True:
        try:
            async for replica_id in engine.changes():
                async with store.write() as tx:
                    await leases.wake(tx, tables.replicas, replica_id)
        except Exception:
            log.exception("cannot watch the engine")
        await asyncio.sleep(RETRY_SECONDS)
