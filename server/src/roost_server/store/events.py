"""Events of runtimes and actions of people: what happened, and who asked for it."""

from typing import Any

import sqlalchemy as sa

from roost_server.domain.ids import new_id
from roost_server.domain.runtime import Event
from roost_server.store import pages, statements
from roost_server.store.leases import now
from roost_server.store.store import Tx
from roost_server.store.tables import actions, events
from roost_server.store.trimming import keep_newest

KEPT_PER_RUNTIME = 1000
ACTIONS_KEPT_PER_WORKSPACE = 10_000


async def record(
    tx: Tx,
    runtime_id: str,
    type: str,
    message: str,
    *,
    replica_id: str | None = None,
    reason: str | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """Write down what happened, in the transaction that makes it so."""
    values = {"id": new_id(), "runtime_id": runtime_id, "replica_id": replica_id, "created_at": now()}
    await tx.run(statements.insert(events), **values, type=type, reason=reason, message=message, data=data or {})
    tx.nudge("events")


async def page(tx: Tx, runtime_id: str, limit: int, cursor: str | None) -> tuple[list[Event], str | None]:
    query = sa.select(events).where(events.c.runtime_id == runtime_id)
    rows, next_cursor = await pages.newest_first(tx, query, events.c.id, limit, cursor)
    return [Event(**row) for row in rows], next_cursor


async def of_type(tx: Tx, runtime_id: str, type: str) -> list[Event]:
    """All that are kept of one type."""
    rows = await tx.all(sa.select(events).where(events.c.runtime_id == runtime_id, events.c.type == type))
    return [Event(**row) for row in rows]


async def trim(tx: Tx) -> None:
    """Keep the newest events of each runtime and the newest actions in each workspace."""
    await keep_newest(tx, events.c.runtime_id, KEPT_PER_RUNTIME)
    await keep_newest(tx, actions.c.workspace_id, ACTIONS_KEPT_PER_WORKSPACE)


async def record_action(
    tx: Tx, workspace_id: str, runtime_id: str | None, verb: str, actor: str, request_id: str | None
) -> None:
    values = {"id": new_id(), "workspace_id": workspace_id, "runtime_id": runtime_id, "created_at": now()}
    await tx.run(statements.insert(actions), **values, verb=verb, actor=actor, request_id=request_id)
