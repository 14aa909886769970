"""What callers are shown of a runtime: the row with what belongs to it, read in one transaction."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from roost_server.domain.endpoint import Endpoint
from roost_server.domain.runtime import ReplicaCount, Runtime
from roost_server.store import endpoints, replicas
from roost_server.store.store import Tx
from roost_server.store.workspaces import Workspace


@dataclass(frozen=True)
class RuntimeView:
    runtime: Runtime
    workspace: Workspace
    endpoints: Sequence[Endpoint]
    replicas: ReplicaCount

    @property
    def stale(self) -> bool:
        """Whether an endpoint does not serve the version it should, yet."""
        return any(e.live_version not in (None, e.target(self.runtime.version)) for e in self.endpoints)


async def view(tx: Tx, workspace: Workspace, *runtimes: Runtime) -> list[RuntimeView]:
    ids = [runtime.id for runtime in runtimes]
    counts = await replicas.count_ready(tx, *ids)
    grouped: dict[str, list[Endpoint]] = defaultdict(list)
    for endpoint in await endpoints.of(tx, *ids):
        grouped[endpoint.runtime_id].append(endpoint)
    return [RuntimeView(r, workspace, grouped[r.id], counts.get(r.id, ReplicaCount())) for r in runtimes]
