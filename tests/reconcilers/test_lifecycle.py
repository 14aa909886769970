"""A runtime's life: created, stopped, started, deleted."""

import pytest
from roost_server.domain import errors
from roost_server.domain.runtime import Status
from roost_server.operations import runtimes
from support.platform import Rig
from support.waiting import eventually


async def test_a_created_runtime_becomes_active_and_routed(rig: Rig) -> None:
    created = await rig.create("agent")
    assert created.runtime.status == Status.CREATING
    await rig.until("agent", Status.ACTIVE)
    (replica,) = await rig.replicas("agent")
    assert replica.status == "ready" and replica.routed
    assert rig.backends(created.runtime.id) == rig.backends("agent--default--default") == [replica.id]
    assert set(replica.phases) == {"queued", "image", "disk", "network", "process", "health"}
    assert await rig.event_types("agent") == ["runtime.created", "replica.ready", "endpoint.moved", "runtime.active"]


async def test_waiting_for_a_runtime_ends_when_it_is_active(rig: Rig) -> None:
    created = await rig.create("agent")
    view = await runtimes.wait(rig.context, rig.caller, created.runtime.id, 20)
    assert view is not None and view.runtime.status == Status.ACTIVE


async def test_stop_removes_the_boxes_and_keeps_the_runtime(rig: Rig) -> None:
    created = await rig.create("agent", autoscaling={"min_replicas": 2, "max_replicas": 2})
    await rig.until("agent", Status.ACTIVE)
    assert len(await rig.boxes()) == 2
    assert (await rig.act("stop", "agent")).runtime.status == Status.STOPPING
    await rig.until("agent", Status.STOPPED)
    assert await rig.boxes() == set() and await rig.replicas("agent") == []
    await eventually(lambda: _answers(rig, created.runtime.id, "runtime_stopped"))


async def _answers(rig: Rig, host: str, reason: str) -> bool:
    assert rig.gateway.snapshot is not None
    (route,) = [r for r in rig.gateway.snapshot.routes if f"{host}.localhost" in r.hosts]
    return route.pools == () and route.unavailable is not None and route.unavailable.reason == reason


async def test_a_stopped_runtime_starts_again(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await rig.act("stop", "agent")
    await rig.until("agent", Status.STOPPED)
    assert (await rig.act("start", "agent")).runtime.status == Status.STARTING
    await rig.until("agent", Status.ACTIVE)
    (replica,) = await rig.replicas("agent")
    assert rig.backends("agent--default--default") == [replica.id]


async def test_starting_before_the_stop_is_done_ends_active_with_one_box(rig: Rig) -> None:
    await rig.create("agent", fault="slow_to_delete")
    await rig.until("agent", Status.ACTIVE)
    await rig.act("stop", "agent")
    await rig.act("start", "agent")
    await rig.until("agent", Status.ACTIVE)
    await eventually(lambda: _one_box(rig))


async def _one_box(rig: Rig) -> bool:
    return {replica.id for replica in await rig.replicas("agent")} == await rig.boxes() and len(await rig.boxes()) == 1


async def test_stopping_what_is_stopped_and_starting_what_runs_change_nothing(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    before = await rig.replicas("agent")
    assert (await rig.act("start", "agent")).runtime.status == Status.ACTIVE
    assert [replica.id for replica in await rig.replicas("agent")] == [replica.id for replica in before]
    await rig.act("stop", "agent")
    await rig.until("agent", Status.STOPPED)
    assert (await rig.act("stop", "agent")).runtime.status == Status.STOPPED


async def test_delete_leaves_neither_row_nor_box_nor_route_nor_log(rig: Rig) -> None:
    created = await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await rig.delete("agent")
    await rig.until_gone("agent")
    assert await rig.boxes() == set()
    await eventually(lambda: _routes_nothing(rig))
    with pytest.raises(errors.NotFound):
        await rig.view(created.runtime.id)


async def _routes_nothing(rig: Rig) -> bool:
    return rig.gateway.snapshot is not None and rig.gateway.snapshot.routes == ()


@pytest.mark.parametrize("fault", [None, "exits_at_once", "never_healthy", "unavailable", "slow_to_delete"])
async def test_a_runtime_can_be_deleted_at_once_in_any_trouble(rig: Rig, fault: str | None) -> None:
    await rig.create("agent", fault=fault)
    await rig.delete("agent")
    await rig.until_gone("agent")
    assert await rig.boxes() == set()


async def test_a_name_is_free_again_once_its_runtime_is_gone(rig: Rig) -> None:
    first = await rig.create("agent")
    await rig.delete("agent")
    await rig.until_gone("agent")
    second = await rig.create("agent")
    assert second.runtime.id != first.runtime.id
    await rig.until("agent", Status.ACTIVE)


async def test_nothing_but_delete_is_accepted_while_a_runtime_is_being_deleted(rig: Rig) -> None:
    await rig.kill()
    await rig.create("agent")
    await rig.delete("agent")
    for change in (rig.act("start", "agent"), rig.act("stop", "agent"), rig.update("agent")):
        with pytest.raises(errors.Conflict, match="being deleted"):
            await change
    await rig.delete("agent")


async def test_many_runtimes_become_active_each_with_its_own_box(rig: Rig) -> None:
    names = [f"agent-{number}" for number in range(60)]
    for name in names:
        await rig.create(name)
    for name in names:
        await rig.until(name, Status.ACTIVE)
    assert len(await rig.boxes()) == len({rig.backends(f"{name}--default--default")[0] for name in names}) == 60
