"""On PostgreSQL, writers of several replicas take them in one order, so that no two wait for each other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import sqlalchemy as sa
from roost_server.domain.config import RuntimeConfig
from roost_server.domain.image import ImageSource
from roost_server.domain.version import Version
from roost_server.store import images, leases, replicas, runtimes, tables, versions, workspaces
from roost_server.store.store import Store, Tx, open_store
from support.postgresql import PostgreSQL
from support.waiting import eventually

pytestmark = pytest.mark.slow
TABLE = tables.replicas
WAITING = sa.text("SELECT count(*) AS n FROM pg_locks WHERE NOT granted")


class Fleet:
    """Three replicas of one image. The first of them lies last on disk, where a plain update finds it last."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def prepare(self) -> None:
        async with self.store.write() as tx:
            workspace = await workspaces.create(tx, "org", "ws")
            self.runtime = (await runtimes.insert(tx, workspace.id, "a", "", {})).id
            self.image = (await images.insert(tx, workspace.id, "x", ImageSource.PULL)).id
            version = Version(self.runtime, 1, RuntimeConfig(), self.image, leases.now(), 1.0, 1024)
            await versions.insert(tx, version)
            self.ids = [await replicas.insert(tx, self.runtime, 1, 1) for _ in range(3)]
        async with self.store.write() as tx:
            await tx.run(sa.update(TABLE).where(TABLE.c.id == self.ids[0]).values(wake_at=None))

    async def is_free(self, replica_id: str) -> bool:
        async with self.store.write() as tx:
            query = sa.select(TABLE.c.id).where(TABLE.c.id == replica_id).with_for_update(skip_locked=True)
            return await tx.first(query) is not None

    async def somebody_waits(self) -> bool:
        async with self.store.read() as tx:
            row = await tx.first(WAITING)
            return row is not None and row["n"] > 0


@pytest.fixture
async def fleet(postgresql: PostgreSQL, migrated_template: str) -> AsyncIterator[Fleet]:
    store = open_store(await postgresql.database(migrated_template))
    fleet = Fleet(store)
    await fleet.prepare()
    yield fleet
    await store.close()


Write = Callable[[Tx, Fleet], Awaitable[object]]

WRITES: dict[str, Write] = {
    "a wake of many": lambda tx, fleet: leases.wake(tx, TABLE, *fleet.ids[::-1]),
    "an image that is ready": lambda tx, fleet: replicas.wake_for_image(tx, fleet.image, is_ready=True),
    "an image that cannot be had": lambda tx, fleet: replicas.wake_for_image(tx, fleet.image, is_ready=False),
    "another try of all of a runtime": lambda tx, fleet: replicas.retry_failed(tx, fleet.runtime),
    "a turn": lambda tx, fleet: leases.take_turn(tx, TABLE, fleet.ids[::-1]),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_who_waits_for_the_first_holds_none_of_the_others(fleet: Fleet, write: Write) -> None:
    async def written() -> None:
        async with fleet.store.write() as tx:
            await write(tx, fleet)

    async with fleet.store.write() as tx:
        await leases.wake(tx, TABLE, fleet.ids[0])
        writing = asyncio.create_task(written())
        await eventually(fleet.somebody_waits)
        assert [await fleet.is_free(replica_id) for replica_id in fleet.ids[1:]] == [True, True]
    await writing
