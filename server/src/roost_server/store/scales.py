"""Scales: how many replicas of each version scaling last decided on, and since when fewer would do."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from roost_server.store import statements
from roost_server.store.leases import now
from roost_server.store.store import Tx
from roost_server.store.tables import scales as table


@dataclass(frozen=True)
class Scale:
    """`low_since`: from when on fewer replicas would have done, `low_most` at most so many. None: they would not."""

    runtime_id: str
    version: int
    replicas: int
    low_since: datetime | None = None
    low_most: int | None = None


async def of(tx: Tx, *runtime_ids: str) -> dict[tuple[str, int], Scale]:
    """By runtime id and version."""
    query = sa.select(table).where(table.c.runtime_id.in_(runtime_ids))
    rows = await tx.all(query)
    names = Scale.__dataclass_fields__
    return {(row["runtime_id"], row["version"]): Scale(**{name: row[name] for name in names}) for row in rows}


async def put(tx: Tx, scale: Scale) -> None:
    """Replace what was decided before."""
    same = sa.and_(table.c.runtime_id == scale.runtime_id, table.c.version == scale.version)
    values = {"replicas": scale.replicas, "low_since": scale.low_since, "low_most": scale.low_most, "updated_at": now()}
    if await tx.run(sa.update(table).where(same).values(**values)) == 0:
        await tx.run(statements.insert(table), runtime_id=scale.runtime_id, version=scale.version, **values)


async def forget_unused(tx: Tx, runtime_id: str, used: Collection[int]) -> None:
    """Versions that are not used, which of a stopped runtime are all, begin anew at their least."""
    await tx.run(sa.delete(table).where(table.c.runtime_id == runtime_id, table.c.version.not_in(used)))
