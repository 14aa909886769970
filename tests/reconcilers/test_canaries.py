"""Canaries: good ones take over step by step, others go before they have much traffic."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from roost_server.domain import errors
from roost_server.domain.access import Access
from roost_server.domain.canary import Canary, CanaryStatus, Terms
from roost_server.domain.runtime import Event, Status
from roost_server.operations import canaries, endpoints, versions
from roost_server.operations.endpoints import Change
from roost_server.store import tables
from roost_server.store.leases import wake
from support import platform
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
    """The step of this weight is under way."""
    found = await eventually(reached(rig, callers, lambda canary: canary.weight == weight and bool(canary.step_since)))
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
    await start(rig, NEVER)
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


async def test_paused_it_stays_where_it_is_and_goes_on_when_resumed(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig, NEVER)
    await holds(rig, callers, 5)
    assert (await act(rig, "pause")).status == CanaryStatus.PAUSED
    assert (await act(rig, "pause")).message == "paused at 5 %"
    assert (await act(rig, "resume")).status == CanaryStatus.RUNNING
    assert (await act(rig, "resume")).status == CanaryStatus.RUNNING
    kinds = [kind for kind in await rig.event_types("agent") if kind.startswith("canary.")]
    assert kinds == ["canary.started", "canary.paused", "canary.resumed"]


async def test_paused_it_does_not_advance_but_still_goes_when_it_does_worse(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig)
    await holds(rig, callers, 25)
    await act(rig, "pause")
    stays = callers.sent[2] + 200
    await eventually(reached(rig, callers, lambda canary: callers.sent[2] > stays))
    assert (await current(rig)).weight == 25
    callers.fails = {2: 2}
    await ends(rig, callers, CanaryStatus.ROLLED_BACK)


async def test_promoted_it_has_all_at_once(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig, NEVER)
    await holds(rig, callers, 5)
    await act(rig, "pause")
    await act(rig, "promote")
    await ends(rig, callers, CanaryStatus.SUCCEEDED)
    await weights_were(rig, 2, [0, 5, 100])
    assert (await act(rig, "promote")).status == CanaryStatus.SUCCEEDED
    with pytest.raises(errors.Conflict, match="has ended, succeeded"):
        await act(rig, "abort")


async def test_promoted_before_it_is_ready_it_still_waits_for_its_replicas(rig: Rig) -> None:
    callers = await two_versions(rig, fault="exits_at_once")
    await start(rig, NEVER)
    await act(rig, "promote")
    await ends(rig, callers, CanaryStatus.ROLLED_BACK)
    assert weights_seen(rig, 2) == [0]


async def test_aborted_the_old_version_has_all_at_once(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig, NEVER)
    await holds(rig, callers, 5)
    assert (await act(rig, "abort")).status == CanaryStatus.ABORTED
    assert (await rig.endpoint("agent")).endpoint.live == {1: 100}
    await serves(rig, {1: 100})
    await alone(rig, 1)
    assert (await act(rig, "abort")).status == CanaryStatus.ABORTED
    for verb in ("pause", "resume", "promote"):
        with pytest.raises(errors.Conflict, match="has ended, aborted"):
            await act(rig, verb)


async def test_retried_it_begins_anew_with_the_same_terms(rig: Rig) -> None:
    callers = await two_versions(rig)
    first = await start(rig, Terms((10, 100), 0.0, 0.02, 2.0, 30))
    with pytest.raises(errors.Conflict, match="it is running"):
        await act(rig, "retry")
    await act(rig, "abort")
    second = await act(rig, "retry")
    assert (second.id != first.id, second.terms, second.to_version) == (True, first.terms, 2)
    await ends(rig, callers, CanaryStatus.SUCCEEDED)
    with pytest.raises(errors.Conflict, match="it is succeeded"):
        await act(rig, "retry")


async def test_stopping_the_runtime_aborts_it(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig, NEVER)
    await holds(rig, callers, 5)
    await rig.act("stop", "agent")
    stopped = await current(rig)
    assert (stopped.status, stopped.message) == (CanaryStatus.ABORTED, "the runtime was stopped")
    await rig.until("agent", Status.STOPPED)
    assert (await rig.endpoint("agent")).endpoint.split is None
    await rig.act("start", "agent")
    await rig.until("agent", Status.ACTIVE)


async def test_deleting_the_runtime_ends_it(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig, NEVER)
    await holds(rig, callers, 5)
    await rig.delete("agent")
    await rig.until_gone("agent")


async def test_deleting_the_endpoint_ends_it_and_leaves_the_others_alone(rig: Rig) -> None:
    await two_versions(rig)
    await endpoints.create(rig.context, rig.caller, "agent", "beta", None, Access())
    await rig.until("agent", Status.ACTIVE)
    await start(rig, NEVER, endpoint="beta")
    await endpoints.delete(rig.context, rig.caller, "agent", "beta", None)
    await serves(rig, {1: 100})
    await alone(rig, 1)
    assert len(await told(rig, "aborted")) == 1


async def test_while_it_is_under_way_nothing_else_moves_the_endpoint(rig: Rig) -> None:
    await two_versions(rig)
    await start(rig, NEVER)
    with pytest.raises(errors.Conflict, match="a canary moves its traffic"):
        await endpoints.update(rig.context, rig.caller, "agent", None, Change(version=2), None)
    with pytest.raises(errors.Conflict, match="a canary of DEFAULT is under way"):
        await rig.update("agent")
    with pytest.raises(errors.Conflict, match="a canary of it is under way"):
        await start(rig)
    await record(rig)
    assert (await rig.view("agent")).runtime.version == 3


async def test_a_version_that_is_not_the_latest_any_more_is_pinned(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig, NEVER)
    await record(rig)
    await act(rig, "promote")
    await ends(rig, callers, CanaryStatus.SUCCEEDED)
    view = await rig.view("agent")
    assert (view.endpoints[0].endpoint.pinned_version, view.runtime.applied_version) == (2, 1)


async def test_a_pinned_endpoint_stays_pinned_and_the_others_where_they_are(rig: Rig) -> None:
    await two_versions(rig)
    view = await endpoints.create(rig.context, rig.caller, "agent", "beta", 1, Access())
    await rig.until("agent", Status.ACTIVE)
    callers = Callers(rig, view.endpoint.id)
    await start(rig, endpoint="beta")
    await ends(rig, callers, CanaryStatus.SUCCEEDED)
    default, beta = (await rig.view("agent")).endpoints
    assert (beta.endpoint.pinned_version, beta.endpoint.live) == (2, {2: 100})
    assert default.endpoint.live == {1: 100}


async def test_the_others_that_follow_the_latest_follow_when_it_has_succeeded(rig: Rig) -> None:
    callers = await two_versions(rig)
    await endpoints.create(rig.context, rig.caller, "agent", "beta", None, Access())
    await rig.until("agent", Status.ACTIVE)
    await start(rig)
    await holds(rig, callers, 5)
    assert (await rig.endpoint("agent", "beta")).endpoint.live == {1: 100}
    await ends(rig, callers, CanaryStatus.SUCCEEDED)

    async def followed() -> bool:
        return (await rig.endpoint("agent", "beta")).endpoint.live == {2: 100}

    await eventually(followed)


async def test_two_canaries_of_one_runtime_do_not_disturb_each_other(rig: Rig) -> None:
    await two_versions(rig)
    beta = await endpoints.create(rig.context, rig.caller, "agent", "beta", None, Access())
    await rig.until("agent", Status.ACTIVE)
    first, second = await start(rig, NEVER), await start(rig, NEVER, endpoint="beta")
    with pytest.raises(errors.Conflict, match="name one of"):
        await current(rig)
    await act(rig, "promote", first.id)
    await serves(rig, {2: 100})

    async def succeeded() -> bool:
        found = await canaries.get(rig.context, rig.caller, "agent", first.id)
        return found.canary.status == CanaryStatus.SUCCEEDED

    await eventually(succeeded)
    await act(rig, "abort", second.id)

    async def back() -> bool:
        return (await rig.endpoint("agent", "beta")).endpoint.live == {1: 100}

    await eventually(back)
    assert (await rig.endpoint("agent", "beta")).endpoint.pinned_version == 1
    assert beta.endpoint.pinned_version is None


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
    rig.gateway.counts.clear()
    enough = 3000

    def counted(canary: Canary) -> bool:
        return canary.judged is not None and canary.judged.old.requests > enough

    found = await eventually(reached(rig, callers, counted))
    assert found is not None and (found.status, found.step_since) == (CanaryStatus.RUNNING, before.step_since)
    assert found.judged is not None and 0 < found.judged.new.requests <= callers.sent[2]


async def test_a_second_start_with_the_same_key_is_the_same_canary(rig: Rig) -> None:
    await two_versions(rig)
    rig.caller = platform.dataclasses.replace(rig.caller, key="once", fingerprint="f")
    first = await start(rig, NEVER)
    assert (await start(rig, NEVER)).id == first.id


async def test_starts_at_once_make_one_canary(rig: Rig) -> None:
    await two_versions(rig)
    outcomes = await asyncio.gather(*(start(rig, NEVER) for _ in range(5)), return_exceptions=True)
    made = [one for one in outcomes if isinstance(one, Canary)]
    assert len(made) == 1
    assert all(isinstance(one, errors.Conflict) for one in outcomes if one not in made)


async def test_verbs_at_once_leave_it_ended_once(rig: Rig) -> None:
    callers = await two_versions(rig)
    await start(rig, NEVER)
    await holds(rig, callers, 5)
    verbs = ["abort", "abort", "pause", "promote", "abort", "resume"]
    outcomes = await asyncio.gather(*(act(rig, verb) for verb in verbs), return_exceptions=True)
    assert all(isinstance(one, Canary | errors.Conflict) for one in outcomes), outcomes
    ended = await ends(rig, callers, CanaryStatus.ABORTED)
    assert len(await told(rig, "aborted")) == 1
    await serves(rig, {ended.from_version: 100})


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
