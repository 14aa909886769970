"""Runtimes: read everything about one, decide with the pure plan, write the outcome. Touches no engine but for logs."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from roost_server.domain import plan
from roost_server.domain.endpoint import Endpoint, Weights
from roost_server.domain.plan import Clock, Move, Size
from roost_server.domain.replica import ReplicaStatus
from roost_server.domain.runtime import Runtime, Status
from roost_server.domain.version import Version
from roost_server.engines.engine import Engine, Logs
from roost_server.reconcilers.loop import held
from roost_server.store import chores, endpoints, events, leases, replicas, runtimes, scales, tables, versions
from roost_server.store.leases import Lease
from roost_server.store.scales import Scale
from roost_server.store.store import Store, Tx


@dataclass(frozen=True)
class RuntimesReconciler:
    store: Store
    engine: Engine
    keep_seconds: float

    async def __call__(self, lease: Lease) -> float | None:
        async with held(self.store, lease) as tx:
            runtime = await runtimes.get(tx, lease.row_id)
            if runtime is None:
                return None
            decided = await _decide(tx, runtime, Clock(leases.now(), self.keep_seconds))
            if not decided.gone:
                await _carry_out(tx, runtime, decided)
                return _seconds_until(decided.look_again)
        if isinstance(self.engine, Logs):
            await self.engine.forget_logs(lease.row_id)
        async with held(self.store, lease) as tx:
            await runtimes.delete(tx, lease.row_id)
            await chores.publish_routes(tx)
        return None


def _seconds_until(moment: datetime | None) -> float | None:
    return None if moment is None else max(0.0, (moment - leases.now()).total_seconds())


async def _decide(tx: Tx, runtime: Runtime, clock: Clock) -> plan.Plan:
    its_endpoints = await endpoints.of(tx, runtime.id)
    its_replicas = await replicas.of(tx, runtime.id)
    sizes = await _sizes(tx, runtime, its_endpoints)
    return plan.decide(runtime, its_endpoints, sizes, its_replicas, clock)


async def _sizes(tx: Tx, runtime: Runtime, its_endpoints: Sequence[Endpoint]) -> dict[int, Size]:
    numbers = {runtime.applied_version}
    for endpoint in its_endpoints:
        numbers |= endpoint.versions(runtime.applied_version)
    found = await versions.in_use(tx, {runtime.id: numbers})
    decided = await scales.of(tx, runtime.id)
    return {key[1]: _size(version, decided.get(key)) for key, version in found.items()}


def _size(version: Version, scale: Scale | None) -> Size:
    scaling = version.config.autoscaling
    return Size(scaling.min_replicas, scaling.max_replicas, scale.replicas if scale else None)


async def _carry_out(tx: Tx, runtime: Runtime, decided: plan.Plan) -> None:
    for number, count in decided.scale.items():
        await scales.put(tx, Scale(runtime.id, number, count))
    for number in decided.start:
        await replicas.insert(tx, runtime.id, number, runtime.generation)
    await _stop(tx, runtime, decided.stop)
    for endpoint_id, move in decided.moves.items():
        await _move(tx, runtime, endpoint_id, move)
    changed = await runtimes.set_status(tx, runtime, decided.status, decided.reason, decided.message)
    if changed and decided.status != runtime.status:
        await _record_status(tx, runtime, decided)
    if decided.status == Status.STOPPED or decided.stop or decided.moves:
        await scales.forget_unused(tx, runtime.id, decided.in_use)
    if decided.stop or decided.moves or decided.status != runtime.status:
        await chores.publish_routes(tx)


async def _move(tx: Tx, runtime: Runtime, endpoint_id: str, move: Move) -> None:
    before = await endpoints.get(tx, endpoint_id)
    assert before is not None
    await endpoints.set_live(tx, endpoint_id, **asdict(move))
    if move.live == before.live or not move.live:
        return
    data = {"endpoint": before.name, "live": {str(version): weight for version, weight in move.live.items()}}
    await events.record(tx, runtime.id, "endpoint.moved", f"{before.name}: {describe(move.live)}", data=data)


def describe(live: Weights) -> str:
    """ "version 2 serves", or "version 1 serves 95 %, version 2 serves 5 %", for people."""
    if len(live) == 1:
        return f"version {next(iter(live))} serves"
    return ", ".join(f"version {version} serves {weight} %" for version, weight in live.items())


async def _stop(tx: Tx, runtime: Runtime, ids: Sequence[str]) -> None:
    for replica in await replicas.of(tx, runtime.id) if ids else ():
        if replica.id in ids:
            # A publish under way may be giving it traffic: only the next one can say that it gets none.
            may_be_routed = replica.routed or replica.status == ReplicaStatus.READY
            stopping = ReplicaStatus.STOPPING
            await replicas.set_status(tx, replica, stopping, stopping_at=leases.now(), routed=may_be_routed)
    await leases.wake(tx, tables.replicas, *ids)


async def _record_status(tx: Tx, runtime: Runtime, decided: plan.Plan) -> None:
    message = f"{runtime.status} → {decided.status}" + (f": {decided.message}" if decided.message else "")
    kind = "runtime.error" if decided.status == Status.ERROR else f"runtime.{decided.status}"
    await events.record(tx, runtime.id, kind, message, reason=decided.reason)
