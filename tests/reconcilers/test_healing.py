"""What breaks heals: boxes that crash or vanish, boxes nobody knows, loops killed anywhere."""

import asyncio
import random
from datetime import timedelta

import pytest
import sqlalchemy as sa
from roost_server.domain.config import Resources
from roost_server.domain.replica import ReplicaSpec
from roost_server.domain.runtime import Status
from roost_server.store import chores, leases, sessions, tables
from support.platform import Rig
from support.waiting import eventually


async def whole(rig: Rig, *wanted: str) -> bool:
    """Every box has its row and every row its ready, routed box; exactly the wanted runtimes have them."""
    rows = [row for name in wanted for row in await rig.replicas(name)]
    ready = all(row.status == "ready" and row.routed for row in rows)
    return ready and len(rows) == len(wanted) and {row.id for row in rows} == await rig.boxes()


async def test_a_crashed_replica_comes_back_with_the_event_recorded(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    (before,) = await rig.replicas("agent")
    await rig.engine.crash(before.id, exit_code=137)

    async def back() -> bool:
        (row,) = await rig.replicas("agent")
        return row.restarts == 1 and await whole(rig, "agent")

    await eventually(back)
    await rig.until("agent", Status.ACTIVE)
    types = await rig.event_types("agent")
    assert types[4:7] == ["replica.failed", "runtime.starting", "replica.restarting"] or set(types) >= {
        "replica.failed",
        "replica.restarting",
    }
    (failed,) = [event for event in await rig.events("agent") if event.type == "replica.failed"]
    assert "exited with code 137 (signal 9)" in failed.message and failed.replica_id == before.id


async def test_a_box_that_vanished_is_made_again(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    (before,) = await rig.replicas("agent")
    await rig.engine.delete(before.id, force=True)

    async def back() -> bool:
        (row,) = await rig.replicas("agent")
        return row.restarts == 1 and await whole(rig, "agent")

    await eventually(back)


async def test_a_box_that_vanished_unseen_is_found_by_the_resync(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await rig.kill()
    (before,) = await rig.replicas("agent")
    await rig.engine.delete(before.id, force=True)
    rig.engine.forget_changes()
    await rig.revive()

    async def back() -> bool:
        (row,) = await rig.replicas("agent")
        return row.restarts == 1 and await whole(rig, "agent")

    await eventually(back)


async def test_a_box_without_a_row_is_removed_by_the_resync(rig: Rig) -> None:
    await rig.create("agent")
    await rig.until("agent", Status.ACTIVE)
    await rig.engine.create(ReplicaSpec("orphan", "nobody", "orphan", "sha256:0", Resources()))
    assert len(await rig.boxes()) == 2
    await rig.resync()
    await eventually(lambda: whole(rig, "agent"))


async def test_a_gateway_that_is_away_delays_active_until_it_is_back(rig: Rig) -> None:
    rig.gateway.available = False
    await rig.create("agent")

    async def ready() -> bool:
        return [row.status for row in await rig.replicas("agent")] == ["ready"]

    await eventually(ready)
    assert (await rig.view("agent")).runtime.status == Status.CREATING
    rig.gateway.available = True
    await rig.until("agent", Status.ACTIVE)


async def test_a_server_that_starts_again_keeps_every_box(rig: Rig) -> None:
    await rig.create("agent", autoscaling={"min_replicas": 3, "max_replicas": 3})
    await rig.until("agent", Status.ACTIVE)
    boxes = await rig.boxes()
    for _ in range(3):
        await rig.kill()
        rig.gateway.snapshots.clear()
        await rig.revive()
        await rig.resync()
    await eventually(lambda: _published_again(rig))
    assert await rig.boxes() == boxes
    assert (await rig.view("agent")).runtime.status == Status.ACTIVE
    assert {row.restarts for row in await rig.replicas("agent")} == {0}


async def _published_again(rig: Rig) -> bool:
    return bool(rig.gateway.snapshots)


@pytest.mark.parametrize("seed", [1, 2, *[pytest.param(seed, marks=pytest.mark.slow) for seed in (3, 4)]])
async def test_loops_killed_anywhere_and_started_again_leave_the_right_boxes(rig: Rig, seed: int) -> None:
    """Each round lets the loops run for a few turns of the event loop only, then kills them where they stand."""
    chance = random.Random(seed)
    await rig.kill()
    faults = [None, "crash_after_create", "slow_to_delete", "unavailable_once"]
    for name in ("one", "two", "three", "four"):
        await rig.create(name, fault=chance.choice(faults))
    changes = [
        lambda: rig.update("one"),
        lambda: rig.act("stop", "two"),
        lambda: rig.delete("three"),
        lambda: rig.act("start", "two"),
        lambda: rig.update("four", runtime_server={"env": {"A": "1"}}),
        lambda: rig.update("two"),
    ]
    for _ in range(60):
        await rig.revive()
        for _ in range(chance.randrange(30)):
            await asyncio.sleep(0)
        await rig.kill()
        if changes and chance.random() < 0.2:
            await changes.pop(0)()
    for change in changes:
        await change()
    await rig.revive()
    for name in ("one", "two", "four"):
        await rig.until(name, Status.ACTIVE)
    await rig.until_gone("three")
    await rig.resync()
    await eventually(lambda: whole(rig, "one", "two", "four"))


async def test_sessions_that_were_not_seen_for_long_are_collected(rig: Rig) -> None:
    await rig.create("agent")
    endpoint = (await rig.endpoint("agent")).endpoint
    old = leases.now() - sessions.KEPT_FOR - timedelta(seconds=1)
    async with rig.store.write() as tx:
        await sessions.remember(tx, endpoint.id, "old", 1)
        await tx.run(sa.update(tables.sessions).values(seen_at=old))
        await sessions.remember(tx, endpoint.id, "new", 1)
        await leases.wake(tx, tables.chores, chores.COLLECT)

    async def collected() -> bool:
        async with rig.store.read() as tx:
            there = [await sessions.find(tx, endpoint.id, name) is not None for name in ("old", "new")]
            return there == [False, True]

    await eventually(collected)
