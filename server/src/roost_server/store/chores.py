"""Chores: work that belongs to no user's row (publishing routes, resyncing, collecting), claimed like any other."""

import sqlalchemy as sa

from roost_server.store.leases import now, wake
from roost_server.store.store import Tx
from roost_server.store.tables import chores as table

ROUTES, RESYNC, COLLECT = "routes", "resync", "collect"


async def ensure(tx: Tx) -> None:
    """Every chore has its row and is due now; leases of a server that died are not waited for."""
    there = {row["id"] for row in await tx.all(sa.select(table.c.id))}
    for chore in (ROUTES, RESYNC, COLLECT):
        if chore not in there:
            await tx.run(sa.insert(table).values(id=chore, wake_at=now(), attempts=0))
    await wake(tx, table, ROUTES, RESYNC, COLLECT)


async def publish_routes(tx: Tx, after_seconds: float = 0) -> None:
    """Something that routes depend on changed in this transaction."""
    await wake(tx, table, ROUTES, after_seconds=after_seconds)
