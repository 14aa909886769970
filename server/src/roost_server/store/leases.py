"""Leases: who may work on a row, and until when; wakes: when a row is due.

All concurrency between servers is here. A lease that runs out is simply claimed again, so a dead worker needs no
clean-up. Claiming takes the wake out of the row; a wake that arrives while the row is worked on is therefore seen by
`release` and kept. Nothing in this file knows what the rows mean.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from roost_server.store.store import Tx


class LostLease(Exception):
    """The lease ran out and somebody else has the row. The stale worker must write nothing."""


@dataclass(frozen=True)
class Lease:
    """A claim on one row. `attempts` counts the failures in a row before this one."""

    table: sa.Table
    row_id: str
    token: str
    attempts: int


def now() -> datetime:
    return datetime.now(UTC)


def _due(table: sa.Table, at: datetime) -> sa.ColumnElement[bool]:
    free_and_awake = sa.and_(table.c.wake_at <= at, sa.or_(table.c.lease_until.is_(None), table.c.lease_until < at))
    return sa.or_(free_and_awake, table.c.lease_until < at)


async def due_soonest(tx: Tx, table: sa.Table) -> datetime | None:
    """When the next row of this table wants attention; None when none does."""
    free = sa.select(sa.func.min(table.c.wake_at)).where(table.c.lease_until.is_(None))
    leased = sa.select(sa.func.min(table.c.lease_until))
    row = await tx.first(sa.select(free.scalar_subquery().label("free"), leased.scalar_subquery().label("leased")))
    times = [time for time in (row or {}).values() if time is not None]
    return min(times, default=None)


async def claim(tx: Tx, table: sa.Table, limit: int, seconds: float) -> list[Lease]:
    """Take up to `limit` due rows for `seconds`, the longest due first."""
    at = now()
    chosen = sa.select(table.c.id).where(_due(table, at)).order_by(table.c.wake_at).limit(limit)
    if not tx.is_sqlite:
        chosen = chosen.with_for_update(skip_locked=True)
    token = str(uuid.uuid4())
    rows = await tx.all(
        sa.update(table)
        .where(table.c.id.in_(chosen))
        .values(wake_at=None, lease_token=token, lease_until=at + timedelta(seconds=seconds))
        .returning(table.c.id, table.c.attempts)
    )
    return [Lease(table, row["id"], token, row["attempts"]) for row in rows]


async def hold(tx: Tx, lease: Lease, seconds: float) -> None:
    """Begin every write with this: prolongs the lease, or raises `LostLease` so that a stale worker writes nothing."""
    touched = await tx.run(_mine(lease).values(lease_until=now() + timedelta(seconds=seconds)))
    if touched == 0:
        raise LostLease(f"{lease.table.name} {lease.row_id}")


async def release(tx: Tx, lease: Lease, wake_at: datetime | None, *, attempts: int = 0) -> None:
    """Give the row back, due at `wake_at` or at the earlier wake that arrived meanwhile. A lost lease is left alone."""
    wake = lease.table.c.wake_at
    earlier = wake if wake_at is None else sa.case((wake < wake_at, wake), else_=sa.bindparam("at", wake_at, wake.type))
    await tx.run(_mine(lease).values(wake_at=earlier, lease_token=None, lease_until=None, attempts=attempts))


def _mine(lease: Lease) -> sa.Update:
    table = lease.table
    return sa.update(table).where(table.c.id == lease.row_id, table.c.lease_token == lease.token)


async def end_all(tx: Tx, table: sa.Table) -> None:
    """Make every claimed row due now. Only for the sole server of a database, before it begins to work."""
    claimed = table.c.lease_token.is_not(None)
    await tx.run(sa.update(table).where(claimed).values(wake_at=now(), lease_token=None, lease_until=None))


async def wake(tx: Tx, table: sa.Table, *row_ids: str) -> None:
    """Make rows due now. In the transaction that gives the reason."""
    if row_ids:
        await tx.run(sa.update(table).where(table.c.id.in_(row_ids)).values(wake_at=now()))
        tx.nudge(table.name)
