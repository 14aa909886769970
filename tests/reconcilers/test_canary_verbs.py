"""Canaries: what callers do with them, and what else happens to a runtime meanwhile."""

import asyncio

import pytest
from roost_server.domain import errors
from roost_server.domain.access import Access
from roost_server.domain.canary import Canary, CanaryStatus, Terms
from roost_server.domain.runtime import Status
from roost_server.operations import canaries, endpoints
from roost_server.operations.endpoints import Change
from support import platform
from support.callers import Callers
from support.platform import Rig
from support.waiting import PATIENCE_SECONDS, eventually

from reconcilers.canary_stories import (
    NEVER,
    act,
    alone,
    current,
    ends,
    holds,
    reached,
    record,
    serves,
    start,
    told,
    two_versions,
    weights_seen,
    weights_were,
)


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


@pytest.mark.parametrize("verb", ["promote", "abort"])
async def test_who_waits_for_its_end_waits_until_the_gateway_has_it(rig: Rig, verb: str) -> None:
    await two_versions(rig)
    started = await canaries.start(rig.context, rig.caller, "agent", 2, None, NEVER)
    await weights_were(rig, 2, [0, 5])
    rig.gateway.available = False
    await act(rig, verb)
    waiting = asyncio.create_task(
        canaries.wait(rig.context, rig.caller, "agent", started.canary.id, 2 * PATIENCE_SECONDS)
    )

    async def has_ended() -> bool:
        return (await current(rig)).has_ended

    def weights() -> dict[int, int]:
        routes = rig.gateway.snapshot.routes if rig.gateway.snapshot else ()
        return {pool.version: pool.weight for route in routes for pool in route.pools if pool.weight}

    await eventually(has_ended)
    assert weights() == {1: 95, 2: 5} and not waiting.done()
    rig.gateway.available = True
    view = await waiting
    assert weights() == ({2: 100} if verb == "promote" else {1: 100})
    assert (view.canary.has_ended, view.endpoint.is_routed, view.runtime.status) == (True, True, Status.ACTIVE)


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
    ended = await eventually(reached(rig, callers, lambda canary: canary.has_ended))
    assert ended is not None and ended.status in (CanaryStatus.ABORTED, CanaryStatus.SUCCEEDED)
    assert len([*await told(rig, "aborted"), *await told(rig, "succeeded")]) == 1
    await serves(rig, dict(ended.outcome))
