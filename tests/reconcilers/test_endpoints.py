"""Endpoints: which versions they serve, going back, splitting, stopping one, replacing all replicas."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from roost_server.domain import errors
from roost_server.domain.access import Access, Jwt
from roost_server.domain.endpoint import EndpointStatus
from roost_server.domain.replica import ReplicaStatus
from roost_server.domain.route import Route
from roost_server.domain.runtime import Status
from roost_server.operations import endpoints, runtimes, versions
from roost_server.operations.endpoints import Change
from support import platform
from support.platform import Rig
from support.waiting import PATIENCE_SECONDS, eventually

from reconcilers.issuers import serving

LONG = 3600.0
WAIT_SECONDS = 2 * PATIENCE_SECONDS
"""Longer than a test waits for what is to happen meanwhile."""


@pytest.fixture
async def keeping(tmp_path: Path, database_url: str) -> AsyncIterator[Rig]:
    """Replaced versions stay ready for long."""
    async with platform.opened(tmp_path, database_url, rollback_seconds=LONG) as rig:
        rig.start()
        yield rig


async def change(rig: Rig, endpoint: str | None = None, **what: object) -> None:
    await endpoints.update(rig.context, rig.caller, "agent", endpoint, Change(**what), None)  # type: ignore[arg-type]


async def serves(rig: Rig, live: dict[int, int], endpoint: str | None = None) -> None:
    async def reached() -> bool:
        view = await rig.endpoint("agent", endpoint)
        return view.endpoint.live == live and view.runtime.status == Status.ACTIVE

    await eventually(reached)


async def two_versions(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await rig.update("agent", runtime_server={"env": {"A": "2"}})
    await serves(rig, {2: 100})


async def test_going_back_within_the_window_starts_no_replica(keeping: Rig) -> None:
    await two_versions(keeping)
    boxes = await keeping.boxes()
    assert len(boxes) == 2
    await change(keeping, version=1)
    await serves(keeping, {1: 100})
    view = await keeping.endpoint("agent")
    assert (view.endpoint.kept_version, await keeping.boxes()) == (2, boxes)
    assert (await keeping.view("agent")).replicas.wanted == 1


async def test_what_was_kept_goes_when_its_window_is_over(tmp_path: Path, database_url: str) -> None:
    async with platform.opened(tmp_path, database_url, rollback_seconds=0.3) as rig:
        rig.start()
        await two_versions(rig)

        async def alone() -> bool:
            return {one.version for one in await rig.replicas("agent")} == {2}

        await eventually(alone)
        assert (await rig.endpoint("agent")).endpoint.kept_version is None


async def test_going_back_after_the_window_starts_the_old_version_again(rig: Rig) -> None:
    await two_versions(rig)
    await change(rig, version=1)
    await serves(rig, {1: 100})
    view = await rig.endpoint("agent")
    assert view.endpoint.pinned_version == 1 and not (await rig.view("agent")).stale
    await change(rig, follow=True)
    await serves(rig, {2: 100})


async def test_a_split_serves_both_and_ends_with_either(keeping: Rig) -> None:
    await two_versions(keeping)
    await change(keeping, split={1: 30, 2: 70})
    await serves(keeping, {1: 30, 2: 70})
    created = await keeping.view("agent")
    assert len(keeping.backends(created.runtime.id)) == 2
    await change(keeping, version=1)
    await serves(keeping, {1: 100})
    view = await keeping.endpoint("agent")
    assert (view.endpoint.kept_version, view.endpoint.kept_sessions) == (2, True)


async def test_a_further_endpoint_serves_its_version_beside_the_default(keeping: Rig) -> None:
    await two_versions(keeping)
    made = await endpoints.create(keeping.context, keeping.caller, "agent", "stable", 1, Access())
    await serves(keeping, {1: 100}, "stable")
    await serves(keeping, {2: 100})
    assert keeping.backends(made.endpoint.id) != keeping.backends("agent--default--default")
    await endpoints.delete(keeping.context, keeping.caller, "agent", "stable", None)
    with pytest.raises(errors.NotFound):
        await keeping.endpoint("agent", "stable")


async def test_any_endpoint_can_be_the_default_and_the_one_before_can_go(rig: Rig) -> None:
    await two_versions(rig)
    await endpoints.create(rig.context, rig.caller, "agent", "stable", 1, Access())
    await serves(rig, {1: 100}, "stable")
    await change(rig, "stable", make_default=True)

    async def moved() -> bool:
        replicas = await rig.replicas("agent")
        (old,) = [one for one in replicas if one.version == 1 and one.status != ReplicaStatus.STOPPING]
        return rig.backends("agent--default--default") == [old.id]

    await eventually(moved)
    with pytest.raises(errors.Conflict, match="default"):
        await endpoints.delete(rig.context, rig.caller, "agent", "stable", None)
    await endpoints.delete(rig.context, rig.caller, "agent", "DEFAULT", None)


async def test_a_version_that_is_only_recorded_makes_the_runtime_stale_until_it_starts_again(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await versions.replace_config(rig.context, rig.caller, "agent", platform.config(), None, apply=False)
    view = await rig.view("agent")
    assert (view.runtime.version, view.runtime.applied_version, view.stale) == (2, 1, True)
    await rig.act("stop", "agent")
    await rig.until("agent", Status.STOPPED)
    await rig.act("start", "agent")
    await serves(rig, {2: 100})
    assert not (await rig.view("agent")).stale


async def test_a_restart_replaces_every_replica_and_never_leaves_the_routes_empty(rig: Rig) -> None:
    created = await rig.create("agent", autoscaling={"min_replicas": 2, "max_replicas": 2})
    await rig.until("agent", Status.ACTIVE)
    before = {one.id for one in await rig.replicas("agent")}
    rig.gateway.snapshots.clear()
    await runtimes.restart(rig.context, rig.caller, "agent")
    await rig.until("agent", Status.ACTIVE)

    async def replaced() -> bool:
        now = {one.id for one in await rig.replicas("agent")}
        return len(now) == 2 and not now & before and now == await rig.boxes()

    await eventually(replaced)
    for snapshot in rig.gateway.snapshots:
        (route,) = [one for one in snapshot.routes if f"{created.runtime.id}.localhost" in one.hosts]
        ready = [each for pool in route.pools if pool.weight for each in pool.backends if not each.draining]
        assert len(ready) >= 2


async def test_an_endpoint_stops_and_starts_on_its_own(rig: Rig) -> None:
    await two_versions(rig)
    await endpoints.create(rig.context, rig.caller, "agent", "stable", 1, Access())
    await serves(rig, {1: 100}, "stable")
    stopped = await endpoints.stop(rig.context, rig.caller, "agent", "stable")
    assert stopped.status in (EndpointStatus.STOPPING, EndpointStatus.STOPPED)
    await serves(rig, {}, "stable")
    await serves(rig, {2: 100})
    await endpoints.start(rig.context, rig.caller, "agent", "stable")
    await serves(rig, {1: 100}, "stable")


async def test_stopping_the_last_endpoint_stops_the_runtime_and_starting_the_runtime_brings_it_back(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await endpoints.stop(rig.context, rig.caller, "agent", "DEFAULT")
    await rig.until("agent", Status.STOPPED)
    assert await rig.boxes() == set()
    await rig.act("start", "agent")
    await serves(rig, {1: 100})


async def test_a_runtime_that_stopped_with_its_endpoints_is_stopped_and_started_like_any_other(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await endpoints.stop(rig.context, rig.caller, "agent", "DEFAULT")
    await rig.until("agent", Status.STOPPED)
    stopped = await rig.act("stop", "agent")
    assert stopped.runtime.status == Status.STOPPED
    await rig.act("start", "agent")
    await serves(rig, {1: 100})


@pytest.mark.parametrize("verb", ["start", "create"])
async def test_who_waits_for_the_first_endpoint_of_a_stopped_runtime_finds_that_active_too(rig: Rig, verb: str) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await endpoints.stop(rig.context, rig.caller, "agent", "DEFAULT")
    await rig.until("agent", Status.STOPPED)
    if verb == "start":
        asked = await endpoints.start(rig.context, rig.caller, "agent", "DEFAULT")
    else:
        asked = await endpoints.create(rig.context, rig.caller, "agent", "other", None, Access())
    assert asked.runtime.status == Status.STARTING
    view = await endpoints.wait(rig.context, rig.caller, asked.runtime.id, asked.endpoint.id, WAIT_SECONDS)
    assert (view.status, view.runtime.status) == (EndpointStatus.ACTIVE, Status.ACTIVE)


async def test_a_stopped_endpoint_of_a_runtime_that_stopped_with_its_endpoints_can_be_deleted(rig: Rig) -> None:
    await rig.create("agent")
    await endpoints.create(rig.context, rig.caller, "agent", "stable", None, Access())
    await rig.until("agent", Status.ACTIVE)
    for endpoint in ("stable", "DEFAULT"):
        await endpoints.stop(rig.context, rig.caller, "agent", endpoint)
    await rig.until("agent", Status.STOPPED)
    await endpoints.delete(rig.context, rig.caller, "agent", "stable", None)
    assert (await rig.view("agent")).runtime.status == Status.STOPPED


async def test_loops_killed_anywhere_during_changes_leave_what_was_asked_last(keeping: Rig) -> None:
    await two_versions(keeping)
    wishes: list[dict[str, object]] = [{"version": 1}, {"split": {1: 50, 2: 50}}, {"follow": True}, {"version": 1}]
    for number, wish in enumerate(wishes):
        await change(keeping, **wish)
        await asyncio.wait_for(keeping.kill(), PATIENCE_SECONDS)
        await keeping.revive()
        if number % 2:
            await runtimes.restart(keeping.context, keeping.caller, "agent")
    await serves(keeping, {1: 100})
    rows = await keeping.replicas("agent")
    assert {one.version for one in rows} <= {1, 2}


@pytest.mark.parametrize(
    "change",
    [{"version": 1}, {"access": Access(mode="token")}, {"make_default": True}],
    ids=["version", "access", "default"],
)
async def test_who_waits_for_a_change_waits_until_the_gateway_has_it(keeping: Rig, change: dict[str, object]) -> None:
    await two_versions(keeping)
    made = await endpoints.create(keeping.context, keeping.caller, "agent", "other", None, Access())
    id_, runtime_id = made.endpoint.id, made.runtime.id
    await endpoints.wait(keeping.context, keeping.caller, runtime_id, id_, WAIT_SECONDS)
    assert route_of(keeping, id_).pools

    keeping.gateway.available = False
    await endpoints.update(keeping.context, keeping.caller, "agent", "other", Change(**change), None)  # type: ignore[arg-type]
    before = route_of(keeping, id_)
    waiting = [
        asyncio.create_task(endpoints.wait(keeping.context, keeping.caller, runtime_id, id_, WAIT_SECONDS)),
        asyncio.create_task(runtimes.wait(keeping.context, keeping.caller, runtime_id, WAIT_SECONDS)),
    ]

    async def moved() -> bool:
        return (await keeping.endpoint("agent", "other")).status == EndpointStatus.ACTIVE

    await eventually(moved)
    assert route_of(keeping, id_) == before and not any(one.done() for one in waiting)
    keeping.gateway.available = True
    await asyncio.gather(*waiting)
    assert route_of(keeping, id_) != before


async def test_who_waits_for_an_issuer_waits_until_the_gateway_has_its_keys(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    async with serving() as issuer:
        access = Access(mode="jwt", jwt=Jwt(jwks_uri=f"{issuer.url}/keys"))
        made = await endpoints.create(rig.context, rig.caller, "agent", "partners", None, access)
        assert not made.routed
        view = await endpoints.wait(rig.context, rig.caller, made.runtime.id, made.endpoint.id, WAIT_SECONDS)
    guard = route_of(rig, made.endpoint.id).guard
    assert (view.routed, view.message, guard.jwt is not None, guard.closed) == (True, None, True, None)


def route_of(rig: Rig, endpoint_id: str) -> Route:
    assert rig.gateway.snapshot is not None
    return next(route for route in rig.gateway.snapshot.routes if route.id == endpoint_id)


async def test_a_weight_for_a_version_that_does_not_exist_is_refused(rig: Rig) -> None:
    await rig.create("agent")
    for wish in ({"version": 7}, {"split": {1: 50, 7: 50}}):
        with pytest.raises(errors.Invalid, match="version 7"):
            await change(rig, **wish)
    with pytest.raises(errors.Invalid, match="add up to 100"):
        await change(rig, split={1: 50})
