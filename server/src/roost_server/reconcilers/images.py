"""Images and pushes: fetch, import, build or send one, and tell the replicas that wait for it."""

import asyncio
import shutil
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from roost_server.domain import errors, image
from roost_server.domain.config import RegistryAuth
from roost_server.domain.image import Image, ImageInfo, ImageSource, ImageStatus, Progress
from roost_server.engines.engine import Images, OnProgress
from roost_server.reconcilers import contexts
from roost_server.reconcilers.loop import held
from roost_server.store import images, leases, replicas
from roost_server.store.cipher import Cipher
from roost_server.store.leases import Lease
from roost_server.store.store import Store, Tx

PROGRESS_SECONDS = 0.5
BUILTIN_POLL_SECONDS = 1.0
ASKED = timedelta(hours=1)
"""Whoever asks for an image wants it for so long, though nothing runs it (yet)."""

BUILD_LIMIT_SECONDS = 3600
"""A build that hangs must not keep others waiting for ever."""
T = TypeVar("T")


@dataclass(frozen=True)
class ImagesReconciler:
    store: Store
    engine: Images
    cipher: Cipher

    async def __call__(self, lease: Lease) -> float | None:
        async with held(self.store, lease) as tx:
            row = await images.get(tx, lease.row_id)
            if row is None or row.status in (ImageStatus.READY, ImageStatus.FAILED):
                return None
            if row.source == ImageSource.BUILD and await _waits_for_builtin(tx, row):
                return BUILTIN_POLL_SECONDS
            work, auth = await images.work_of(tx, row.id, self.cipher)
            local = await images.local_digests(tx, row.workspace_id)
            if row.status != ImageStatus.PULLING:
                await images.set_status(tx, row, ImageStatus.PULLING)
        row = Image(**{**row.__dict__, "status": ImageStatus.PULLING})
        try:
            report = _Report(self.store, row.id)
            info = await report.during(_fetch(self.engine, row, work, auth, local, report.progress))
        except errors.Invalid as error:
            await self._fail(lease, row, error)
        except errors.Unavailable as error:
            if await self._give_up(lease, row, error):
                return None
            raise
        else:
            await self._succeed(lease, row, info)
        await _clear_upload(work)
        return None

    async def _succeed(self, lease: Lease, row: Image, info: ImageInfo) -> None:
        found = {"digest": info.digest, "architecture": info.architecture, "size_bytes": info.size_bytes}
        async with held(self.store, lease) as tx:
            await images.set_status(tx, row, ImageStatus.READY, reason=None, message=None, **found)
            await replicas.wake_for_image(tx, row.id, is_ready=True)

    async def _fail(self, lease: Lease, row: Image, error: errors.Invalid) -> None:
        async with held(self.store, lease) as tx:
            await images.set_status(tx, row, ImageStatus.FAILED, reason=error.reason, message=error.message)
            await replicas.wake_for_image(tx, row.id, is_ready=False)

    async def _give_up(self, lease: Lease, row: Image, error: errors.Unavailable) -> bool:
        """Say why it cannot be had now, and whether that ends the trying: nothing wants it. Only a pull can begin again
        whenever something does."""
        async with held(self.store, lease) as tx:
            is_new = leases.now() - row.created_at < ASKED
            if row.source != ImageSource.PULL or is_new or await replicas.any_runs_image(tx, row.id):
                await images.set_status(tx, row, ImageStatus.PULLING, reason=error.reason, message=error.message)
                return False
            message = f"{error.message}; it is not tried again until something is to run it"
            await images.set_status(tx, row, ImageStatus.PENDING, reason=error.reason, message=message)
            return True


async def _waits_for_builtin(tx: Tx, row: Image) -> bool:
    """Whether the builtin, which the Dockerfile may build on, is still being made; says so in the row."""
    builtin = await images.find_builtin(tx)
    if builtin is None or builtin.status in (ImageStatus.READY, ImageStatus.FAILED):
        return False
    if row.progress != builtin.progress:
        await images.set_progress(tx, row.id, builtin.progress)
    return True


async def _fetch(
    engine: Images,
    row: Image,
    work: dict[str, Any],
    auth: RegistryAuth | None,
    local: dict[str, str],
    progress: OnProgress,
) -> ImageInfo:
    match row.source:
        case ImageSource.BUILTIN:
            return await engine.make_builtin(progress)
        case ImageSource.LOAD:
            return await engine.load(Path(work["path"]), progress)
        case ImageSource.BUILD:
            return await _build(engine, work, local, progress)
        case ImageSource.PULL:
            return await engine.pull(image.parse(row.reference).remote, auth, progress)


async def _build(engine: Images, work: dict[str, Any], local: dict[str, str], progress: OnProgress) -> ImageInfo:
    """The output goes to a file that callers read and follow."""
    progress(Progress("building"))
    await asyncio.to_thread(contexts.unpack, Path(work["archive"]), Path(work["path"]))
    log = await asyncio.to_thread(Path(work["log"]).open, "w", buffering=1, encoding="utf-8", errors="replace")
    with log:
        building = engine.build(
            Path(work["path"]), work["dockerfile"], work["build_args"], local, lambda line: print(line, file=log)
        )
        try:
            return await asyncio.wait_for(building, BUILD_LIMIT_SECONDS)
        except TimeoutError:
            message = f"cannot build the image: it took longer than {BUILD_LIMIT_SECONDS // 60} minutes"
            raise errors.Invalid(message, reason="image_build_failed") from None


async def _clear_upload(work: dict[str, Any]) -> None:
    if "upload" in work:
        with suppress(FileNotFoundError):
            await asyncio.to_thread(shutil.rmtree, work["upload"])


class _Report:
    """Writes the latest progress to the row now and then while some work goes on."""

    def __init__(self, store: Store, image_id: str) -> None:
        self._store = store
        self._image_id = image_id
        self._latest = Progress()

    def progress(self, progress: Progress) -> None:
        self._latest = progress

    async def during(self, work: Awaitable[T]) -> T:
        task = asyncio.ensure_future(work)
        written = Progress()
        try:
            while not (await asyncio.wait({task}, timeout=PROGRESS_SECONDS))[0]:
                if self._latest != written:
                    written = self._latest
                    async with self._store.write() as tx:
                        await images.set_progress(tx, self._image_id, written)
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True)
class PushesReconciler:
    store: Store
    engine: Images
    cipher: Cipher

    async def __call__(self, lease: Lease) -> float | None:
        async with self.store.read() as tx:
            push = await images.push_work(tx, lease.row_id, self.cipher)
        if push is None or push.status in ("ready", "failed"):
            return None
        outcome: dict[str, Any] = {"status": "ready", "reason": None, "message": None}
        try:
            remote = image.parse(push.reference).remote
            await self.engine.push(push.digest, remote, push.auth, lambda progress: None)
        except errors.Invalid as error:
            outcome = {"status": "failed", "reason": error.reason, "message": error.message}
        except errors.Unavailable as error:
            outcome = {"status": "failed", "reason": error.reason, "message": error.message}
        async with held(self.store, lease) as tx:
            await images.finish_push(tx, lease.row_id, **outcome)
        return None
