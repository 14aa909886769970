"""How a canary's traffic moves: to a step, all to the new version, back to the old one.

Callers and the canaries reconciler ask for the same moves, so they are here, each within a transaction that holds the
runtime. Weights only ever wait for replicas on the way up. Going back waits for nothing: a version that does worse must
lose its traffic now, and the old one still has the replicas of its own share; the rest follow at once.
"""

from typing import Any

from roost_server.domain.canary import Canary, CanaryStatus, Tally
from roost_server.domain.endpoint import Endpoint
from roost_server.domain.judging import P95
from roost_server.domain.replica import Replica, ReplicaStatus
from roost_server.domain.runtime import Runtime, Wanted
from roost_server.domain.traffic import Counts
from roost_server.operations import versions
from roost_server.store import canaries, chores, endpoints, events, leases, replicas, scales, tables
from roost_server.store import versions as version_rows
from roost_server.store.scales import Scale
from roost_server.store.store import Tx


def figures(counts: Counts) -> dict[str, Any]:
    """What people are told of one version."""
    rounded = {"requests": counts.requests, "errors": counts.errors, "error_rate": round(counts.error_rate, 6)}
    return {**rounded, "p95_ms": counts.quantile(P95)}


async def tell(
    tx: Tx, canary: Canary, endpoint: Endpoint, kind: str, message: str, judged: Tally | None = None
) -> None:
    """Record what happened to it, with the numbers of both versions when there are any."""
    data: dict[str, Any] = {"canary": canary.id, "endpoint": endpoint.name, "weight": canary.weight}
    data |= {"from": canary.from_version, "to": canary.to_version}
    if judged is not None:
        data |= {"old": figures(judged.old), "new": figures(judged.new)}
    await events.record(tx, canary.runtime_id, f"canary.{kind}", f"{endpoint.name}: {message}", data=data)


async def go_to(tx: Tx, runtime: Runtime, endpoint: Endpoint, canary: Canary, step: int, **values: Any) -> Canary:
    """To a step's weights, as soon as there are the replicas for them; the canary as it then is. Raises `Stale`."""
    fresh = {"step": step, "step_since": None, "message": None, **values}
    await canaries.set_status(tx, canary, CanaryStatus.RUNNING, **fresh)
    moved = await canaries.get(tx, canary.id)
    assert moved is not None
    await endpoints.update(tx, endpoint.id, split=moved.split)
    await versions.mark_updating(tx, runtime)
    await _wake(tx, runtime)
    return moved


async def succeed(tx: Tx, runtime: Runtime, endpoint: Endpoint, canary: Canary, message: str) -> None:
    """The new version serves alone: it is what the endpoint is for from now on. Raises `Stale`.

    An endpoint that follows the latest version takes the others that follow along, if the new version is the latest;
    one that was pinned, or whose new version is not the latest, is pinned to it."""
    await canaries.set_status(tx, canary, CanaryStatus.SUCCEEDED, message=message)
    follows = endpoint.pinned_version is None and canary.to_version == runtime.version
    if follows:
        await versions.apply_version(tx, runtime, canary.to_version)
    pinned = None if follows else canary.to_version
    await endpoints.update(tx, endpoint.id, split=None, pinned_version=pinned)
    await tell(tx, canary, endpoint, "succeeded", message, canary.judged)
    await _wake(tx, runtime)


async def go_back(
    tx: Tx,
    runtime: Runtime,
    endpoint: Endpoint,
    canary: Canary,
    status: CanaryStatus,
    message: str,
    judged: Tally | None = None,
) -> None:
    """End it as rolled back or aborted: the old version has all the traffic, at once. Raises `Stale`."""
    told = judged or canary.judged
    ended = {"message": message, "step_since": None, "baseline": None, "judged": told}
    await canaries.set_status(tx, canary, status, **ended)
    values: dict[str, Any] = {"split": None}
    if endpoint.target(runtime.applied_version) != canary.from_version:
        values["pinned_version"] = canary.from_version
    await endpoints.update(tx, endpoint.id, **values)
    await _return(tx, runtime, endpoint, canary)
    await tell(tx, canary, endpoint, status, message, told)
    await _wake(tx, runtime)


async def _return(tx: Tx, runtime: Runtime, endpoint: Endpoint, canary: Canary) -> None:
    """Serve the old version alone from now on, and have as many of its replicas as both versions had."""
    its_replicas = await replicas.of(tx, runtime.id)
    old, new = (_ready(its_replicas, version) for version in (canary.from_version, canary.to_version))
    serves = runtime.wanted == endpoint.wanted == Wanted.RUNNING
    if not old or not serves or canary.to_version not in endpoint.live:
        return
    kept: dict[str, Any] = {"kept_version": None, "kept_until": None, "kept_sessions": False}
    if endpoint.kept_version not in (None, canary.from_version, canary.to_version):
        kept = {name: getattr(endpoint, name) for name in kept}
    only = canary.from_version
    await endpoints.set_live(tx, endpoint.id, {only: 100}, live_version=only, **kept)
    await _grow(tx, runtime, only, old + new)


def _ready(its_replicas: list[Replica], version: int) -> int:
    return sum(replica.version == version and replica.status == ReplicaStatus.READY for replica in its_replicas)


async def _grow(tx: Tx, runtime: Runtime, version: int, count: int) -> None:
    row = await version_rows.get(tx, runtime.id, version)
    assert row is not None
    enough = min(count, row.config.autoscaling.max_replicas)
    decided = (await scales.of(tx, runtime.id)).get((runtime.id, version))
    if enough > max(row.config.autoscaling.min_replicas, decided.replicas if decided else 0):
        await scales.put(tx, Scale(runtime.id, version, enough))


async def abort_all(tx: Tx, runtime: Runtime, message: str, *, endpoint_id: str | None = None) -> None:
    """What moves traffic of a runtime, or of one of its endpoints, ends with it."""
    for canary in await canaries.all_under_way(tx, runtime.id):
        endpoint = await endpoints.get(tx, canary.endpoint_id)
        if endpoint is not None and endpoint_id in (None, endpoint.id):
            await go_back(tx, runtime, endpoint, canary, CanaryStatus.ABORTED, message)


async def _wake(tx: Tx, runtime: Runtime) -> None:
    await leases.wake(tx, tables.runtimes, runtime.id)
    await chores.publish_routes(tx)
