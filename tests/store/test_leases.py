"""Claims: nobody shares a row, a stale worker writes nothing, a wake is never lost."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from roost_server.domain.runtime import Status
from roost_server.store import leases, runtimes, tables
from roost_server.store.leases import Lease, LostLease
from roost_server.store.store import Stale, Store
from roost_server.store.workspaces import Workspace

TABLE = tables.runtimes
LONG = 60.0


async def insert(store: Store, workspace: Workspace, *names: str) -> list[str]:
    async with store.write() as tx:
        return [(await runtimes.insert(tx, workspace.id, name, "", {})).id for name in names]


async def claim(store: Store, limit: int = 10, seconds: float = LONG) -> list[Lease]:
    async with store.write() as tx:
        return await leases.claim(tx, TABLE, limit, seconds)


async def release(store: Store, lease: Lease, after_seconds: float | None, attempts: int = 0) -> None:
    wake_at = None if after_seconds is None else leases.now() + timedelta(seconds=after_seconds)
    async with store.write() as tx:
        await leases.release(tx, lease, wake_at, attempts=attempts)


async def test_many_claimers_at_once_never_get_the_same_row(store: Store, workspace: Workspace) -> None:
    ids = await insert(store, workspace, *[f"r{n}" for n in range(40)])
    claimed = await asyncio.gather(*[claim(store, 3) for _ in range(20)])
    got = [lease.row_id for batch in claimed for lease in batch]
    assert sorted(got) == sorted(ids)


async def test_the_longest_due_comes_first_and_no_more_than_asked(store: Store, workspace: Workspace) -> None:
    ids = await insert(store, workspace, "a", "b", "c")
    assert {lease.row_id for lease in await claim(store, 2)} == set(ids[:2])


async def test_a_released_row_is_due_again_when_it_said(store: Store, workspace: Workspace) -> None:
    await insert(store, workspace, "a")
    (lease,) = await claim(store)
    await release(store, lease, 3600)
    assert await claim(store) == []
    async with store.read() as tx:
        soonest = await leases.due_soonest(tx, TABLE)
    assert soonest is not None and soonest > leases.now() + timedelta(seconds=3000)


async def test_a_wake_that_arrives_during_the_work_survives_the_release(store: Store, workspace: Workspace) -> None:
    (row_id,) = await insert(store, workspace, "a")
    (lease,) = await claim(store)
    async with store.write() as tx:
        await leases.wake(tx, TABLE, row_id)
    assert await claim(store) == [], "it is still worked on"
    await release(store, lease, 3600)
    assert [again.row_id for again in await claim(store)] == [row_id]


async def test_a_later_wake_does_not_put_off_a_sooner_one(store: Store, workspace: Workspace) -> None:
    (row_id,) = await insert(store, workspace, "a")
    async with store.write() as tx:
        await leases.wake(tx, TABLE, row_id, after_seconds=3600)
    assert [lease.row_id for lease in await claim(store)] == [row_id]


async def test_a_row_released_without_a_wake_sleeps_until_it_is_woken(store: Store, workspace: Workspace) -> None:
    (row_id,) = await insert(store, workspace, "a")
    (lease,) = await claim(store)
    await release(store, lease, None)
    async with store.read() as tx:
        assert await leases.due_soonest(tx, TABLE) is None
    async with store.write() as tx:
        await leases.wake(tx, TABLE, row_id)
    assert len(await claim(store)) == 1


async def test_a_lease_that_ran_out_is_claimed_again_and_its_old_holder_writes_nothing(
    store: Store, workspace: Workspace
) -> None:
    (row_id,) = await insert(store, workspace, "a")
    (stale,) = await claim(store, seconds=-1)
    (fresh,) = await claim(store)
    assert (stale.row_id, fresh.row_id) == (row_id, row_id)
    with pytest.raises(LostLease):
        async with store.write() as tx:
            await leases.hold(tx, stale, LONG)
            await tx.run(sa.update(TABLE).values(description="written by a stale worker"))
    async with store.read() as tx:
        found = await runtimes.get(tx, row_id)
    assert found is not None and found.description == ""
    await release(store, stale, 0)
    assert await claim(store) == [], "a stale release frees nothing"
    async with store.write() as tx:
        await leases.hold(tx, fresh, LONG)


async def test_failed_attempts_are_counted_until_one_succeeds(store: Store, workspace: Workspace) -> None:
    await insert(store, workspace, "a")
    for attempts in (1, 2, 0):
        (lease,) = await claim(store)
        await release(store, lease, -1, attempts=attempts)
        (again,) = await claim(store)
        assert again.attempts == attempts
        await release(store, again, -1, attempts=attempts)


async def test_a_row_that_was_deleted_during_the_work_is_no_lost_lease(store: Store, workspace: Workspace) -> None:
    (row_id,) = await insert(store, workspace, "a")
    (lease,) = await claim(store)
    async with store.write() as tx:
        await runtimes.delete(tx, row_id)
    with pytest.raises(Stale):
        async with store.write() as tx:
            await leases.hold(tx, lease, LONG)


async def test_the_sole_server_frees_what_a_dead_one_held(store: Store, workspace: Workspace) -> None:
    (row_id,) = await insert(store, workspace, "a")
    await claim(store)
    assert await claim(store) == []
    async with store.write() as tx:
        await leases.end_all(tx, TABLE)
    assert [lease.row_id for lease in await claim(store)] == [row_id]


async def test_a_server_frees_what_it_held_itself_and_nothing_of_another(store: Store, workspace: Workspace) -> None:
    ids = await insert(store, workspace, "a", "b")
    async with store.write() as tx:
        (mine,) = await leases.claim(tx, TABLE, 1, LONG, owner="0123abcd")
        (other,) = await leases.claim(tx, TABLE, 1, LONG, owner="4567abcd")
        await leases.end_all(tx, TABLE, owner="0123abcd")
    assert [lease.row_id for lease in await claim(store)] == [mine.row_id]
    assert {mine.row_id, other.row_id} == set(ids)
    async with store.write() as tx:
        await leases.hold(tx, other, LONG)


async def test_a_status_the_table_does_not_allow_is_refused(store: Store, workspace: Workspace) -> None:
    async with store.write() as tx:
        runtime = await runtimes.insert(tx, workspace.id, "a", "", {})
    with pytest.raises(Exception, match="the transition table does not allow it"):
        async with store.write() as tx:
            await runtimes.set_status(tx, runtime, Status.STOPPED)
