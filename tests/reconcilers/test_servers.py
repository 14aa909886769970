"""Several servers on one PostgreSQL share the work: nothing is done twice, and what a dead one held is taken over."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import sqlalchemy as sa
from roost_server.domain.access import Access
from roost_server.domain.runtime import Status
from roost_server.operations import endpoints as operations
from roost_server.reconcilers.loop import LEASE_SECONDS
from roost_server.reconcilers.routes import Routes
from roost_server.store import endpoints, leases, runtimes, tables
from support import platform
from support.platform import Rig
from support.postgresql import PostgreSQL
from support.waiting import eventually

pytestmark = pytest.mark.slow
NAMES = [f"agent-{number}" for number in range(30)]


@pytest.fixture
async def servers(postgresql: PostgreSQL, migrated_template: str, tmp_path: Path) -> AsyncIterator[tuple[Rig, Rig]]:
    url = await postgresql.database(migrated_template)
    async with platform.opened(tmp_path, url) as one, platform.opened(tmp_path, url) as other:
        other.beside(one)
        yield one, other


async def test_servers_that_start_at_once_on_an_empty_database_set_it_up_once(
    postgresql: PostgreSQL, migrated_template: str, tmp_path: Path
) -> None:
    url = await postgresql.database(migrated_template)
    async with AsyncExitStack() as stack:
        opening = [stack.enter_async_context(platform.opened(tmp_path, url)) for _ in range(4)]
        rigs = await asyncio.gather(*opening)
        assert len({rig.caller.workspace_id for rig in rigs}) == 1


async def one_box_each(rig: Rig) -> bool:
    rows = [row for name in NAMES for row in await rig.replicas(name)]
    return len(rows) == len(NAMES) and {row.id for row in rows} == await rig.boxes()


async def test_two_servers_at_once_make_every_box_once(servers: tuple[Rig, Rig]) -> None:
    one, other = servers
    for rig in servers:
        rig.start()
    await asyncio.gather(*[servers[number % 2].create(name) for number, name in enumerate(NAMES)])
    for number, name in enumerate(NAMES):
        await servers[(number + 1) % 2].until(name, Status.ACTIVE)
    assert await one_box_each(one)
    assert {row.restarts for name in NAMES for row in await one.replicas(name)} == {0}
    await asyncio.gather(*[servers[number % 2].delete(name) for number, name in enumerate(NAMES)])
    for name in NAMES:
        await other.until_gone(name)
    assert await one.boxes() == set()


async def test_a_name_asked_of_two_servers_at_once_is_given_once(servers: tuple[Rig, Rig]) -> None:
    asked = await asyncio.gather(*[servers[n % 2].create("agent") for n in range(8)], return_exceptions=True)
    assert sorted(type(one).__name__ for one in asked) == [*["AlreadyExists"] * 7, "RuntimeView"]


async def test_the_work_of_a_killed_server_is_taken_over_when_its_leases_run_out(servers: tuple[Rig, Rig]) -> None:
    dying, living = servers
    dying.start()
    for name in NAMES:
        await dying.create(name)
    for _ in range(20):
        await asyncio.sleep(0)
    await dying.kill()
    await let_leases_run_out(dying)
    living.start()
    for name in NAMES:
        await living.until(name, Status.ACTIVE)
    await eventually(lambda: one_box_each(living))


async def test_a_killed_server_that_starts_again_goes_on_at_once(servers: tuple[Rig, Rig]) -> None:
    dying, _ = servers
    await dying.create("agent")
    async with dying.store.write() as tx:
        for table in (tables.runtimes, tables.chores):
            assert await leases.claim(tx, table, 10, LEASE_SECONDS, owner=dying.platform.owner)
    await dying.revive()
    await dying.until("agent", Status.ACTIVE)


async def let_leases_run_out(rig: Rig) -> None:
    """As if half a minute had passed."""
    async with rig.store.write() as tx:
        for table in (tables.runtimes, tables.replicas, tables.images, tables.chores):
            held = table.c.lease_until.is_not(None)
            await tx.run(sa.update(table).where(held).values(lease_until=leases.now()))


async def test_publishing_and_a_change_of_two_endpoints_never_wait_for_each_other(servers: tuple[Rig, Rig]) -> None:
    rig, _ = servers
    first = (await rig.create("agent")).endpoints[0].endpoint
    made = await operations.create(rig.context, rig.caller, "agent", "second", None, Access())
    routes = Routes(rig.store, rig.gateway, "localhost")

    async def publishing_waits() -> bool:
        async with rig.store.read() as tx:
            query = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            return bool(await tx.tuples(sa.text(query)))

    async with rig.store.write() as tx:
        await runtimes.find(tx, rig.caller.workspace_id, "agent", to_change=True)
        await endpoints.update(tx, made.endpoint.id, is_default=True)
        publishing = asyncio.create_task(routes.publish())
        await eventually(publishing_waits)
        await endpoints.update(tx, first.id, is_default=False)
    await publishing
