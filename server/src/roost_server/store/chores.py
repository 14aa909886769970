"""Chores: work that belongs to no user's row (routes, resyncing, scaling, collecting), claimed like any other."""

import sqlalchemy as sa

from roost_server.store.leases import now, wake
from roost_server.store.store import Tx
from roost_server.store.tables import chores as table

ROUTES, RESYNC, COLLECT, SCALE = "routes", "resync", "collect", "scale"
_ALL = (ROUTES, RESYNC, COLLECT, SCALE)


async def ensure(tx: Tx) -> None:
    """Every chore has its row and is due now; leases of a server that died are not waited for."""
    there = {row["id"] for row in await tx.all(sa.select(table.c.id))}
    for chore in _ALL:
        if chore not in there:
            await tx.run(sa.insert(table).values(id=chore, wake_at=now(), attempts=0))
    await wake(tx, table, *_ALL)


async def publish_routes(tx: Tx, after_seconds: float = 0) -> None:
    """Something that routes depend on changed in this transaction."""
    await wake(tx, table, ROUTES, after_seconds=after_seconds)


async def scale(tx: Tx) -> None:
    """There are new samples of versions that may scale."""
    await wake(tx, table, SCALE)
