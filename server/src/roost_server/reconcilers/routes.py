"""Routes: compute the whole snapshot, publish it, record which replicas get traffic and tell who waited for that.

The snapshot is always whole; what makes it cheap is that a runtime whose situation has not changed keeps the routes
computed before, and that versions, being immutable, are read once.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from roost_server.domain import routing
from roost_server.domain.replica import ReplicaStatus
from roost_server.domain.route import OPEN, Guard, Route, Snapshot
from roost_server.domain.routing import Ports, Situated
from roost_server.gateway.gateway import Gateway
from roost_server.reconcilers import guards
from roost_server.store import endpoints, leases, replicas, tables, traffic, versions
from roost_server.store.store import Store, Tx
from roost_server.store.traffic import Traffic

REST = 2.0
"""After a publish that took a second, rest for so many: a large fleet's publishing leaves the loop to others."""


@dataclass
class Routes:
    store: Store
    gateway: Gateway
    domain: str
    _ports: dict[tuple[str, int], Ports] = field(default_factory=dict)
    _known: dict[str, tuple[Situated, tuple[Route, ...]]] = field(default_factory=dict)
    _not_before: float = 0.0

    async def publish(self) -> None:
        """Raises `Unavailable` when the gateway does not confirm."""
        await asyncio.sleep(self._not_before - time.monotonic())
        began = time.monotonic()
        async with self.store.read() as tx:
            seen = await traffic.read(tx)
            await self._learn_ports(tx, seen)
            guarded = await guards.of(tx, seen)
        snapshot = self._compute(seen, guarded)
        await self.gateway.publish(snapshot)
        await self._record(seen, routing.routed(snapshot))
        now = time.monotonic()
        self._not_before = now + (now - began) * REST

    async def _learn_ports(self, tx: Tx, seen: Traffic) -> None:
        needed = {(runtime_id, one.version) for runtime_id, many in seen.replicas.items() for one in many}
        missing: dict[str, set[int]] = {}
        for runtime_id, number in needed - self._ports.keys():
            missing.setdefault(runtime_id, set()).add(number)
        if missing:
            for key, version in (await versions.in_use(tx, missing)).items():
                self._ports[key] = routing.ports_of(version.config)
        self._ports = {key: self._ports[key] for key in needed}

    def _compute(self, seen: Traffic, guarded: Mapping[str, Guard]) -> Snapshot:
        known: dict[str, tuple[Situated, tuple[Route, ...]]] = {}
        for runtime in seen.runtimes:
            its_replicas = seen.replicas.get(runtime.id, [])
            ports = {one.version: self._ports[runtime.id, one.version] for one in its_replicas}
            ends = tuple(one._replace(guard=guarded.get(one.id, OPEN)) for one in seen.endpoints.get(runtime.id, []))
            situated = Situated(runtime, ends, tuple(its_replicas), ports)
            before = self._known.get(runtime.id)
            same = before is not None and before[0] == situated
            known[runtime.id] = before if before and same else (situated, routing.routes_of(situated, self.domain))
        self._known = known
        return Snapshot(tuple(route for _, routes in known.values() for route in routes))

    async def _record(self, seen: Traffic, routed: set[str]) -> None:
        changed = {
            (runtime_id, one.id): one.status == ReplicaStatus.STOPPING
            for runtime_id, many in seen.replicas.items()
            for one in many
            if one.routed != (one.id in routed)
        }
        if not changed and not seen.unrouted:
            return
        ids, owners = {replica_id for _, replica_id in changed}, {runtime_id for runtime_id, _ in changed}
        ends = ((runtime_id, one.id) for runtime_id, many in seen.endpoints.items() for one in many)
        async with self.store.write() as tx:
            owners_of_all = owners | {owner for owner, id_ in ends if id_ in seen.unrouted}
            await leases.take_turn(tx, tables.runtimes, owners_of_all)
            await leases.take_turn(tx, tables.replicas, ids)
            await leases.wake(tx, tables.runtimes, *owners)
            await replicas.set_routed(tx, ids & routed, True)
            await replicas.set_routed(tx, ids - routed, False)
            await endpoints.set_routed(tx, seen.unrouted)
            await leases.wake(tx, tables.replicas, *[id_ for (_, id_), stopping in changed.items() if stopping])
