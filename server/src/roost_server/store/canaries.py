"""Canaries: those under way, and what became of earlier ones."""

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from roost_server.domain import transitions
from roost_server.domain.canary import ALLOWED, UNDER_WAY, Canary, CanaryStatus, Tally, Terms
from roost_server.domain.endpoint import Endpoint
from roost_server.domain.ids import new_id
from roost_server.domain.judging import Stretches
from roost_server.domain.traffic import Counts
from roost_server.store import pages, statements
from roost_server.store.leases import now
from roost_server.store.store import Row, Stale, Tx
from roost_server.store.tables import canaries as table
from roost_server.store.trimming import keep_newest

_NAMES = tuple(Canary.__dataclass_fields__)
_COLUMNS = [table.c[name] for name in _NAMES]
ENDED_KEPT_PER_RUNTIME = 100
_TALLIES = ("baseline", "judged")


def _canary(row: Row) -> Canary:
    tallies = {name: _tally(row[name]) for name in _TALLIES}
    return Canary(**{**row, "steps": tuple(row["steps"]), "status": CanaryStatus(row["status"]), **tallies})


def _tally(document: dict[str, Any] | None) -> Tally | None:
    if document is None:
        return None
    return Tally(_counts(document["old"]), _counts(document["new"]), _stretches(document.get("stretches")))


def _stretches(document: dict[str, Any] | None) -> Stretches:
    """None: written by a release that did not count them."""
    return Stretches(**{**document, "until": _counts(document["until"])}) if document else Stretches()


def _counts(document: dict[str, Any]) -> Counts:
    """JSON has only texts as keys."""
    durations = {float(took): count for took, count in document["durations"].items()}
    return Counts(document["requests"], document["errors"], durations)


def _document(values: dict[str, Any]) -> dict[str, Any]:
    """Values of a canary as the database keeps them."""
    tallies = {name: asdict(values[name]) for name in _TALLIES if values.get(name) is not None}
    return {**values, **tallies}


async def insert(tx: Tx, endpoint: Endpoint, from_version: int, to_version: int, terms: Terms) -> Canary:
    """A new one at its first step, due now."""
    at = now()
    blank = {"message": None, "step": 0, "step_since": None, "baseline": None, "judged": None}
    owned = {"id": new_id(), "runtime_id": endpoint.runtime_id, "endpoint_id": endpoint.id}
    versions = {"from_version": from_version, "to_version": to_version}
    stamps = {"status": CanaryStatus.RUNNING, "revision": 1, "created_at": at, "updated_at": at}
    row = {**owned, **versions, **asdict(terms), **blank, **stamps}
    await tx.run(statements.insert(table), **{**row, "steps": list(terms.steps)}, wake_at=at)
    tx.nudge("canaries")
    return Canary(**row)


async def get(tx: Tx, canary_id: str) -> Canary | None:
    row = await tx.first(statements.by_id(table, _NAMES), row_id=canary_id)
    return _canary(row) if row else None


async def under_way(tx: Tx, endpoint_id: str) -> Canary | None:
    """The one of this endpoint that has not ended; there is at most one."""
    ours = sa.and_(table.c.endpoint_id == endpoint_id, table.c.status.in_(UNDER_WAY))
    row = await tx.first(sa.select(*_COLUMNS).where(ours))
    return _canary(row) if row else None


async def all_under_way(tx: Tx, runtime_id: str) -> list[Canary]:
    """Those of all endpoints of a runtime, oldest first."""
    ours = sa.and_(table.c.runtime_id == runtime_id, table.c.status.in_(UNDER_WAY))
    return [_canary(row) for row in await tx.all(sa.select(*_COLUMNS).where(ours).order_by(table.c.id))]


async def page(tx: Tx, runtime_id: str, limit: int, cursor: str | None) -> tuple[list[Canary], str | None]:
    """Newest first."""
    query = sa.select(*_COLUMNS).where(table.c.runtime_id == runtime_id)
    rows, next_cursor = await pages.newest_first(tx, query, table.c.id, limit, cursor)
    return [_canary(row) for row in rows], next_cursor


async def trim(tx: Tx) -> None:
    """Keep those under way, and of each runtime the newest of those that have ended."""
    await keep_newest(tx, table.c.runtime_id, ENDED_KEPT_PER_RUNTIME, table.c.status.not_in(UNDER_WAY))


async def set_status(tx: Tx, canary: Canary, status: CanaryStatus, **values: Any) -> None:
    """The one way a canary's status changes, with whatever else changes with it. Raises `Stale`."""
    transitions.check(ALLOWED, canary.status, status)
    values = {**_document(values), "status": status, "updated_at": now(), "revision": None}
    move = statements.move(table, *sorted(values))
    if await tx.run(move, row_id=canary.id, was=canary.status, **statements.new(values)) == 0:
        raise Stale(f"canary {canary.id} is no longer {canary.status}")
    tx.nudge("canary_changes")


async def look(tx: Tx, canary: Canary, **values: Any) -> None:
    """Record what a look at it told (`message`, `step_since`, `baseline`, `judged`); the revision stays."""
    values = {**_document(values), "updated_at": now()}
    await tx.run(statements.update(table, *sorted(values)), row_id=canary.id, **statements.new(values))
    tx.nudge("canary_changes")
