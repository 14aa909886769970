"""What a runtime needs next: which replicas start and stop, which version serves, and how it stands. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from roost_server.domain.endpoint import Endpoint
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.runtime import PASSING, Runtime, Status, Wanted


@dataclass(frozen=True)
class Plan:
    """`start` names a version once per replica to insert; `live` holds only the endpoints that change."""

    status: Status
    reason: str | None = None
    message: str | None = None
    start: tuple[int, ...] = ()
    stop: tuple[str, ...] = ()
    live: dict[str, int | None] = field(default_factory=dict)
    gone: bool = False


def decide(
    runtime: Runtime, endpoints: Sequence[Endpoint], counts: Mapping[int, int], replicas: Sequence[Replica]
) -> Plan:
    """The plan. `counts` gives the wanted number of replicas of each version that an endpoint targets or serves."""
    if runtime.wanted != Wanted.RUNNING:
        return _wind_down(runtime, endpoints, replicas)
    live = {endpoint.id: _live(endpoint, runtime, counts, replicas) for endpoint in endpoints}
    needed = {endpoint.target(runtime.version) for endpoint in endpoints} | {v for v in live.values() if v is not None}
    start, stop = _adjust(needed, counts, replicas)
    status, reason, message = _standing(runtime, endpoints, live, needed, counts, replicas)
    changed = {endpoint.id: live[endpoint.id] for endpoint in endpoints if live[endpoint.id] != endpoint.live_version}
    return Plan(status, reason, message, start, stop, changed)


def _wind_down(runtime: Runtime, endpoints: Sequence[Endpoint], replicas: Sequence[Replica]) -> Plan:
    deleting = runtime.wanted == Wanted.DELETED
    still = Status.DELETING if deleting else Status.STOPPING
    status = still if replicas or deleting else Status.STOPPED
    stop = tuple(replica.id for replica in replicas if replica.status != ReplicaStatus.STOPPING)
    live: dict[str, int | None] = {e.id: None for e in endpoints if e.live_version is not None}
    return Plan(status, stop=stop, live=live, gone=deleting and not replicas)


def _live(endpoint: Endpoint, runtime: Runtime, counts: Mapping[int, int], replicas: Sequence[Replica]) -> int | None:
    """The target once all its wanted replicas are ready; until then what served before."""
    target = endpoint.target(runtime.version)
    ready = sum(r.version == target and r.status == ReplicaStatus.READY for r in replicas)
    return target if ready >= counts[target] else endpoint.live_version


def _adjust(
    needed: set[int], counts: Mapping[int, int], replicas: Sequence[Replica]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    staying = [replica for replica in replicas if replica.status != ReplicaStatus.STOPPING]
    have = Counter(replica.version for replica in staying)
    start = [v for v in sorted(needed) for _ in range(counts[v] - have[v])]
    stop: list[str] = []
    for version in have:
        surplus = have[version] - (counts[version] if version in needed else 0)
        ready_last = sorted(
            (replica for replica in staying if replica.version == version),
            key=lambda replica: replica.status == ReplicaStatus.READY,
        )
        stop += [replica.id for replica in ready_last[: max(0, surplus)]]
    return tuple(start), tuple(stop)


def _standing(
    runtime: Runtime,
    endpoints: Sequence[Endpoint],
    live: Mapping[str, int | None],
    needed: set[int],
    counts: Mapping[int, int],
    replicas: Sequence[Replica],
) -> tuple[Status, str | None, str | None]:
    waiting = [
        r
        for r in replicas
        if r.version in needed
        and r.status != ReplicaStatus.STOPPING
        and not (r.status == ReplicaStatus.READY and r.routed)
    ]
    moved = all(live[endpoint.id] == endpoint.target(runtime.version) for endpoint in endpoints)
    present = Counter(r.version for r in replicas if r.status != ReplicaStatus.STOPPING)
    if moved and not waiting and all(present[v] >= counts[v] for v in needed):
        return Status.ACTIVE, None, None
    targets = {endpoint.target(runtime.version) for endpoint in endpoints}
    for replica in waiting:
        if replica.version in targets and replica.reason not in PASSING:
            return Status.ERROR, replica.reason, _trouble(runtime, live, replica)
    told = next((r for r in waiting if r.reason is not None), None)
    reason, message = (told.reason, told.message) if told else (None, None)
    return _on_the_way(runtime, live, moved), reason, message


def _trouble(runtime: Runtime, live: Mapping[str, int | None], replica: Replica) -> str | None:
    serving = {version for version in live.values() if version is not None}
    if serving and replica.version not in serving:
        others = ", ".join(f"version {version}" for version in sorted(serving))
        return f"version {replica.version} did not start: {replica.message} ({others} keeps serving)"
    return replica.message


def _on_the_way(runtime: Runtime, live: Mapping[str, int | None], moved: bool) -> Status:
    if runtime.status in (Status.CREATING, Status.UPDATING, Status.STARTING):
        return runtime.status
    nothing_serves = all(version is None for version in live.values())
    return Status.STARTING if moved or nothing_serves else Status.UPDATING
