"""Runtimes."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import sqlalchemy as sa

from roost_server.domain import transitions
from roost_server.domain.ids import new_id
from roost_server.domain.runtime import ALLOWED, Runtime, Status, Wanted
from roost_server.store import pages, statements
from roost_server.store.leases import now
from roost_server.store.store import Row, Stale, Tx
from roost_server.store.tables import runtimes as table

_NAMES = tuple(Runtime.__dataclass_fields__)
_COLUMNS = [table.c[name] for name in _NAMES]


def _runtime(row: Row) -> Runtime:
    return Runtime(**{**row, "wanted": Wanted(row["wanted"]), "status": Status(row["status"])})


async def insert(tx: Tx, workspace_id: str, name: str, description: str, labels: dict[str, str]) -> Runtime:
    """A new runtime, wanted running, at version 1 and due now."""
    at = now()
    runtime = Runtime(
        id=new_id(),
        workspace_id=workspace_id,
        name=name,
        description=description,
        wanted=Wanted.RUNNING,
        status=Status.CREATING,
        reason=None,
        message=None,
        version=1,
        applied_version=1,
        generation=1,
        labels=labels,
        revision=1,
        created_at=at,
        updated_at=at,
    )
    await tx.run(statements.insert(table), **asdict(runtime), wake_at=at)
    tx.nudge("runtimes")
    return runtime


async def get(tx: Tx, runtime_id: str) -> Runtime | None:
    row = await tx.first(statements.by_id(table, _NAMES), row_id=runtime_id)
    return _runtime(row) if row else None


@cache
def _by_id_or_name() -> sa.Select[Any]:
    named = sa.or_(table.c.id == sa.bindparam("its_id"), table.c.name == sa.bindparam("its_name"))
    return sa.select(*_COLUMNS).where(table.c.workspace_id == sa.bindparam("workspace_id"), named)


@cache
def _to_change() -> sa.Select[Any]:
    return _by_id_or_name().with_for_update(key_share=True)


async def find(tx: Tx, workspace_id: str, id_or_name: str, *, to_change: bool = False) -> Runtime | None:
    """`to_change` keeps other writers from the row until the end of the transaction (SQLite has one writer anyway)."""
    named = {"its_id": id_or_name.lower(), "its_name": id_or_name}
    row = await tx.first(_to_change() if to_change else _by_id_or_name(), workspace_id=workspace_id, **named)
    return _runtime(row) if row else None


async def page(
    tx: Tx,
    workspace_id: str,
    *,
    statuses: Sequence[str],
    labels: dict[str, str],
    limit: int,
    cursor: str | None,
) -> tuple[list[Runtime], str | None]:
    """Newest first."""
    query = sa.select(*_COLUMNS).where(table.c.workspace_id == workspace_id)
    if statuses:
        query = query.where(table.c.status.in_(statuses))
    for key, value in labels.items():
        query = query.where(table.c.labels[(key,)].as_string() == value)
    rows, next_cursor = await pages.newest_first(tx, query, table.c.id, limit, cursor)
    return [_runtime(row) for row in rows], next_cursor


async def numbered_page(tx: Tx, workspace_id: str, number: int, size: int) -> tuple[list[Runtime], int]:
    """Newest first; how many there are on all pages."""
    query = sa.select(*_COLUMNS).where(table.c.workspace_id == workspace_id).order_by(table.c.id.desc())
    rows, total = await pages.numbered(tx, query, number, size)
    return [_runtime(row) for row in rows], total


async def everything(tx: Tx) -> list[Runtime]:
    return [_runtime(row) for row in await tx.all(sa.select(*_COLUMNS))]


async def count_by_status(tx: Tx) -> dict[str, int]:
    rows = await tx.all(sa.select(table.c.status, sa.func.count().label("n")).group_by(table.c.status))
    return {row["status"]: row["n"] for row in rows}


async def set_status(
    tx: Tx, runtime: Runtime, status: Status, reason: str | None = None, message: str | None = None
) -> bool:
    """The one way a runtime's status changes; whether anything did. Raises `Stale`; what the table forbids is a bug."""
    if (runtime.status, runtime.reason, runtime.message) == (status, reason, message):
        return False
    transitions.check(ALLOWED, runtime.status, status)
    values = {"status": status, "reason": reason, "message": message, "updated_at": now()}
    if (
        await tx.run(statements.move(table, *values), row_id=runtime.id, was=runtime.status, **statements.new(values))
        == 0
    ):
        raise Stale(f"runtime {runtime.id} is no longer {runtime.status}")
    tx.nudge("runtime_changes")
    return True


async def update(tx: Tx, runtime: Runtime, **values: Any) -> None:
    """Change what a user wants of it (`wanted`, `version`, `applied_version`, `generation`,
    `labels`, `description`); raises the revision."""
    values |= {"revision": table.c.revision + 1, "updated_at": now()}
    await tx.run(sa.update(table).where(table.c.id == runtime.id).values(**values))


async def delete(tx: Tx, runtime_id: str) -> None:
    """With its versions, endpoints, replicas and events."""
    await tx.run(sa.delete(table).where(table.c.id == runtime_id))
    tx.nudge("runtime_changes")
