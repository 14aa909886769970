"""Endpoints."""

from dataclasses import asdict

import sqlalchemy as sa

from roost_server.domain.endpoint import Endpoint
from roost_server.domain.ids import new_id
from roost_server.store import statements
from roost_server.store.leases import now
from roost_server.store.store import Tx
from roost_server.store.tables import endpoints as table


async def insert(tx: Tx, runtime_id: str, name: str, pinned_version: int | None = None) -> Endpoint:
    at = now()
    endpoint = Endpoint(new_id(), runtime_id, name, pinned_version, None, 1, at, at)
    await tx.run(statements.insert(table), **asdict(endpoint))
    return endpoint


async def of(tx: Tx, *runtime_ids: str) -> list[Endpoint]:
    """Of these runtimes, oldest first."""
    query = statements.belonging_to(table, tuple(Endpoint.__dataclass_fields__))
    rows = await tx.all(query, runtime_ids=runtime_ids)
    return [Endpoint(**row) for row in rows]


async def everything(tx: Tx) -> list[Endpoint]:
    return [Endpoint(**row) for row in await tx.all(sa.select(table).order_by(table.c.id))]


async def set_live(tx: Tx, endpoint_id: str, version: int | None) -> None:
    """Record which version serves now."""
    values = {"live_version": version, "updated_at": now()}
    await tx.run(statements.update(table, *values), row_id=endpoint_id, **statements.new(values))
