"""Endpoints."""

from dataclasses import asdict

import sqlalchemy as sa

from roost_server.domain.endpoint import Endpoint
from roost_server.domain.ids import new_id
from roost_server.store.leases import now
from roost_server.store.store import Tx
from roost_server.store.tables import endpoints as table


async def insert(tx: Tx, runtime_id: str, name: str, pinned_version: int | None = None) -> Endpoint:
    at = now()
    endpoint = Endpoint(new_id(), runtime_id, name, pinned_version, None, 1, at, at)
    await tx.run(sa.insert(table).values(**asdict(endpoint)))
    return endpoint


async def of(tx: Tx, *runtime_ids: str) -> list[Endpoint]:
    """Of these runtimes, oldest first."""
    rows = await tx.all(sa.select(table).where(table.c.runtime_id.in_(runtime_ids)).order_by(table.c.id))
    return [Endpoint(**row) for row in rows]


async def everything(tx: Tx) -> list[Endpoint]:
    return [Endpoint(**row) for row in await tx.all(sa.select(table).order_by(table.c.id))]


async def set_live(tx: Tx, endpoint_id: str, version: int | None) -> None:
    """Record which version serves now."""
    await tx.run(sa.update(table).where(table.c.id == endpoint_id).values(live_version=version, updated_at=now()))
