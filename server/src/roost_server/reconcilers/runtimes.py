"""Runtimes: read everything about one, decide with the pure plan, write the outcome. Touches no engine but for logs."""

from collections.abc import Sequence
from dataclasses import dataclass

from roost_server.domain import plan
from roost_server.domain.endpoint import Endpoint
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.runtime import Runtime, Status
from roost_server.engines.engine import Engine, Logs
from roost_server.reconcilers.loop import held
from roost_server.store import chores, endpoints, events, leases, replicas, runtimes, tables, versions
from roost_server.store.leases import Lease
from roost_server.store.store import Store, Tx


@dataclass(frozen=True)
class RuntimesReconciler:
    store: Store
    engine: Engine

    async def __call__(self, lease: Lease) -> float | None:
        async with held(self.store, lease) as tx:
            runtime = await runtimes.get(tx, lease.row_id)
            if runtime is None:
                return None
            decided = await _decide(tx, runtime)
            if not decided.gone:
                await _carry_out(tx, runtime, decided)
                return None
        if isinstance(self.engine, Logs):
            await self.engine.forget_logs(lease.row_id)
        async with held(self.store, lease) as tx:
            await runtimes.delete(tx, lease.row_id)
            await chores.publish_routes(tx)
        return None


async def _decide(tx: Tx, runtime: Runtime) -> plan.Plan:
    its_endpoints = await endpoints.of(tx, runtime.id)
    its_replicas = await replicas.of(tx, runtime.id)
    counts = await _wanted_counts(tx, runtime, its_endpoints, its_replicas)
    return plan.decide(runtime, its_endpoints, counts, its_replicas)


async def _wanted_counts(
    tx: Tx, runtime: Runtime, its_endpoints: Sequence[Endpoint], its_replicas: Sequence[Replica]
) -> dict[int, int]:
    numbers = {endpoint.target(runtime.version) for endpoint in its_endpoints}
    numbers |= {endpoint.live_version for endpoint in its_endpoints if endpoint.live_version is not None}
    found = await versions.in_use(tx, {runtime.id: numbers})
    return {number: version.config.autoscaling.min_replicas for (_, number), version in found.items()}


async def _carry_out(tx: Tx, runtime: Runtime, decided: plan.Plan) -> None:
    for number in decided.start:
        await replicas.insert(tx, runtime.id, number)
    await _stop(tx, runtime, decided.stop)
    for endpoint_id, version in decided.live.items():
        await endpoints.set_live(tx, endpoint_id, version)
        if version is not None:
            await events.record(
                tx, runtime.id, "endpoint.moved", f"version {version} serves", data={"version": version}
            )
    changed = await runtimes.set_status(tx, runtime, decided.status, decided.reason, decided.message)
    if changed and decided.status != runtime.status:
        await _record_status(tx, runtime, decided)
    if decided.stop or decided.live or decided.status != runtime.status:
        await chores.publish_routes(tx)


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
