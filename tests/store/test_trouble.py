"""Databases that are away, full or in each other's way; rows that changed; waiters that are cancelled."""

import asyncio

import pytest
import sqlalchemy as sa
from roost_server.domain import errors
from roost_server.domain.replica import ReplicaStatus
from roost_server.store import replicas, runtimes, tables
from roost_server.store.nudges import Nudges
from roost_server.store.store import Stale, Store, Tx, open_store
from roost_server.store.workspaces import Workspace


async def test_a_database_that_does_not_answer_is_unavailable() -> None:
    store = open_store("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(errors.Unavailable, match="cannot use the database"):
        async with store.read() as tx:
            await runtimes.everything(tx)
    await store.close()


async def test_a_full_disk_is_told_and_nothing_is_half_written(store: Store, workspace: Workspace) -> None:
    if not await is_sqlite(store):
        pytest.skip("a full disk cannot be played on PostgreSQL")
    await store.run_sync(lambda connection: pragma(connection, "max_page_count=1"))
    with pytest.raises(errors.Unavailable, match="the disk is full") as caught:
        async with store.write() as tx:
            for number in range(2000):
                await runtimes.insert(tx, workspace.id, f"r{number}", "x" * 500, {})
    assert caught.value.reason == "disk_full"
    await store.run_sync(lambda connection: pragma(connection, "max_page_count=1000000"))
    async with store.write() as tx:
        assert await runtimes.everything(tx) == []
        await runtimes.insert(tx, workspace.id, "after", "", {})


def pragma(connection: sa.Connection, text: str) -> None:
    connection.exec_driver_sql(f"PRAGMA {text}")


async def is_sqlite(store: Store) -> bool:
    async with store.read() as tx:
        return tx.is_sqlite


async def test_two_writers_in_each_others_way_lose_nothing(store: Store, workspace: Workspace) -> None:
    """On PostgreSQL this is a deadlock: one of them is told to try again."""
    async with store.write() as tx:
        for name in ("one", "two"):
            await runtimes.insert(tx, workspace.id, name, "", {})

    met = asyncio.Barrier(2)
    alone = await is_sqlite(store)

    async def write(first: str, second: str) -> None:
        async with store.write() as tx:
            await describe(tx, first, f"{first} then {second}")
            if not alone:
                await met.wait()
            await describe(tx, second, f"{first} then {second}")

    done = await asyncio.gather(write("one", "two"), write("two", "one"), return_exceptions=True)
    failed = [one for one in done if one is not None]
    assert len(failed) == (0 if alone else 1) and all(isinstance(one, errors.Unavailable) for one in failed)
    async with store.read() as tx:
        said = {runtime.description for runtime in await runtimes.everything(tx)}
    assert len(said) == 1


async def describe(tx: Tx, name: str, text: str) -> None:
    await tx.run(sa.update(tables.runtimes).where(tables.runtimes.c.name == name).values(description=text))


async def test_a_statement_that_makes_no_sense_is_a_bug_and_not_unavailable(store: Store) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        async with store.read() as tx:
            await tx.all(sa.text("SELECT nothing FROM nowhere"))


async def test_a_status_decided_on_an_older_state_of_the_row_is_not_written(store: Store, workspace: Workspace) -> None:
    async with store.write() as tx:
        runtime = await runtimes.insert(tx, workspace.id, "a", "", {})
        seen = await replicas.get(tx, await replicas.insert(tx, runtime.id, 1, 1))
        assert seen is not None
        await replicas.set_status(tx, seen, ReplicaStatus.STOPPING)
    with pytest.raises(Stale):
        async with store.write() as tx:
            await replicas.set_status(tx, seen, ReplicaStatus.STARTING)
    async with store.read() as tx:
        now = await replicas.get(tx, seen.id)
    assert now is not None and now.status == ReplicaStatus.STOPPING


async def test_a_cancelled_writer_writes_nothing_and_lets_the_next_one_in(store: Store, workspace: Workspace) -> None:
    entered = asyncio.Event()

    async def write() -> None:
        async with store.write() as tx:
            await runtimes.insert(tx, workspace.id, "a", "", {})
            entered.set()
            await asyncio.Event().wait()

    writer = asyncio.create_task(write())
    await entered.wait()
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    async with store.write() as tx:
        assert await runtimes.everything(tx) == []


async def test_who_waits_for_a_nudge_and_is_cancelled_ends_even_when_the_nudge_came_first() -> None:
    nudges = Nudges()
    waiting = asyncio.create_task(nudges.wait("kind", nudges.seen("kind"), 60))
    await asyncio.sleep(0)
    nudges.tell(["kind"])
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
