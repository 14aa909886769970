"""Replicas: read one, see what the engine has of it, decide with the pure `next_step`, act, write."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from roost_server.domain import errors
from roost_server.domain.replica import Situation, Step, next_step
from roost_server.reconcilers import replica_ends, replica_starts
from roost_server.reconcilers.replica_work import Parts, Work, read
from roost_server.store import leases
from roost_server.store.leases import Lease
from roost_server.store.replicas import seconds_since

UNROUTE_SECONDS = 10.0
"""How long a gateway that does not answer may keep a replica that it still sends requests to."""

SLOW_UNROUTE_SECONDS = 60.0
"""And how long one that does: it may only be slow to be told, and removing the replica would fail requests."""

Act = Callable[[Parts, Work], Awaitable[float | None]]

STEPS: dict[Step, Act] = {
    Step.WAIT_IMAGE: replica_starts.wait_for_image,
    Step.FAIL_IMAGE: replica_starts.fail_for_image,
    Step.CREATE: replica_starts.create,
    Step.PROBE: replica_starts.probe,
    Step.SETTLE: replica_starts.settle,
    Step.RECORD_EXIT: replica_ends.record_exit,
    Step.BACK_OFF: replica_ends.back_off,
    Step.RECREATE: replica_ends.recreate,
    Step.DRAIN: replica_ends.drain,
    Step.REMOVE: replica_ends.remove,
}


@dataclass(frozen=True)
class ReplicasReconciler:
    parts: Parts

    async def __call__(self, lease: Lease) -> float | None:
        work = await read(self.parts, lease)
        if work is None:
            return None
        situation = Situation(
            image_ready=work.image.status == "ready",
            image_failed=work.image.status == "failed",
            restart_due=work.restart_at is not None and work.restart_at <= leases.now(),
            drained=await self._drained(work),
            probe=work.version.config.probe,
        )
        return await STEPS[next_step(work.replica, work.box, situation)](self.parts, work)

    async def _drained(self, work: Work) -> bool:
        if work.stopping_at is None:
            return False
        waited, patience = seconds_since(work.stopping_at), self.parts.drain_seconds
        if work.replica.routed:
            if waited <= max(patience, UNROUTE_SECONDS):
                return False
            return waited > SLOW_UNROUTE_SECONDS or not await self._gateway_answers()
        if work.replica.address is None or waited > patience:
            return True
        return (await self.parts.gateway.in_flight()).get(work.replica.id, 0) == 0

    async def _gateway_answers(self) -> bool:
        try:
            await self.parts.gateway.in_flight()
        except errors.Unavailable:
            return False
        return True
