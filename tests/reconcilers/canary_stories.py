"""Words that the stories of canaries share: start and change one, call its endpoint until it is as wanted."""

from collections.abc import Awaitable, Callable
from typing import Any

from roost_server.domain.canary import Canary, CanaryStatus, Terms
from roost_server.domain.runtime import Event, Status
from roost_server.operations import canaries, versions
from roost_server.store import tables
from roost_server.store.leases import wake
from support.callers import Callers
from support.platform import Rig, config
from support.waiting import eventually

QUICK = Terms(interval_seconds=0.0)
NEVER = Terms(interval_seconds=3600.0)
"""Its first step lasts for as long as anybody looks."""
ENV = {"runtime_server": {"env": {"A": "2"}}}


async def record(rig: Rig, **document: Any) -> None:
    """A new version that nothing serves."""
    await versions.replace_config(rig.context, rig.caller, "agent", config(**document), None, apply=False)


async def two_versions(rig: Rig, old: dict[str, Any] | None = None, **new: Any) -> Callers:
    """Version 1 serves, version 2 is only recorded; who calls."""
    view = await rig.create("agent", **(old or {}))
    await rig.until("agent", Status.ACTIVE)
    await record(rig, **(new or ENV))
    return Callers(rig, view.endpoints[0].endpoint.id)


async def start(rig: Rig, terms: Terms = QUICK, to: int = 2, endpoint: str | None = None) -> Canary:
    return (await canaries.start(rig.context, rig.caller, "agent", to, endpoint, terms)).canary


async def act(rig: Rig, verb: str, which: str = "current") -> Canary:
    view = await getattr(canaries, verb)(rig.context, rig.caller, "agent", which, None)
    canary: Canary = view.canary
    return canary


async def current(rig: Rig) -> Canary:
    return (await canaries.get(rig.context, rig.caller, "agent", "current")).canary


async def look(rig: Rig) -> Canary:
    """Make the next look due now, which otherwise comes every second."""
    canary = await current(rig)
    async with rig.store.write() as tx:
        await wake(tx, tables.canaries, canary.id)
    return canary


def reached(rig: Rig, callers: Callers, wanted: Callable[[Canary], bool]) -> Callable[[], Awaitable[Canary | None]]:
    """For `eventually`: send requests and look, until the canary is as wanted."""

    async def step() -> Canary | None:
        callers.send()
        canary = await look(rig)
        return canary if wanted(canary) else None

    return step


async def ends(rig: Rig, callers: Callers, status: CanaryStatus) -> Canary:
    ended = await eventually(reached(rig, callers, lambda canary: canary.has_ended))
    assert ended is not None and ended.status == status, ended
    return ended


async def holds(rig: Rig, callers: Callers, weight: int) -> Canary:
    """The step of this weight is under way. It ends no sooner than somebody calls."""

    async def step() -> Canary | None:
        canary = await look(rig)
        if canary.weight != weight:
            callers.send()
        return canary if canary.weight == weight and canary.step_since else None

    found = await eventually(step)
    assert found is not None
    return found


async def serves(rig: Rig, live: dict[int, int]) -> None:
    async def settled() -> bool:
        view = await rig.endpoint("agent")
        return view.endpoint.live == live and view.runtime.status == Status.ACTIVE

    await eventually(settled)


async def alone(rig: Rig, version: int) -> None:
    """Only this version has replicas."""

    async def settled() -> bool:
        return {replica.version for replica in await rig.replicas("agent")} == {version}

    await eventually(settled)


async def weights_were(rig: Rig, version: int, weights: list[int]) -> None:
    """The gateway was told these of the version, one after the other."""

    async def published() -> bool:
        return weights_seen(rig, version)[-1] == weights[-1]

    await eventually(published)
    assert weights_seen(rig, version) == weights


def weights_seen(rig: Rig, version: int) -> list[int]:
    """The version's weight in every snapshot, repetitions left out."""
    seen = [0]
    for snapshot in rig.gateway.snapshots:
        for pool in (pool for route in snapshot.routes for pool in route.pools if pool.version == version):
            if pool.weight != seen[-1]:
                seen.append(pool.weight)
    return seen


async def told(rig: Rig, kind: str) -> list[Event]:
    return [event for event in await rig.events("agent") if event.type == f"canary.{kind}"]
