"""What callers may see of replicas, which one a command runs in, and which ones stood behind an endpoint."""

from roost_server.domain import errors
from roost_server.domain.endpoint import Endpoint
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.runtime import Runtime
from roost_server.operations.caller import Caller
from roost_server.operations.context import Context
from roost_server.operations.finding import find, find_endpoint
from roost_server.store import events, replicas, samples
from roost_server.store.store import Tx


async def of(context: Context, caller: Caller, id_or_name: str) -> list[Replica]:
    """Of one runtime, oldest first."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, id_or_name)
        return await replicas.of(tx, runtime.id)


async def choose(context: Context, caller: Caller, id_or_name: str, replica_id: str | None) -> Replica:
    """The replica to run a command in: the one named, else the newest that is ready, else one that runs.

    Raises `NotFound` for an unknown replica and `Conflict` when none runs."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, id_or_name)
        found = await replicas.of(tx, runtime.id)
    if replica_id is not None:
        for replica in found:
            if replica.id == replica_id:
                return replica
        message = f'cannot find replica "{replica_id[:100]}" of runtime "{runtime.name}"'
        raise errors.NotFound(message, errors=[errors.FieldError(("replica",), message, "not_found")])
    running = [r for r in found if r.status in (ReplicaStatus.READY, ReplicaStatus.UNREADY, ReplicaStatus.STARTING)]
    if not running:
        raise errors.Conflict(
            f'cannot reach into runtime "{runtime.name}": it is {runtime.status} and no replica runs',
            reason=runtime.reason,
        )
    return max(running, key=lambda r: (r.status == ReplicaStatus.READY, r.id))


async def behind(context: Context, caller: Caller, id_or_name: str, endpoint: str) -> set[str]:
    """Ids of the replicas of versions that an endpoint serves, is to serve or served, past ones included.

    Which version a past replica had is known from the runtime's events and from what was measured of it, so not for
    ever. Raises `NotFound`."""
    async with context.store.read() as tx:
        runtime = await find(tx, caller, id_or_name)
        served = await _served(tx, runtime, await find_endpoint(tx, runtime, endpoint))
        found = {replica.id for replica in await replicas.of(tx, runtime.id) if replica.version in served}
        for event in await events.of_type(tx, runtime.id, "replica.ready"):
            if event.replica_id is not None and event.data.get("version") in served:
                found.add(event.replica_id)
        return found | await samples.replicas_of(tx, runtime.id, served)


async def _served(tx: Tx, runtime: Runtime, endpoint: Endpoint) -> set[int]:
    served = {*endpoint.live, *endpoint.shares(runtime.applied_version), *await samples.versions_of(tx, endpoint.id)}
    served |= {one for one in (endpoint.live_version, endpoint.kept_version) if one is not None}
    for event in await events.of_type(tx, runtime.id, "endpoint.moved"):
        live = event.data.get("live")
        if event.data.get("endpoint") == endpoint.name and isinstance(live, dict):
            served |= {int(version) for version in live}
    return served
