"""New versions: they start beside the old one, and nobody is without an answer meanwhile."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from roost_server.domain import routing
from roost_server.domain.replica import ReplicaStatus
from roost_server.domain.route import Snapshot
from roost_server.domain.runtime import Status
from roost_server.reconcilers.replicas import UNROUTE_SECONDS
from roost_server.store import leases, tables
from support import platform
from support.platform import Rig
from support.waiting import eventually

TWO = {"autoscaling": {"min_replicas": 2, "max_replicas": 2}}


def serving(snapshot: Snapshot, host: str) -> set[str]:
    """Replicas that get new requests for a host."""
    return {
        backend.replica_id
        for route in snapshot.routes
        if f"{host}.localhost" in route.hosts
        for pool in route.pools
        if pool.weight
        for backend in pool.backends
        if not backend.draining
    }


async def versions_of(rig: Rig) -> set[int]:
    return {replica.version for replica in await rig.replicas("agent")}


async def only_version(rig: Rig, number: int) -> bool:
    rows = await rig.replicas("agent")
    return {row.version for row in rows} == {number} and {row.id for row in rows} == await rig.boxes()


async def test_an_update_never_leaves_the_runtime_without_a_routed_replica(rig: Rig) -> None:
    created = await rig.create("agent", **TWO)
    await rig.until("agent", Status.ACTIVE)
    rig.gateway.snapshots.clear()
    updated = await rig.update("agent", **TWO, runtime_server={"env": {"A": "2"}})
    assert updated.status == Status.UPDATING
    await rig.until("agent", Status.ACTIVE)
    await eventually(lambda: only_version(rig, 2))
    assert rig.gateway.snapshots
    for snapshot in rig.gateway.snapshots:
        assert len(serving(snapshot, created.runtime.id)) == 2


@pytest.mark.parametrize("drain_seconds", [2.0, 0.0])
async def test_a_replica_leaves_the_routes_before_its_box_is_removed(
    tmp_path: Path, database_url: str, drain_seconds: float
) -> None:
    async with platform.opened(tmp_path, database_url, drain_seconds=drain_seconds) as rig:
        rig.start()
        removed_while_routed: list[bool] = []
        rig.engine.on_delete = lambda box: removed_while_routed.append(box in routing.routed(rig.gateway.snapshot))
        for number in range(4):
            await (rig.create("agent") if number == 0 else rig.update("agent"))
            await rig.until("agent", Status.ACTIVE)
        await eventually(lambda: only_version(rig, 4))
        assert len(removed_while_routed) >= 3 and not any(removed_while_routed)


async def test_requests_in_flight_hold_the_old_replica_until_they_end(tmp_path: Path, database_url: str) -> None:
    async with platform.opened(tmp_path, database_url, drain_seconds=3600.0) as rig:
        rig.start()
        await rig.create("agent")
        await rig.until("agent", Status.ACTIVE)
        (old,) = await rig.replicas("agent")
        rig.gateway.active[old.id] = 1
        await rig.update("agent")
        await rig.until("agent", Status.ACTIVE)
        assert old.id in await rig.boxes()
        rig.gateway.active.clear()
        await eventually(lambda: only_version(rig, 2))


async def test_a_request_that_never_ends_holds_its_replica_no_longer_than_the_drain_time(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    (old,) = await rig.replicas("agent")
    rig.gateway.active[old.id] = 1
    await rig.update("agent")
    await eventually(lambda: only_version(rig, 2))


async def stopped_long_ago(rig: Rig) -> None:
    """As if the runtime had been stopped longer ago than a gateway that does not answer is waited for."""
    await rig.act("stop", "agent")

    async def stopping() -> bool:
        return [replica.status for replica in await rig.replicas("agent")] == [ReplicaStatus.STOPPING]

    await eventually(stopping)
    before = leases.now() - timedelta(seconds=2 * UNROUTE_SECONDS)
    async with rig.store.write() as tx:
        await tx.run(sa.update(tables.replicas).values(stopping_at=before))


async def test_a_gateway_that_is_slow_to_be_told_keeps_the_replica_that_it_sends_requests_to(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    may_tell, looks = asyncio.Event(), 0
    rig.gateway.before_publish = may_tell.wait
    await stopped_long_ago(rig)

    async def look() -> None:
        nonlocal looks
        looks += 1

    async def looked_at() -> bool:
        """The first look may have begun before, and the last may not have ended."""
        return looks >= 3

    rig.engine.before_inspect = look
    await eventually(looked_at)
    assert len(await rig.boxes()) == 1
    may_tell.set()
    await rig.until("agent", Status.STOPPED)


async def test_a_gateway_that_does_not_answer_is_not_waited_for(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    rig.gateway.available = False
    await stopped_long_ago(rig)
    await rig.until("agent", Status.STOPPED)
    assert await rig.boxes() == set()


async def test_a_broken_update_keeps_the_old_version_serving_and_says_why(rig: Rig) -> None:
    created = await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    (old,) = await rig.replicas("agent")
    await rig.update("agent", fault="exits_at_once")
    view = await rig.until("agent", Status.ERROR)
    assert view.runtime.reason == "exited" and view.stale
    assert (view.runtime.message or "").startswith("version 2 did not start: exited with code 1")
    assert "version 1 keeps serving" in (view.runtime.message or "")
    assert rig.backends(created.runtime.id) == [old.id]
    assert view.endpoints[0].endpoint.live == {1: 100}


async def test_an_update_to_an_image_that_cannot_be_had_keeps_the_old_version_serving(rig: Rig) -> None:
    created = await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await rig.update("agent", image="registry.example.com/team/image_not_found")
    view = await rig.until("agent", Status.ERROR)
    assert view.runtime.reason == "image_not_found"
    assert len(rig.backends(created.runtime.id)) == 1


async def test_a_good_version_after_a_broken_one_takes_over(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await rig.update("agent", fault="exits_at_once")
    await rig.until("agent", Status.ERROR)
    await rig.update("agent")
    await rig.until("agent", Status.ACTIVE)
    await eventually(lambda: only_version(rig, 3))


async def test_only_the_newest_of_several_updates_at_once_stays(rig: Rig) -> None:
    await rig.create("agent")
    for number in range(5):
        await rig.update("agent", runtime_server={"env": {"N": str(number)}})
    await rig.until("agent", Status.ACTIVE)
    await eventually(lambda: only_version(rig, 6))


async def test_an_update_of_a_stopped_runtime_starts_with_the_new_version(rig: Rig) -> None:
    await rig.create("agent")
    await rig.act("stop", "agent")
    await rig.until("agent", Status.STOPPED)
    await rig.update("agent")
    assert (await rig.view("agent")).runtime.status == Status.STOPPED
    await rig.act("start", "agent")
    await rig.until("agent", Status.ACTIVE)
    assert await versions_of(rig) == {2}


async def test_a_runtime_scales_to_the_number_its_configuration_names(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await rig.update("agent", autoscaling={"min_replicas": 3, "max_replicas": 3})
    view = await rig.until("agent", Status.ACTIVE)
    assert (view.replicas.wanted, view.replicas.ready) == (3, 3)


async def test_repairing_a_crashing_version_by_an_update_is_not_told_as_an_error(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    (old,) = await rig.replicas("agent")
    rig.engine.fault("exits_at_once")
    await rig.engine.crash(old.id)
    await rig.until("agent", Status.ERROR)
    rig.engine.fault(None)
    await rig.update("agent")
    statuses = []

    async def settled() -> bool:
        statuses.append((await rig.view("agent")).runtime.status)
        return statuses[-1] == Status.ACTIVE

    await eventually(settled)
    assert Status.ERROR not in statuses
