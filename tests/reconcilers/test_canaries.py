"""Canaries: good ones take over step by step, others go before they have much traffic."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from roost_server.domain.access import Access
from roost_server.domain.canary import Canary, CanaryStatus, Terms
from roost_server.operations import endpoints
from roost_server.operations.endpoints import Change
from support import platform
from support.platform import Rig
from support.waiting import eventually

from reconcilers.canary_stories import (
    ENV,
    NEVER,
    act,
    alone,
    current,
    ends,
    holds,
    look,
    reached,
    record,
    serves,
    start,
    told,
    two_versions,
    weights_seen,
    weights_were,
)

pytestmark = pytest.mark.slow


async def test_a_good_version_takes_over_step_by_step(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig)
    ended = await ends(rig, callers, CanaryStatus.SUCCEEDED)
    await weights_were(rig, 2, [0, 5, 25, 50, 100])
    assert (ended.step, ended.message) == (3, "version 2 has all the traffic")
    view = await rig.view("agent")
    assert (view.runtime.applied_version, view.stale) == (2, False)
    assert (view.endpoints[0].endpoint.split, view.endpoints[0].endpoint.pinned_version) == (None, None)
    await serves(rig, {2: 100})
    await alone(rig, 2)
    assert [event.data["weight"] for event in await told(rig, "step")] == [25, 50, 100]
    (step, *_) = await told(rig, "step")
    assert step.data["new"] == {"requests": step.data["new"]["requests"], "errors": 0, "error_rate": 0, "p95_ms": 10}  # type: ignore[index]
    assert len(await told(rig, "started")) == len(await told(rig, "succeeded")) == 1


async def test_a_version_that_fails_one_request_in_twenty_goes_in_its_first_step(rig: Rig) -> None:
    callers = await two_versions(rig)
    callers.fails = {2: 20}
    await start(rig)
    ended = await ends(rig, callers, CanaryStatus.ROLLED_BACK)
    await weights_were(rig, 2, [0, 5, 0])
    assert (ended.message or "").startswith("version 2 does worse: ")
    await serves(rig, {1: 100})
    await alone(rig, 1)
    view = await rig.view("agent")
    assert (view.runtime.applied_version, view.endpoints[0].endpoint.split) == (1, None)
    (event,) = await told(rig, "rolled_back")
    assert event.data["new"]["errors"] >= 3 and event.data["old"]["errors"] == 0  # type: ignore[index]


async def test_it_goes_before_its_step_is_over(rig: Rig) -> None:
    callers = await two_versions(rig)
    callers.fails = {2: 20}
    await start(rig, NEVER)
    await ends(rig, callers, CanaryStatus.ROLLED_BACK)


async def test_a_version_that_fails_as_often_as_the_old_one_takes_over(rig: Rig) -> None:
    callers = await two_versions(rig)
    callers.fails = {1: 20, 2: 20}
    await start(rig)
    await ends(rig, callers, CanaryStatus.SUCCEEDED)


async def test_a_slow_version_goes(rig: Rig) -> None:
    callers = await two_versions(rig)
    callers.takes = {2: 40.0}
    await start(rig, replace(NEVER, steps=(50, 100)))
    ended = await ends(rig, callers, CanaryStatus.ROLLED_BACK)
    assert "took up to 40 ms, 10 ms with the old version" in (ended.message or "")
    await alone(rig, 1)


async def test_a_version_that_does_worse_only_with_more_traffic_goes_then(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig)
    await holds(rig, callers, 25)
    callers.fails = {2: 2}
    await ends(rig, callers, CanaryStatus.ROLLED_BACK)
    await serves(rig, {1: 100})


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"fault": "exits_at_once"}, "version 2 did not start: exited with code 1"),
        ({"image": "registry.example.com/team/image_not_found"}, "version 2 did not start: cannot pull registry"),
        ({"fault": "never_healthy", "health": {"start_timeout_seconds": 1}}, "version 2 did not start: not healthy"),
    ],
)
async def test_a_version_that_never_becomes_ready_goes(rig: Rig, document: dict[str, Any], message: str) -> None:
    callers = await two_versions(rig, **document)
    await start(rig)
    ended = await ends(rig, callers, CanaryStatus.ROLLED_BACK)
    assert (ended.message or "").startswith(message)
    assert weights_seen(rig, 2) == [0]
    await serves(rig, {1: 100})
    await alone(rig, 1)


async def test_nobody_calls_and_it_waits(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig)

    async def waits() -> bool:
        return "waits for requests to version 2" in ((await look(rig)).message or "")

    await eventually(waits)
    assert (await current(rig)).status == CanaryStatus.RUNNING
    await ends(rig, callers, CanaryStatus.SUCCEEDED)


async def test_a_version_has_its_replicas_before_its_weight(rig: Rig) -> None:
    many = {"autoscaling": {"min_replicas": 1, "max_replicas": 4}}
    callers = await two_versions(rig, {"autoscaling": {"min_replicas": 4, "max_replicas": 4}}, **many)
    await start(rig)
    await ends(rig, callers, CanaryStatus.SUCCEEDED)
    needed = {0: 0, 5: 1, 25: 2, 50: 3, 100: 4}
    for snapshot in rig.gateway.snapshots:
        for pool in (pool for route in snapshot.routes for pool in route.pools if pool.version == 2):
            ready = [backend for backend in pool.backends if not backend.draining]
            assert len(ready) >= needed[pool.weight], pool


async def test_going_back_waits_for_nothing_and_has_the_replicas_of_both(rig: Rig) -> None:
    many = {"autoscaling": {"min_replicas": 1, "max_replicas": 4}}
    callers = await two_versions(rig, many, **many, **ENV)
    await start(rig, Terms((50, 100), 3600.0))
    await holds(rig, callers, 50)
    rig.engine.fault("unavailable")
    await act(rig, "abort")
    assert (await rig.endpoint("agent")).endpoint.live == {1: 100}
    rig.engine.fault(None)

    async def grown() -> bool:
        return [one.version for one in await rig.replicas("agent") if one.status == "ready"] == [1, 1]

    await eventually(grown)


async def test_an_error_of_the_runtime_that_is_not_the_new_versions_holds_the_clock(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig, NEVER)
    await holds(rig, callers, 5)
    await record(rig, fault="exits_at_once")
    await endpoints.create(rig.context, rig.caller, "agent", "broken", 3, Access())

    async def held() -> bool:
        canary = await look(rig)
        return canary.step_since is None and "until the runtime is in order" in (canary.message or "")

    await eventually(held)
    await endpoints.delete(rig.context, rig.caller, "agent", "broken", None)
    await holds(rig, callers, 5)


async def test_a_gateway_that_does_not_tell_holds_it(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig)
    await holds(rig, callers, 5)
    rig.gateway.available = False

    async def held() -> bool:
        return "until the gateway can be asked" in ((await look(rig)).message or "")

    await eventually(held)
    rig.gateway.available = True
    await ends(rig, callers, CanaryStatus.SUCCEEDED)


async def test_a_gateway_that_began_to_count_anew_is_no_reason(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig, NEVER)
    before = await holds(rig, callers, 5)
    callers.send(2000)

    def counted(enough: int) -> Callable[[Canary], bool]:
        return lambda canary: canary.judged is not None and canary.judged.old.requests >= enough

    assert await eventually(reached(rig, callers, counted(1900)))
    rig.gateway.counts.clear()
    found = await eventually(reached(rig, callers, counted(callers.sent[1] + 500)))
    assert found is not None and (found.status, found.step_since) == (CanaryStatus.RUNNING, before.step_since)
    assert found.judged is not None and 0 < found.judged.new.requests <= callers.sent[2]


@pytest.mark.parametrize("seed", [1, 2, *[pytest.param(seed, marks=pytest.mark.slow) for seed in (3, 4)]])
@pytest.mark.parametrize(("fails", "status"), [(None, CanaryStatus.SUCCEEDED), (4, CanaryStatus.ROLLED_BACK)])
async def test_loops_killed_anywhere_bring_it_to_the_same_end(
    rig: Rig, seed: int, fails: int | None, status: CanaryStatus
) -> None:
    """Each round lets the loops run for a few turns of the event loop only, then kills them where they stand."""
    chance = random.Random(seed)
    callers = await two_versions(rig)
    callers.fails = {2: fails} if fails else {}
    await rig.kill()
    await start(rig)
    for _ in range(60):
        await rig.revive()
        for _ in range(chance.randrange(40)):
            await asyncio.sleep(0)
        await rig.kill()
        callers.send(100)
        await look(rig)
    await rig.revive()
    await ends(rig, callers, status)
    version = 2 if status == CanaryStatus.SUCCEEDED else 1
    await serves(rig, {version: 100})
    await alone(rig, version)
    for kind in ("started", status):
        assert len(await told(rig, kind)) == 1
    steps = [event.data["weight"] for event in await told(rig, "step")]
    assert steps == ([25, 50, 100] if status == CanaryStatus.SUCCEEDED else [])


@pytest.fixture
async def keeping(tmp_path: Path, database_url: str) -> AsyncIterator[Rig]:
    """Replaced versions stay ready for long."""
    async with platform.opened(tmp_path, database_url, rollback_seconds=3600.0) as rig:
        rig.start()
        yield rig


async def test_after_it_succeeded_the_old_version_keeps_its_sessions_and_is_a_moment_away(keeping: Rig) -> None:
    callers = await two_versions(keeping)
    await start(keeping)
    await ends(keeping, callers, CanaryStatus.SUCCEEDED)
    end = (await keeping.endpoint("agent")).endpoint
    assert (end.live, end.kept_version, end.kept_sessions) == ({2: 100}, 1, True)
    boxes = await keeping.boxes()
    await endpoints.update(keeping.context, keeping.caller, "agent", None, Change(version=1), None)
    await serves(keeping, {1: 100})
    assert await keeping.boxes() == boxes
