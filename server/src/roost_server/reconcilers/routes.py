"""Routes: compute the whole snapshot, publish it, record which replicas get traffic and tell who waited for that."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from roost_server.domain import routing
from roost_server.domain.config import RuntimeConfig
from roost_server.domain.endpoint import Endpoint
from roost_server.domain.replica import Replica
from roost_server.domain.route import Snapshot
from roost_server.domain.routing import Situated
from roost_server.gateway.gateway import Gateway
from roost_server.store import endpoints, leases, replicas, runtimes, tables, versions, workspaces
from roost_server.store.store import Store, Tx


@dataclass(frozen=True)
class Routes:
    store: Store
    gateway: Gateway
    domain: str

    async def publish(self) -> None:
        """Raises `Unavailable` when the gateway does not confirm."""
        async with self.store.read() as tx:
            everyone = await replicas.everything(tx)
            snapshot = await compute(tx, everyone, self.domain)
        await self.gateway.publish(snapshot)
        routed = routing.routed(snapshot)
        if {replica.id for replica in everyone if replica.routed} != routed:
            await self._record(routed)

    async def _record(self, routed: set[str]) -> None:
        async with self.store.write() as tx:
            changed = await replicas.set_routed(tx, routed)
            await leases.wake(tx, tables.runtimes, *{replica.runtime_id for replica in changed})
            await leases.wake(tx, tables.replicas, *[r.id for r in changed if r.status == "stopping"])


async def compute(tx: Tx, everyone: Sequence[Replica], domain: str) -> Snapshot:
    """The snapshot of everything, from one consistent view."""
    by_runtime: dict[str, list[Replica]] = defaultdict(list)
    for replica in everyone:
        by_runtime[replica.runtime_id].append(replica)
    ends: dict[str, list[Endpoint]] = defaultdict(list)
    for endpoint in await endpoints.everything(tx):
        ends[endpoint.runtime_id].append(endpoint)
    numbers = {runtime_id: {replica.version for replica in rows} for runtime_id, rows in by_runtime.items()}
    configs: dict[str, dict[int, RuntimeConfig]] = defaultdict(dict)
    for (runtime_id, number), version in (await versions.in_use(tx, numbers)).items():
        configs[runtime_id][number] = version.config
    places = await workspaces.all_by_id(tx)
    situated = [
        Situated(
            runtime,
            places[runtime.workspace_id].slug,
            places[runtime.workspace_id].organization_slug,
            ends[runtime.id],
            by_runtime[runtime.id],
            configs[runtime.id],
        )
        for runtime in await runtimes.everything(tx)
    ]
    return routing.snapshot(situated, domain)
