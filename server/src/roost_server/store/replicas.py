"""Replicas."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from roost_server.domain import transitions
from roost_server.domain.ids import new_id
from roost_server.domain.replica import ALLOWED, Replica, ReplicaStatus
from roost_server.domain.runtime import Reason
from roost_server.store import statements
from roost_server.store.leases import now, take_turn, wake
from roost_server.store.store import Row, Stale, Tx
from roost_server.store.tables import replicas as table
from roost_server.store.tables import versions

_NAMES = tuple(Replica.__dataclass_fields__)
_COLUMNS = [table.c[name] for name in _NAMES]
_BOOKKEEPING = ("failures", "probe_failures", "restart_at", "queued_at", "stopping_at")
_NOT_YET_READY = (ReplicaStatus.PENDING, ReplicaStatus.STARTING, ReplicaStatus.FAILED)


def _replica(row: Row) -> Replica:
    return Replica(**{**row, "status": ReplicaStatus(row["status"])})


async def insert(tx: Tx, runtime_id: str, version: int, generation: int) -> str:
    """A new pending replica, due now; its id. Inserting is the message to the replicas reconciler."""
    at, replica_id = now(), new_id()
    blank = {"routed": False, "restarts": 0, "failures": 0, "probe_failures": 0, "phases": {}}
    times = {"created_at": at, "queued_at": at, "updated_at": at, "wake_at": at}
    row = {"id": replica_id, "runtime_id": runtime_id, "version": version, "generation": generation}
    await tx.run(statements.insert(table), **row, status=ReplicaStatus.PENDING, **blank, **times)
    tx.nudge("replicas")
    return replica_id


async def get(tx: Tx, replica_id: str) -> Replica | None:
    row = await tx.first(statements.by_id(table, _NAMES), row_id=replica_id)
    return _replica(row) if row else None


async def of(tx: Tx, *runtime_ids: str) -> list[Replica]:
    """Of these runtimes, oldest first."""
    query = statements.belonging_to(table, _NAMES)
    return [_replica(row) for row in await tx.all(query, runtime_ids=runtime_ids)]


async def everything(tx: Tx) -> list[Replica]:
    return [_replica(row) for row in await tx.all(sa.select(*_COLUMNS).order_by(table.c.id))]


async def set_status(tx: Tx, replica: Replica, status: ReplicaStatus, **values: Any) -> None:
    """The one way a replica's status changes, with whatever else is observed at that moment. Raises `Stale`."""
    transitions.check(ALLOWED, replica.status, status)
    values |= {"status": status, "updated_at": now()}
    move = statements.move(table, *sorted(values))
    if await tx.run(move, row_id=replica.id, was=replica.status, **statements.new(values)) == 0:
        raise Stale(f"replica {replica.id} is no longer {replica.status}")


async def update(tx: Tx, replica_id: str, **values: Any) -> None:
    """Record an observation that changes no status."""
    values["updated_at"] = now()
    await tx.run(statements.update(table, *sorted(values)), row_id=replica_id, **statements.new(values))


async def delete(tx: Tx, replica_id: str) -> None:
    await tx.run(sa.delete(table).where(table.c.id == replica_id))


async def bookkeeping(tx: Tx, replica_id: str) -> dict[str, Any]:
    """What only its reconciler needs: `failures`, `probe_failures`, `restart_at`, `queued_at`, `stopping_at`."""
    row = await tx.first(statements.by_id(table, _BOOKKEEPING), row_id=replica_id)
    return dict(row) if row else {}


def _runs(image_id: str) -> sa.ColumnElement[bool]:
    same = sa.and_(versions.c.runtime_id == table.c.runtime_id, versions.c.number == table.c.version)
    return sa.exists().where(same, versions.c.image_id == image_id)


async def any_runs_image(tx: Tx, image_id: str) -> bool:
    """Whether some replica that is to stay runs this image, or is to run it."""
    stays = table.c.status != ReplicaStatus.STOPPING
    return await tx.first(sa.select(table.c.id).where(_runs(image_id), stays).limit(1)) is not None


async def wake_for_image(tx: Tx, image_id: str, *, is_ready: bool) -> None:
    """What becomes of an image is known: replicas that have not started look again. When it is ready those that gave up
    start again too, since nothing else can have kept them down."""
    waiting = table.c.status.in_((ReplicaStatus.PENDING, ReplicaStatus.FAILED))
    ids = [row["id"] for row in await tx.all(sa.select(table.c.id).where(_runs(image_id), waiting))]
    await wake(tx, table, *ids)
    if is_ready and ids:
        gave_up = sa.and_(table.c.status == ReplicaStatus.FAILED, table.c.restart_at.is_(None))
        await tx.run(sa.update(table).where(table.c.id.in_(ids), gave_up).values(restart_at=now()))


async def retry_failed(tx: Tx, runtime_id: str) -> None:
    """Make failed replicas of a runtime start again now; what they failed for before is no longer told."""
    coming = sa.and_(table.c.runtime_id == runtime_id, table.c.status.in_(_NOT_YET_READY))
    await take_turn(tx, table, [row["id"] for row in await tx.all(sa.select(table.c.id).where(coming))])
    await tx.run(sa.update(table).where(coming).values(reason=Reason.WAITING, message=None, failures=0))
    failed = sa.and_(table.c.runtime_id == runtime_id, table.c.status == ReplicaStatus.FAILED)
    await tx.run(sa.update(table).where(failed).values(restart_at=now(), wake_at=now()))
    tx.nudge("replicas")


async def set_routed(tx: Tx, ids: Collection[str], routed: bool) -> None:
    """Record that the gateway sends new requests to these, or no longer does."""
    if ids:
        await tx.run(sa.update(table).where(table.c.id.in_(ids)).values(routed=routed))


def seconds_since(moment: datetime) -> float:
    return max(0.0, (now() - moment).total_seconds())


async def versions_ready(tx: Tx) -> set[tuple[str, int]]:
    """Runtime ids and versions of which at least one replica is ready."""
    query = sa.select(table.c.runtime_id, table.c.version).where(table.c.status == ReplicaStatus.READY).distinct()
    return {(runtime_id, version) for runtime_id, version in await tx.tuples(query)}
