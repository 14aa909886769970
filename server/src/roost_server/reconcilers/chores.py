"""Chores: publish routes, bring back what the nudges missed, scale, collect what nobody uses."""

import asyncio
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import structlog

from roost_server.domain.replica import BoxStatus
from roost_server.engines.engine import Engine, Images
from roost_server.operations import signing
from roost_server.reconcilers import ageing
from roost_server.reconcilers.routes import Routes
from roost_server.reconcilers.scaling import Scaling
from roost_server.store import (
    canaries,
    chores,
    endpoints,
    events,
    idempotency,
    images,
    key_sets,
    leases,
    replicas,
    sessions,
    tables,
)
from roost_server.store.cipher import Cipher
from roost_server.store.leases import Lease
from roost_server.store.store import Store

log = structlog.get_logger()

RESYNC_SECONDS = 30.0
COLLECT_SECONDS = 600.0
UPLOAD_KEEP_SECONDS = 7 * 24 * 3600
"""Build logs, and what was sent for an image that was deleted before it was made."""


@dataclass(frozen=True)
class ChoresReconciler:
    store: Store
    engine: Engine
    images: Images
    routes: Routes
    scaling: Scaling
    image_keep_hours: float
    metrics_keep_hours: float
    uploads: Path
    cipher: Cipher

    async def __call__(self, lease: Lease) -> float | None:
        match lease.row_id:
            case chores.ROUTES:
                await self.routes.publish()
                return None
            case chores.SCALE:
                await self.scaling.scale()
                return None
            case chores.RESYNC:
                await self._resync()
                return RESYNC_SECONDS
            case _:
                await self._collect()
                return COLLECT_SECONDS

    async def _resync(self) -> None:
        """Wake replicas whose box is not as recorded, and remove boxes that have no row."""
        boxes = {box.id: box for box in await self.engine.list()}
        async with self.store.read() as tx:
            rows = {replica.id: replica for replica in await replicas.everything(tx)}
        running = {box_id for box_id, box in boxes.items() if box.status == BoxStatus.RUNNING}
        strayed = [row.id for row in rows.values() if row.status == "ready" and row.id not in running]
        if strayed:
            async with self.store.write() as tx:
                await leases.wake(tx, tables.replicas, *strayed)
        for box_id in boxes.keys() - rows.keys():
            await self._remove_orphan(box_id)

    async def _remove_orphan(self, box_id: str) -> None:
        async with self.store.read() as tx:
            if await replicas.get(tx, box_id) is not None:
                return
        log.warning("removing a box without a row", replica=box_id)
        await self.engine.delete(box_id)

    async def _collect(self) -> None:
        await asyncio.to_thread(_remove_old_uploads, self.uploads)
        await ageing.age(self.store, self.metrics_keep_hours, int(time.time()))
        before = leases.now() - timedelta(hours=self.image_keep_hours)
        async with self.store.write() as tx:
            await idempotency.purge(tx)
            await sessions.purge(tx)
            await signing.rotate(tx, self.cipher)
            await key_sets.delete_unused(tx, await endpoints.key_urls(tx))
            await events.trim(tx)
            await canaries.trim(tx)
            for image in await images.unused(tx):
                if image.updated_at < before:
                    await images.delete(tx, image.id)
            if await images.any_under_way(tx):
                return
            kept = await images.digests(tx)
        freed = await self.images.keep_only(sorted(kept))
        if freed:
            log.info("removed unused images", bytes=freed)


def _remove_old_uploads(folder: Path) -> None:
    oldest = time.time() - UPLOAD_KEEP_SECONDS
    for path in folder.iterdir() if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < oldest:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
