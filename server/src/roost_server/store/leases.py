"""Leases: who may work on a row, and until when; wakes: when a row is due.

All concurrency between servers is here. A lease that runs out is simply claimed again, so a dead worker needs no
clean-up. Claiming takes the wake out of the row; a wake that arrives while the row is worked on is therefore seen by
`release` and kept. Nothing in this file knows what the rows mean.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from roost_server.store import statements
from roost_server.store.store import Stale, Tx
from roost_server.store.types import Instant

TOKEN_LENGTH = 36
"""Of the column. What the owner takes of it is left of a random id."""


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


@cache
def _due_soonest(table: sa.Table) -> sa.Select[Any]:
    free = sa.select(sa.func.min(table.c.wake_at)).where(table.c.lease_until.is_(None))
    leased = sa.select(sa.func.min(table.c.lease_until))
    return sa.select(free.scalar_subquery().label("free"), leased.scalar_subquery().label("leased"))


async def due_soonest(tx: Tx, table: sa.Table) -> datetime | None:
    """When the next row of this table wants attention; None when none does."""
    row = await tx.first(_due_soonest(table))
    times = [time for time in (row or {}).values() if time is not None]
    return min(times, default=None)


@cache
def _claim(table: sa.Table, locking: bool) -> sa.Executable:
    at, limit = sa.bindparam("at", type_=Instant), sa.bindparam("most", type_=sa.Integer)
    free = sa.or_(table.c.lease_until.is_(None), table.c.lease_until < at)
    due = sa.or_(sa.and_(table.c.wake_at <= at, free), table.c.lease_until < at)
    chosen = sa.select(table.c.id).where(due).order_by(table.c.wake_at).limit(limit)
    if locking:
        chosen = chosen.with_for_update(skip_locked=True)
    taken = {"wake_at": None, "lease_token": sa.bindparam("token"), "lease_until": sa.bindparam("until", type_=Instant)}
    return sa.update(table).where(table.c.id.in_(chosen)).values(taken).returning(table.c.id, table.c.attempts)


async def claim(tx: Tx, table: sa.Table, limit: int, seconds: float, *, owner: str = "") -> list[Lease]:
    """Take up to `limit` due rows for `seconds`, the longest due first. `owner` (a few letters) takes them."""
    at, token = now(), f"{owner}{uuid.uuid4()}"[:TOKEN_LENGTH]
    statement = _claim(table, locking=not tx.is_sqlite)
    rows = await tx.all(statement, at=at, most=limit, token=token, until=at + timedelta(seconds=seconds))
    return [Lease(table, row["id"], token, row["attempts"]) for row in rows]


@cache
def _hold(table: sa.Table) -> sa.Update:
    return _mine(table).values(lease_until=sa.bindparam("until", type_=Instant))


async def hold(tx: Tx, lease: Lease, seconds: float) -> None:
    """Begin every write with this: prolongs the lease, or raises `LostLease` so that a stale worker writes nothing.
    Raises `Stale` when there is nothing to write to any more: the row was deleted meanwhile."""
    until = now() + timedelta(seconds=seconds)
    if await tx.run(_hold(lease.table), row=lease.row_id, token=lease.token, until=until) == 0:
        row = await tx.first(statements.by_id(lease.table, ("id",)), row_id=lease.row_id)
        raise (Stale if row is None else LostLease)(f"{lease.table.name} {lease.row_id}")


@cache
def _release(table: sa.Table) -> sa.Executable:
    at, wake = sa.bindparam("at", type_=Instant), table.c.wake_at
    earlier = sa.case((sa.or_(wake < at, at.is_(None)), wake), else_=at)
    values: dict[str, Any] = {
        "wake_at": earlier,
        "lease_token": None,
        "lease_until": None,
        "attempts": sa.bindparam("failed"),
    }
    return _mine(table).values(values).returning(wake)


async def release(tx: Tx, lease: Lease, wake_at: datetime | None, *, attempts: int = 0) -> datetime | None:
    """Give the row back, due at `wake_at` or at the earlier wake that arrived meanwhile; when it is due now.

    A lost lease is left alone."""
    mine = {"row": lease.row_id, "token": lease.token}
    row = await tx.first(_release(lease.table), **mine, at=wake_at, failed=attempts)
    return row["wake_at"] if row else None


def _mine(table: sa.Table) -> sa.Update:
    return sa.update(table).where(table.c.id == sa.bindparam("row"), table.c.lease_token == sa.bindparam("token"))


async def end_all(tx: Tx, table: sa.Table, *, owner: str = "") -> None:
    """Make every row due now that this owner, or anybody, claimed. Only for a server that has not begun to work, and
    without an owner only for the sole one of a database."""
    claimed = table.c.lease_token.startswith(owner, autoescape=True)
    await take_turn(tx, table, [row["id"] for row in await tx.all(sa.select(table.c.id).where(claimed))])
    await tx.run(sa.update(table).where(claimed).values(wake_at=now(), lease_token=None, lease_until=None))


@cache
def _take_turn(table: sa.Table) -> sa.Select[Any]:
    ids: sa.BindParameter[Any] = sa.bindparam("row_ids", expanding=True)
    return sa.select(table.c.id).where(table.c.id.in_(ids)).order_by(table.c.id).with_for_update(key_share=True)


async def take_turn(tx: Tx, table: sa.Table, row_ids: Collection[str]) -> None:
    """Keep other writers from these rows, and from what is locked along with them, until the end of the transaction.
    Taken in one order, so that no two wait for each other; SQLite has one writer anyway."""
    if row_ids and not tx.is_sqlite:
        await tx.all(_take_turn(table), row_ids=list(row_ids))


@cache
def _wake(table: sa.Table) -> sa.Update:
    at = sa.bindparam("at", type_=Instant)
    sooner = sa.case((table.c.wake_at < at, table.c.wake_at), else_=at)
    return sa.update(table).where(table.c.id.in_(sa.bindparam("row_ids", expanding=True))).values(wake_at=sooner)


async def wake(tx: Tx, table: sa.Table, *row_ids: str, after_seconds: float = 0) -> None:
    """Make rows due, unless they are sooner. In the transaction that gives the reason."""
    if row_ids:
        if len(row_ids) > 1:
            await take_turn(tx, table, row_ids)
        await tx.run(_wake(table), row_ids=row_ids, at=now() + timedelta(seconds=after_seconds))
        tx.nudge(table.name)
