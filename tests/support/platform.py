"""A whole control plane in this process: real store, operations and reconcilers; simulated boxes and traffic."""

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from roost_server.domain.config import RegistryAuth, RuntimeConfig
from roost_server.domain.image import ImageInfo
from roost_server.domain.replica import Box, Replica
from roost_server.domain.route import Snapshot
from roost_server.domain.runtime import Event, Runtime, Status
from roost_server.engines.engine import OnProgress
from roost_server.engines.faults import Fault
from roost_server.engines.simulated import FAULT_VARIABLE, SimulatedEngine, SimulatedImages
from roost_server.gateway.simulated import SimulatedGateway
from roost_server.operations import caller, endpoints, runtimes, setup, versions, waiting
from roost_server.operations.caller import Caller
from roost_server.operations.capacity import Capacity
from roost_server.operations.context import Context
from roost_server.operations.views import EndpointView, RuntimeView
from roost_server.reconcilers.probe import Prober
from roost_server.server import Platform
from roost_server.settings import Settings
from roost_server.store import chores, replicas, tables
from roost_server.store.cipher import open_cipher
from roost_server.store.leases import wake
from roost_server.store.store import open_store

from support.waiting import PATIENCE_SECONDS, eventually

TOKEN = "test-token-of-the-administrator"
CAPACITY = Capacity(cpu_cores=8, memory_mb=16384)
_CONFIG = TypeAdapter(RuntimeConfig)


class HealingImages(SimulatedImages):
    """References that cannot be had can, after `heal`. Keeps the passwords it was given."""

    def __init__(self) -> None:
        super().__init__()
        self._healed = False
        self.passwords: list[str | None] = []

    def heal(self) -> None:
        self._healed = True

    async def pull(self, reference: str, auth: RegistryAuth | None, progress: OnProgress) -> ImageInfo:
        self.passwords.append(auth.password if auth else None)
        if self._healed:
            reference = reference.replace("image_", "healed_").replace("registry_", "healed_")
        return await super().pull(reference, auth, progress)


class MoodyEngine(SimulatedEngine):
    """Faults for all boxes come and go; hints that boxes changed can be lost; whoever wants is told of deletions, or
    holds up who looks at a box."""

    on_delete: Callable[[str], None] = staticmethod(lambda replica_id: None)
    before_inspect: Callable[[], Awaitable[None]] = staticmethod(partial(asyncio.sleep, 0))

    def fault(self, fault: Fault | None) -> None:
        self._fault = fault

    async def delete(self, replica_id: str, *, force: bool = False) -> None:
        self.on_delete(replica_id)
        await super().delete(replica_id, force=force)

    async def inspect(self, replica_id: str) -> Box | None:
        await self.before_inspect()
        return await super().inspect(replica_id)

    def forget_changes(self) -> None:
        while not self._changes.empty():
            self._changes.get_nowait()


class RememberingGateway(SimulatedGateway):
    """Keeps every snapshot it was told; whoever wants holds up who tells it one."""

    before_publish: Callable[[], Awaitable[object]] = staticmethod(partial(asyncio.sleep, 0))

    def __init__(self) -> None:
        super().__init__()
        self.snapshots: list[Snapshot] = []

    async def publish(self, snapshot: Snapshot) -> None:
        await self.before_publish()
        await super().publish(snapshot)
        self.snapshots.append(snapshot)


def config(image: str | None = None, fault: str | None = None, **document: Any) -> RuntimeConfig:
    """A configuration: `image` and the engine's `fault` by name, the rest as the wire has it."""
    if image is not None:
        document["build"] = {"source": {"kind": "image", "ref": image}, **document.get("build", {})}
    if fault is not None:
        server = document.get("runtime_server", {})
        document["runtime_server"] = {"env": {**server.get("env", {}), FAULT_VARIABLE: fault}}
    return _CONFIG.validate_python(document)


class Rig:
    """A platform and the caller who uses it. `start` and `kill` its loops as often as you like."""

    def __init__(
        self, platform: Platform, engine: MoodyEngine, images: HealingImages, gateway: RememberingGateway
    ) -> None:
        self.platform, self.engine, self.images, self.gateway = platform, engine, images, gateway
        self.context = platform.context
        self.store = platform.context.store
        self.caller: Caller
        self._background: list[asyncio.Task[None]] = []

    def beside(self, other: "Rig") -> None:
        """Work on the other's boxes and traffic, as a second server of one machine would."""
        parts = {"engine": other.engine, "images": other.images, "gateway": other.gateway}
        self.platform = dataclasses.replace(self.platform, **parts)
        self.engine, self.images, self.gateway = other.engine, other.images, other.gateway

    def start(self) -> None:
        self._background = [asyncio.create_task(work) for work in self.platform.background()]

    async def kill(self) -> None:
        """End all loops where they are. Leases stay as they were."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._background = []

    async def revive(self) -> None:
        """What a server does that starts after one that was killed."""
        await self.prepare()
        self.start()

    async def prepare(self) -> None:
        """What a server does before its loops begin: leases that it had when it was killed end."""
        await setup.prepare(self.context, TOKEN, owner=self.platform.owner)
        self.caller = await caller.authenticate(self.store, TOKEN, "default", "default", "test")

    async def create(self, name: str = "agent", **document: Any) -> RuntimeView:
        view, _ = await runtimes.create(self.context, self.caller, name, "", config(**document))
        return view

    async def update(self, name: str, **document: Any) -> Runtime:
        return await versions.replace_config(self.context, self.caller, name, config(**document), None)

    async def endpoint(self, name: str, endpoint: str | None = None) -> EndpointView:
        return await endpoints.get(self.context, self.caller, name, endpoint)

    async def act(self, verb: str, name: str) -> RuntimeView:
        """`start`, `restart` or `stop`."""
        view: RuntimeView = await getattr(runtimes, verb)(self.context, self.caller, name)
        return view

    async def delete(self, name: str) -> None:
        await runtimes.delete(self.context, self.caller, name, None)

    async def view(self, name: str) -> RuntimeView:
        return await runtimes.get(self.context, self.caller, name)

    async def until(self, name: str, status: Status, seconds: float = PATIENCE_SECONDS) -> RuntimeView:
        def reached(view: RuntimeView) -> bool:
            seen.append(f"{view.runtime.status} {view.runtime.reason}: {view.runtime.message}")
            return view.runtime.status == status

        seen: list[str] = []
        nudges = self.store.nudges
        view = await waiting.until(nudges, "runtime_changes", lambda: self.view(name), reached, seconds)
        assert view.runtime.status == status, f"{name} never was {status}; it was {list(dict.fromkeys(seen))}"
        return view

    async def until_gone(self, name: str) -> None:
        async def gone() -> bool:
            async with self.store.read() as tx:
                return await runtimes.runtimes.find(tx, self.caller.workspace_id, name) is None

        await eventually(gone)

    async def replicas(self, name: str) -> list[Replica]:
        view = await self.view(name)
        async with self.store.read() as tx:
            return await replicas.of(tx, view.runtime.id)

    async def events(self, name: str) -> list[Event]:
        """Oldest first."""
        found, _ = await runtimes.page_events(self.context, self.caller, name, 100, None)
        return found[::-1]

    async def event_types(self, name: str) -> list[str]:
        return [event.type for event in await self.events(name)]

    async def resync(self) -> None:
        """Make the resync due now, which otherwise comes every half minute."""
        async with self.store.write() as tx:
            await wake(tx, tables.chores, chores.RESYNC)

    async def boxes(self) -> set[str]:
        return {box.id for box in await self.engine.list()}

    def backends(self, name_or_host: str) -> list[str]:
        """Replicas that get new requests for a host label, by the gateway's last snapshot."""
        for route in self.gateway.snapshot.routes if self.gateway.snapshot else ():
            if f"{name_or_host}.localhost" in route.hosts:
                pools = [pool for pool in route.pools if pool.weight]
                return [each.replica_id for pool in pools for each in pool.backends if not each.draining]
        return []


@asynccontextmanager
async def opened(folder: Path, database_url: str, **options: Any) -> AsyncIterator[Rig]:
    """A prepared rig, on a database with its tables, whose loops do not run yet."""
    settings = Settings(
        data_dir=folder,
        engine="simulated",
        **{"drain_seconds": 2.0, "stop_grace_seconds": 0.05, "rollback_seconds": 0, **options},
    )
    store = open_store(database_url)
    engine, images, gateway = MoodyEngine(), HealingImages(), RememberingGateway()
    prober = Prober(engine)
    context = Context(store, open_cipher(folder / "secret.key"), CAPACITY)
    platform = Platform(settings, context, engine, images, gateway, prober, owner=secrets.token_hex(4))
    rig = Rig(platform, engine, images, gateway)
    try:
        await rig.prepare()
        yield rig
    finally:
        await rig.kill()
        await prober.close()
        await store.close()
