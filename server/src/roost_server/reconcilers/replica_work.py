"""What the steps of the replicas reconciler share: the parts they act with and what is known of one replica."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from roost_server.domain.image import Image, ImageStatus
from roost_server.domain.replica import Box, Replica, ReplicaStatus
from roost_server.domain.runtime import Runtime
from roost_server.domain.version import Version
from roost_server.engines.engine import Engine
from roost_server.gateway.gateway import Gateway
from roost_server.reconcilers.loop import LEASE_SECONDS
from roost_server.reconcilers.probe import Prober
from roost_server.reconcilers.spec import Surroundings
from roost_server.store import chores, events, images, leases, replicas, runtimes, tables, versions
from roost_server.store.cipher import Cipher
from roost_server.store.leases import Lease
from roost_server.store.store import Stale, Store, Tx


@dataclass(frozen=True)
class Parts:
    store: Store
    engine: Engine
    gateway: Gateway
    prober: Prober
    drain_seconds: float
    stop_grace_seconds: float
    cipher: Cipher
    surroundings: Surroundings


@dataclass(frozen=True)
class Work:
    """One replica, all rows it depends on, and its box as the engine sees it."""

    lease: Lease
    runtime: Runtime
    version: Version
    image: Image
    replica: Replica
    box: Box | None
    failures: int
    probe_failures: int
    restart_at: datetime | None
    queued_at: datetime
    stopping_at: datetime | None


async def read(parts: Parts, lease: Lease) -> Work | None:
    """None when the row is gone."""
    async with parts.store.read() as tx:
        replica = await replicas.get(tx, lease.row_id)
        if replica is None:
            return None
        runtime = await runtimes.get(tx, replica.runtime_id)
        version = await versions.get(tx, replica.runtime_id, replica.version)
        assert runtime is not None and version is not None
        image = await images.get(tx, version.image_id)
        assert image is not None
        books = await replicas.bookkeeping(tx, replica.id)
    box = await parts.engine.inspect(replica.id)
    return Work(lease, runtime, version, image, replica, box, **books)


@asynccontextmanager
async def telling(parts: Parts, work: Work) -> AsyncIterator[Tx]:
    """A write that begins by holding the lease, and wakes the runtime. Raises `Stale`.

    Everybody locks a runtime before its replicas, so that no two transactions wait for each other."""
    async with parts.store.write() as tx:
        await leases.wake(tx, tables.runtimes, work.runtime.id)
        await leases.hold(tx, work.lease, LEASE_SECONDS)
        await _check_image(tx, work)
        yield tx


async def _check_image(tx: Tx, work: Work) -> None:
    """Nothing that was decided for want of an image holds when that came meanwhile, and whom it woke then will not be
    woken for it again. Raises `Stale`."""
    if work.image.status == ImageStatus.FAILED:
        now = await images.get(tx, work.image.id)
        if now is None or now.status != ImageStatus.FAILED:
            raise Stale(f"image {work.image.id} is no longer {work.image.status}")


@dataclass(frozen=True)
class Happening:
    """An event to record along with a change of status."""

    type: str
    message: str
    data: dict[str, Any]


async def move(
    parts: Parts, work: Work, status: ReplicaStatus, happening: Happening | None = None, **values: Any
) -> None:
    """Change the replica's status, tell its runtime, and the routes when traffic depends on it."""
    affects_routes = ReplicaStatus.READY in (status, work.replica.status)
    async with telling(parts, work) as tx:
        await replicas.set_status(tx, work.replica, status, **values)
        if happening:
            reason = values.get("reason", work.replica.reason)
            await events.record(
                tx,
                work.runtime.id,
                happening.type,
                happening.message,
                replica_id=work.replica.id,
                reason=reason,
                data=happening.data,
            )
        if affects_routes:
            await chores.publish_routes(tx)
