"""Canaries: look every second at one that is under way, decide with the pure `next_step`, write the outcome.

The gateway is asked only outside of transactions. Whoever changed the canary meanwhile wins: the look is done again.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from roost_server.domain import canary as rules
from roost_server.domain import errors
from roost_server.domain.canary import NOTHING, Canary, CanaryStatus, Decision, Next, Seen, Tally
from roost_server.domain.endpoint import Endpoint
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.runtime import Runtime, Status, Wanted
from roost_server.domain.traffic import Counts
from roost_server.domain.version import Version
from roost_server.operations import canary_moves
from roost_server.reconcilers.loop import LEASE_SECONDS
from roost_server.reconcilers.readings import Readings
from roost_server.store import canaries, endpoints, leases, replicas, runtimes, tables, versions
from roost_server.store.leases import Lease
from roost_server.store.store import Stale, Store, Tx

LOOK_SECONDS = 1.0
START_SECONDS = 120.0
"""How long a version without a health check may take to start."""


@dataclass(frozen=True)
class Work:
    """A canary and the rows that it depends on. `fresh` are the new version's replicas that are to stay."""

    canary: Canary
    runtime: Runtime
    endpoint: Endpoint
    version: Version
    fresh: list[Replica]


@dataclass(frozen=True)
class CanariesReconciler:
    store: Store
    readings: Readings

    async def __call__(self, lease: Lease) -> float | None:
        async with self.store.read() as tx:
            work = await _read(tx, lease.row_id)
        if work is None:
            return None
        counted = await self._counted(work)
        decision = rules.next_step(work.canary, _seen(work, counted))
        if decision.next in _LOOKS:
            await self._look(lease, work, decision, counted)
            return LOOK_SECONDS
        async with self._moving(lease, work) as (tx, now):
            await _MOVES[decision.next](tx, now, decision)
        return LOOK_SECONDS

    async def _counted(self, work: Work) -> Tally | None:
        """What the gateway counted of both versions since it began; None when it does not tell.

        A step that is to begin takes all that was counted until now as its beginning, and one that goes on nothing from
        before it was last looked at."""
        canary = work.canary
        try:
            counts = await self.readings.traffic(leases.now() if canary.step_since is None else canary.updated_at)
        except errors.Unavailable:
            return None  # the canary's message says so
        old, new = ((canary.endpoint_id, version) for version in (canary.from_version, canary.to_version))
        return Tally(counts.get(old, Counts()), counts.get(new, Counts()))

    async def _look(self, lease: Lease, work: Work, decision: Decision, counted: Tally | None) -> None:
        """Write down what was seen, when it is anything new."""
        canary = work.canary
        values = _looked(canary, decision, counted)
        if all(getattr(canary, name) == value for name, value in values.items()):
            return
        async with self.store.write() as tx:
            await leases.hold(tx, lease, LEASE_SECONDS)
            await _check_unchanged(tx, canary)
            await canaries.look(tx, canary, **values)

    @asynccontextmanager
    async def _moving(self, lease: Lease, work: Work) -> AsyncIterator[tuple[Tx, Work]]:
        """A write that begins by holding the lease, with the rows as they are now.

        Everybody locks a runtime before its canaries, so that no two transactions wait for each other."""
        async with self.store.write() as tx:
            await leases.wake(tx, tables.runtimes, work.runtime.id)
            await leases.hold(tx, lease, LEASE_SECONDS)
            await _check_unchanged(tx, work.canary)
            now = await _read(tx, lease.row_id)
            if now is None:
                raise Stale(f"canary {lease.row_id} is gone")
            yield tx, now


async def _check_unchanged(tx: Tx, seen: Canary) -> None:
    now = await canaries.get(tx, seen.id)
    if now is None or now.revision != seen.revision:
        raise Stale(f"canary {seen.id} was changed meanwhile")


async def _read(tx: Tx, canary_id: str) -> Work | None:
    """None when it is gone or has ended."""
    canary = await canaries.get(tx, canary_id)
    if canary is None or canary.has_ended:
        return None
    runtime = await runtimes.get(tx, canary.runtime_id)
    endpoint = await endpoints.get(tx, canary.endpoint_id)
    version = await versions.get(tx, canary.runtime_id, canary.to_version)
    assert runtime is not None and endpoint is not None and version is not None
    fresh = [
        replica
        for replica in await replicas.of(tx, runtime.id)
        if replica.version == canary.to_version
        and replica.generation == runtime.generation
        and replica.status != ReplicaStatus.STOPPING
    ]
    return Work(canary, runtime, endpoint, version, fresh)


def _seen(work: Work, counted: Tally | None) -> Seen:
    runtime, now = work.runtime, leases.now()
    serves = runtime.wanted == work.endpoint.wanted == Wanted.RUNNING
    probe = work.version.config.probe
    patience = probe.start_timeout_seconds if probe else START_SECONDS
    enough = work.version.config.autoscaling.min_replicas if work.endpoint.live == work.canary.split else None
    in_error = (runtime.message or runtime.reason or "error") if runtime.status == Status.ERROR else None
    trouble = rules.trouble(work.fresh, patience, now, enough=enough)
    live = work.endpoint.live if serves else None
    return Seen(now, live, work.endpoint.is_routed, trouble, in_error, counted)


def _looked(canary: Canary, decision: Decision, counted: Tally | None) -> dict[str, object]:
    """The columns that a look changes."""
    if decision.next == Next.BEGIN:
        return {"message": None, "step_since": leases.now(), "baseline": counted, "judged": NOTHING}
    values: dict[str, object] = {"message": decision.message}
    if canary.baseline is not None and counted is not None:
        values |= {"baseline": counted, "judged": decision.judged}
    if decision.next == Next.INTERRUPT:
        values["step_since"] = None
    return values


async def _advance(tx: Tx, work: Work, decision: Decision) -> None:
    canary = work.canary
    after = await canary_moves.go_to(tx, work.runtime, work.endpoint, canary, canary.step + 1)
    message = f"version {canary.to_version} did well at {canary.weight} %, now {after.weight} %"
    await canary_moves.tell(tx, after, work.endpoint, "step", message, decision.judged)


async def _succeed(tx: Tx, work: Work, decision: Decision) -> None:
    await canary_moves.succeed(tx, work.runtime, work.endpoint, work.canary, decision.message or "")


async def _roll_back(tx: Tx, work: Work, decision: Decision) -> None:
    await _go_back(tx, work, decision, CanaryStatus.ROLLED_BACK)


async def _abort(tx: Tx, work: Work, decision: Decision) -> None:
    await _go_back(tx, work, decision, CanaryStatus.ABORTED)


async def _go_back(tx: Tx, work: Work, decision: Decision, status: CanaryStatus) -> None:
    message = decision.message or ""
    await canary_moves.go_back(tx, work.runtime, work.endpoint, work.canary, status, message, decision.judged)


_LOOKS = (Next.WAIT, Next.BEGIN, Next.INTERRUPT, Next.HOLD)
_MOVES: dict[Next, Callable[[Tx, Work, Decision], Awaitable[None]]] = {
    Next.ADVANCE: _advance,
    Next.SUCCEED: _succeed,
    Next.ROLL_BACK: _roll_back,
    Next.ABORT: _abort,
}
