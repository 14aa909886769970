"""Canaries: those under way, and what became of earlier ones."""

from typing import Any

import sqlalchemy as sa

from roost_server.domain import transitions
from roost_server.domain.canary import ALLOWED, UNDER_WAY, Canary, CanaryStatus
from roost_server.domain.ids import new_id
from roost_server.store import pages, statements
from roost_server.store.leases import now
from roost_server.store.store import Row, Stale, Tx
from roost_server.store.tables import canaries as table

_NAMES = tuple(Canary.__dataclass_fields__)
_COLUMNS = [table.c[name] for name in _NAMES]


def _canary(row: Row) -> Canary:
    return Canary(**{**row, "steps": tuple(row["steps"]), "status": CanaryStatus(row["status"])})


async def insert(tx: Tx, **values: Any) -> Canary:
    """A new one at its first step, due now. `values` are what the caller chose."""
    at = now()
    blank = {"message": None, "step": 0, "step_since": None, "baseline": None, "judged": None, "revision": 1}
    row = {"id": new_id(), "status": CanaryStatus.RUNNING, **blank, "created_at": at, "updated_at": at, **values}
    await tx.run(statements.insert(table), **{**row, "steps": list(row["steps"])}, wake_at=at)
    tx.nudge("canaries")
    return Canary(**{**row, "steps": tuple(row["steps"])})


async def get(tx: Tx, canary_id: str) -> Canary | None:
    row = await tx.first(statements.by_id(table, _NAMES), row_id=canary_id)
    return _canary(row) if row else None


async def under_way(tx: Tx, endpoint_id: str) -> Canary | None:
    """The one of this endpoint that has not ended; there is at most one."""
    ours = sa.and_(table.c.endpoint_id == endpoint_id, table.c.status.in_(UNDER_WAY))
    row = await tx.first(sa.select(*_COLUMNS).where(ours))
    return _canary(row) if row else None


async def page(tx: Tx, runtime_id: str, limit: int, cursor: str | None) -> tuple[list[Canary], str | None]:
    """Newest first."""
    query = sa.select(*_COLUMNS).where(table.c.runtime_id == runtime_id)
    rows, next_cursor = await pages.newest_first(tx, query, table.c.id, limit, cursor)
    return [_canary(row) for row in rows], next_cursor


async def set_status(tx: Tx, canary: Canary, status: CanaryStatus, **values: Any) -> None:
    """The one way a canary's status changes, with whatever else changes with it. Raises `Stale`."""
    transitions.check(ALLOWED, canary.status, status)
    values |= {"status": status, "updated_at": now(), "revision": None}
    move = statements.move(table, *sorted(values))
    if await tx.run(move, row_id=canary.id, was=canary.status, **statements.new(values)) == 0:
        raise Stale(f"canary {canary.id} is no longer {canary.status}")
    tx.nudge("canary_changes")
