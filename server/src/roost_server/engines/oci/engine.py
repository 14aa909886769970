"""The oci engine: replicas as boxes on this machine.

A box is a disk, a network link, cgroups and a process under conmon, found by the replica's id. Nothing of it depends on
the server's life: a server that starts again adopts what it finds. Blocking work runs on the engine's own threads; all
that concerns one replica is done one after the other, under that replica's lock.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import structlog

from roost_server.domain import errors
from roost_server.domain.exec import ExecRequest, ExecResult
from roost_server.domain.log import LogLine, LogPage, LogQuery
from roost_server.domain.replica import Box, ReplicaSpec, Usage
from roost_server.engines.oci import observing, removing
from roost_server.engines.oci.box import Stage
from roost_server.engines.oci.host import Host
from roost_server.engines.oci.image import UnpackedImages
from roost_server.engines.oci.linux import inotify
from roost_server.engines.oci.locks import Locks
from roost_server.engines.oci.logs import logs
from roost_server.engines.oci.making import Making
from roost_server.engines.oci.network import firewall
from roost_server.engines.oci.orphans import Orphans
from roost_server.engines.oci.process.exec import Exec, not_running
from roost_server.engines.oci.settings import OciSettings

T = TypeVar("T")
THREADS = 16
TEND_SECONDS = 30.0

log = structlog.get_logger(__name__)


class OciEngine:
    """Satisfies Engine, Reachable, Watches, Execs, Logs and Measures. Call `start` first."""

    def __init__(self, settings: OciSettings, images: UnpackedImages) -> None:
        self._settings = settings
        self._images = images
        self._threads = ThreadPoolExecutor(THREADS, "oci")
        self._locks = Locks()
        self._orphans = Orphans()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ready: Host | None = None

    @property
    def _host(self) -> Host:
        if self._ready is None:
            raise errors.Unavailable("cannot use the oci engine: it was not started", reason="engine_unavailable")
        return self._ready

    async def start(self) -> None:
        """Make the host ready and adopt every living box. Raises `Unavailable` saying what the host lacks."""
        if self._ready is None:
            host = await self._call(partial(Host, self._settings))
            try:
                await self._call(host.prepare)
            except BaseException:
                host.close()
                raise
            self._ready = host
            self._exec = Exec(host.runtime, host.installation.runc_root, host.cgroups, self._orphans)
            self._orphans.start(host.cgroups.take_monitor)
            self._keep(host.rotation.run())
            self._keep(self._tend(host))

    def host_address(self) -> str | None:
        return None if self._settings.api_port is None else str(self._host.installation.host_address)

    async def _tend(self, host: Host) -> None:
        """Put the firewall back should somebody flush it; give unused disk space back to the host."""
        while True:
            await asyncio.sleep(TEND_SECONDS)
            try:
                await self._call(host.give_back)
                if not await self._call(partial(firewall.is_in_place, host.installation)):
                    await self._call(partial(firewall.prepare, host.installation, self._settings.api_port))
                    log.warning("firewall_restored", table=host.installation.table)
            except (errors.RoostError, OSError) as error:
                log.warning("tending_failed", error=str(error), detail=getattr(error, "detail", None))

    async def close(self) -> None:
        """Let go of everything. Boxes go on."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._orphans.close()
        self._threads.shutdown(wait=True)
        if self._ready is not None:
            self._ready.close()
            self._ready = None

    async def destroy(self) -> None:
        """Remove every box and all else that this installation put on the host, but not logs and images."""
        for box in await self.list():
            await self.delete(box.id, force=True)
        host = self._host
        await self.close()  # else what tends the host would put back what is being removed
        await asyncio.to_thread(host.destroy)

    async def create(self, replica: ReplicaSpec) -> Box:
        return await self._uninterrupted(replica.id, self._create(replica))

    async def _create(self, replica: ReplicaSpec) -> Box:
        host = self._host
        state = host.states.get(replica.id)
        if state is not None and state.stage is Stage.STARTED:
            return await self._call(partial(observing.observe, host, state))
        if state is not None:
            await removing.remove(host, state, True, self._call)
        image = await self._call(partial(self._images.unpacked, replica.image_digest))
        state = await self._call(Making(host, replica, image, self._orphans.spawn).make)
        return observing.observe(host, state)

    async def inspect(self, replica_id: str) -> Box | None:
        state = self._host.states.get(replica_id)
        if state is None:
            return None
        if observing.is_running(self._host, state):
            return observing.observe(self._host, state)
        return await self._call(partial(observing.observe, self._host, state))

    async def list(self) -> list[Box]:
        host = self._host
        return await self._call(lambda: [observing.observe(host, state) for state in host.states])

    async def delete(self, replica_id: str, *, force: bool = False) -> None:
        await self._uninterrupted(replica_id, self._delete(replica_id, force))

    async def _delete(self, replica_id: str, force: bool) -> None:
        state = self._host.states.get(replica_id)
        if state is not None:
            await removing.remove(self._host, state, force, self._call)

    async def changes(self) -> AsyncIterator[str]:
        with inotify.Watcher() as watcher:
            watcher.watch(self._host.installation.exits, inotify.MOVED_IN | inotify.CLOSED_AFTER_WRITE)
            while True:
                for change in await watcher.changes():
                    if self._host.states.get(change.name) is not None:
                        yield change.name

    async def exec(self, replica_id: str, request: ExecRequest) -> ExecResult:
        state = self._host.states.get(replica_id)
        if state is None:
            raise errors.NotFound(f"cannot run a command in replica {replica_id}: there is no such replica")
        if not observing.is_running(self._host, state):
            raise not_running(replica_id)
        return await self._exec.run(replica_id, self._host.bundle(replica_id), request)

    async def read_logs(self, runtime_id: str, query: LogQuery) -> LogPage:
        return await self._call(partial(logs.read, self._host.installation.logs / runtime_id, query))

    async def follow_logs(self, runtime_id: str, query: LogQuery) -> AsyncIterator[LogLine]:
        async for line in logs.follow(self._host.installation.logs / runtime_id, query, self._call):
            yield line

    async def forget_logs(self, runtime_id: str) -> None:
        await self._call(partial(logs.forget, self._host.installation.logs / runtime_id))

    async def measure(self) -> dict[str, Usage]:
        return await self._call(self._measure)

    def _measure(self) -> dict[str, Usage]:
        host = self._host
        running = [state.id for state in host.states if observing.is_running(host, state)]
        measured = {replica_id: host.cgroups.usage(replica_id) for replica_id in running}
        return {replica_id: usage for replica_id, usage in measured.items() if usage is not None}

    async def _call(self, function: Callable[[], T]) -> T:
        """Run what blocks on one of the engine's threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function)

    async def _uninterrupted(self, replica_id: str, work: Coroutine[Any, Any, T]) -> T:
        """Under the replica's lock, to the end even if the caller goes away: half a box helps nobody."""

        async def locked() -> T:
            async with self._locks.holding(replica_id):
                return await work

        return await asyncio.shield(self._keep(locked()))

    def _keep(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that is not forgotten before it ends."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
