"""What callers are shown of a runtime: the row with what belongs to it, read in one transaction."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from roost_server.domain import standing
from roost_server.domain.endpoint import Endpoint, EndpointStatus
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.runtime import ReplicaCount, Runtime
from roost_server.store import endpoints, key_sets, replicas
from roost_server.store.store import Tx
from roost_server.store.workspaces import Workspace


@dataclass(frozen=True)
class EndpointView:
    """`ready` is how many replicas serve it now; `routed`: the gateway has it as it is told, also whose tokens are
    accepted, if that can be found out; `message` what keeps callers out whom it should let in."""

    endpoint: Endpoint
    runtime: Runtime
    status: EndpointStatus
    ready: int
    routed: bool
    message: str | None


@dataclass(frozen=True)
class RuntimeView:
    runtime: Runtime
    workspace: Workspace
    endpoints: Sequence[EndpointView]
    replicas: ReplicaCount

    @property
    def stale(self) -> bool:
        """Whether an endpoint that follows the latest version does not serve it."""
        latest = {self.runtime.version: 100}
        rows = (view.endpoint for view in self.endpoints)
        return any(row.live and row.pinned_version is None and row.live != latest for row in rows)


async def view(tx: Tx, workspace: Workspace, *runtimes: Runtime) -> list[RuntimeView]:
    ids = [runtime.id for runtime in runtimes]
    boxes: dict[str, list[Replica]] = defaultdict(list)
    for replica in await replicas.of(tx, *ids):
        boxes[replica.runtime_id].append(replica)
    ends: dict[str, list[Endpoint]] = defaultdict(list)
    for endpoint in await endpoints.of(tx, *ids):
        ends[endpoint.runtime_id].append(endpoint)
    return [
        RuntimeView(
            runtime,
            workspace,
            await view_endpoints(tx, runtime, ends[runtime.id], boxes[runtime.id]),
            count(runtime, ends[runtime.id], boxes[runtime.id]),
        )
        for runtime in runtimes
    ]


async def view_endpoints(
    tx: Tx, runtime: Runtime, ends: Sequence[Endpoint], boxes: Sequence[Replica]
) -> list[EndpointView]:
    """Some endpoints of a runtime; `boxes` are all its replicas."""
    ready = Counter(replica.version for replica in boxes if replica.status == ReplicaStatus.READY)
    troubles = await key_sets.troubles(tx, [url for end in ends if (url := end.access.keys_url) is not None])
    untried = {url for url, message in troubles.items() if message is None}
    return [
        EndpointView(
            end,
            runtime,
            standing.of_endpoint(runtime, end, boxes),
            sum(ready[version] for version in end.live),
            end.is_routed and end.access.keys_url not in untried,
            troubles.get(end.access.keys_url or ""),
        )
        for end in ends
    ]


def count(runtime: Runtime, ends: Sequence[Endpoint], boxes: Sequence[Replica]) -> ReplicaCount:
    """Of versions that serve or are about to. Those that are on their way out or only kept ready do not count."""
    needed = {version for end in ends for version in end.versions(runtime.applied_version)}
    staying = [one for one in boxes if one.status != ReplicaStatus.STOPPING and one.version in needed]
    return ReplicaCount(len(staying), sum(one.status == ReplicaStatus.READY for one in staying))
