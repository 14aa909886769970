"""How a runtime and its endpoints stand, from what should serve, what serves and which replicas are there. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from roost_server.domain.endpoint import SETTLED, Endpoint, EndpointStatus, Weights
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.runtime import PASSING, Runtime, Status, Wanted

Standing = tuple[Status, str | None, str | None]
"""Status, reason and message."""

ON_ITS_WAY = (Status.CREATING, Status.UPDATING, Status.STARTING)


def of_runtime(
    runtime: Runtime,
    shares: Mapping[str, Weights],
    live: Mapping[str, Weights],
    least: Mapping[int, int],
    replicas: Sequence[Replica],
) -> Standing:
    """`shares` and `live` by endpoint; `least` is how many replicas each version that is needed must have ready."""
    staying = [r for r in replicas if r.version in least and r.status != ReplicaStatus.STOPPING]
    current = [r for r in staying if r.generation == runtime.generation]
    waiting = [r for r in current if not _serves(r)]
    moved = all(live.get(endpoint_id) == wanted for endpoint_id, wanted in shares.items())
    if moved and len(current) == len(staying) and _enough(current, waiting, least):
        return Status.ACTIVE, None, None
    targets = {version for wanted in shares.values() for version in wanted}
    for replica in waiting:
        if replica.version in targets and replica.reason not in PASSING:
            return Status.ERROR, replica.reason, _trouble(live, replica)
    told = next((r for r in waiting if r.reason is not None), None)
    reason, message = (told.reason, told.message) if told else (None, None)
    return _on_the_way(runtime, live, moved), reason, message


def _serves(replica: Replica) -> bool:
    return replica.status == ReplicaStatus.READY and replica.routed


def _enough(current: Sequence[Replica], waiting: Sequence[Replica], least: Mapping[int, int]) -> bool:
    there = Counter(replica.version for replica in current) - Counter(replica.version for replica in waiting)
    return all(there[version] >= wanted for version, wanted in least.items())


def _trouble(live: Mapping[str, Weights], replica: Replica) -> str | None:
    serving = {version for weights in live.values() for version in weights}
    if serving and replica.version not in serving:
        others = ", ".join(f"version {version}" for version in sorted(serving))
        return f"version {replica.version} did not start: {replica.message} ({others} keeps serving)"
    return replica.message


def _on_the_way(runtime: Runtime, live: Mapping[str, Weights], moved: bool) -> Status:
    if runtime.status in ON_ITS_WAY:
        return runtime.status
    nothing_serves = not any(live.values())
    return Status.STARTING if moved or nothing_serves else Status.UPDATING


def of_endpoint(runtime: Runtime, endpoint: Endpoint, replicas: Sequence[Replica]) -> EndpointStatus:
    """`replicas` are all of the runtime's."""
    if runtime.wanted == Wanted.DELETED:
        return EndpointStatus.DELETING
    if Wanted.STOPPED in (runtime.wanted, endpoint.wanted):
        return EndpointStatus.STOPPING if endpoint.live or runtime.status == Status.STOPPING else EndpointStatus.STOPPED
    shares = endpoint.shares(runtime.applied_version)
    ready = {replica.version for replica in replicas if replica.status == ReplicaStatus.READY}
    staying = (replica for replica in replicas if replica.status != ReplicaStatus.STOPPING)
    failing = {replica.version for replica in staying if replica.reason not in PASSING}
    if endpoint.live == shares and shares.keys() <= ready:
        return EndpointStatus.ACTIVE
    if (shares.keys() - ready) & failing:
        return EndpointStatus.ERROR
    if endpoint.live != shares and endpoint.live:
        return EndpointStatus.UPDATING
    return EndpointStatus.CREATING if runtime.status == Status.CREATING else EndpointStatus.STARTING


def was_looked_at(runtime: Runtime, endpoints: Sequence[Endpoint], replicas: Sequence[Replica]) -> bool:
    """Whether the runtime's own status can be of a look at these rows, which are all of its: one that is on its way
    while nothing is will be told otherwise a moment later."""
    if runtime.status not in ON_ITS_WAY:
        return True
    if any(of_endpoint(runtime, endpoint, replicas) not in SETTLED for endpoint in endpoints):
        return True
    needed = {version for endpoint in endpoints for version in endpoint.versions(runtime.applied_version)}
    return any(replica.version in needed and _is_awaited(replica) for replica in replicas)


def _is_awaited(replica: Replica) -> bool:
    return replica.status != ReplicaStatus.STOPPING and not _serves(replica) and replica.reason in PASSING
