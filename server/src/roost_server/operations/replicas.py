"""What callers may see of replicas, and which one a command runs in."""

from roost_server.domain import errors
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.operations.caller import Caller
from roost_server.operations.context import Context
from roost_server.operations.finding import find
from roost_server.store import replicas


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
