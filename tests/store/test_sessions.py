"""Sessions are remembered with the version they began with, on both databases."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa
from roost_server.domain import errors
from roost_server.domain.ids import new_id
from roost_server.domain.sessions import choose
from roost_server.operations.sessions import Sessions, ToldSessions
from roost_server.store import endpoints, runtimes, sessions
from roost_server.store.leases import now
from roost_server.store.store import Store
from roost_server.store.tables import sessions as table
from roost_server.store.workspaces import Workspace

HALVES = {3: 50, 4: 50}


@pytest.fixture
async def endpoint(store: Store, workspace: Workspace) -> str:
    async with store.write() as tx:
        runtime = await runtimes.insert(tx, workspace.id, "agent", "", {})
        return (await endpoints.insert(tx, runtime.id, "DEFAULT", is_default=True)).id


async def remembered(store: Store, endpoint: str, session: str) -> int | None:
    async with store.read() as tx:
        known = await sessions.find(tx, endpoint, session)
    return known.version if known else None


async def test_a_new_session_gets_a_version_by_weight_and_keeps_it(store: Store, endpoint: str) -> None:
    began = await Sessions(store).assign(endpoint, "s", HALVES, set())
    assert began == choose("s", HALVES) == await remembered(store, endpoint, "s")
    other = 7 - began
    assert await Sessions(store).assign(endpoint, "s", {began: 1, other: 99}, set()) == began
    assert await Sessions(store).assign(endpoint, "s", {other: 100}, {began}) == began


async def test_a_session_moves_when_its_version_neither_has_weight_nor_keeps_it(store: Store, endpoint: str) -> None:
    await Sessions(store).assign(endpoint, "s", {3: 100}, set())
    assert await Sessions(store).assign(endpoint, "s", {3: 0, 4: 100}, set()) == 4
    assert await Sessions(store).assign(endpoint, "s", {3: 99, 4: 1}, set()) == 4


async def test_of_versions_remembered_at_once_the_first_counts(store: Store, endpoint: str) -> None:
    offers = [{version: 100} for version in range(1, 9)]
    keeps = set(range(1, 9))
    answers = await asyncio.gather(*(Sessions(store).assign(endpoint, "s", offer, keeps) for offer in offers))
    assert set(answers) == {await remembered(store, endpoint, "s")}


async def test_the_first_remembered_version_is_kept(store: Store, endpoint: str) -> None:
    async with store.write() as tx:
        first = await sessions.remember(tx, endpoint, "s", 3)
        second = await sessions.remember(tx, endpoint, "s", 4)
    assert first == second is not None
    assert await remembered(store, endpoint, "s") == 3


async def test_a_session_that_was_moved_meanwhile_is_not_moved_again(store: Store, endpoint: str) -> None:
    async with store.write() as tx:
        await sessions.remember(tx, endpoint, "s", 3)
        await sessions.move(tx, endpoint, "s", 3, 4)
        settled = await sessions.move(tx, endpoint, "s", 3, 5)
    assert settled is not None and settled.version == 4


async def test_of_an_endpoint_that_is_gone_nothing_is_remembered(store: Store, endpoint: str) -> None:
    gone = new_id()
    assert await Sessions(store).assign(gone, "s", HALVES, set()) == choose("s", HALVES)
    assert await remembered(store, gone, "s") is None


async def test_the_store_goes_before_what_was_told_and_that_before_the_weights(store: Store, endpoint: str) -> None:
    keeper, chosen = Sessions(store), choose("s", HALVES)
    other = 7 - chosen
    keeper.note(endpoint, "s", other)
    assert await keeper.assign(endpoint, "s", HALVES, set()) == other == await remembered(store, endpoint, "s")
    keeper.note(endpoint, "s", chosen)
    assert await keeper.assign(endpoint, "s", HALVES, set()) == other
    assert await keeper.assign(endpoint, "another", HALVES, set()) == choose("another", HALVES)


async def test_what_was_told_counts_when_the_stored_version_is_gone(store: Store, endpoint: str) -> None:
    keeper = Sessions(store)
    await keeper.assign(endpoint, "s", {2: 100}, set())
    told = 7 - choose("s", HALVES)
    keeper.note(endpoint, "s", told)
    assert await keeper.assign(endpoint, "s", HALVES, set()) == told == await remembered(store, endpoint, "s")


async def test_what_was_told_long_after_the_session_was_stored_is_newer(store: Store, endpoint: str) -> None:
    keeper = Sessions(store)
    await keeper.assign(endpoint, "s", {3: 100}, set())
    await seen_before(store, timedelta(hours=3))
    keeper.note(endpoint, "s", 4)
    assert await keeper.assign(endpoint, "s", {3: 95, 4: 5}, set()) == 4 == await remembered(store, endpoint, "s")


async def test_what_was_told_of_a_version_that_does_not_serve_is_no_answer(store: Store, endpoint: str) -> None:
    keeper = Sessions(store)
    keeper.note(endpoint, "s", 2)
    assert await keeper.assign(endpoint, "s", HALVES, set()) == choose("s", HALVES)
    assert await keeper.assign(endpoint, "new", {3: 100}, {2}) == 3


def test_only_the_sessions_that_were_told_or_used_last_are_kept() -> None:
    told = ToldSessions(most=2)
    told.put("e", "one", 1)
    told.put("e", "two", 1)
    assert told.get("e", "one")
    told.put("e", "three", 1)
    kept = {session: told.get("e", session) is not None for session in ("one", "two", "three")}
    assert kept == {"one": True, "two": False, "three": True}
    told.put("e", "one", 2)
    told.put("other", "one", 3)
    assert [each and each.version for each in (told.get("e", "one"), told.get("e", "three"))] == [2, None]


async def test_sessions_go_with_their_endpoint(store: Store, endpoint: str) -> None:
    await Sessions(store).assign(endpoint, "s", HALVES, set())
    async with store.write() as tx:
        await endpoints.delete(tx, endpoint)
    assert await remembered(store, endpoint, "s") is None


async def test_when_no_version_takes_sessions_only_known_ones_are_answered(store: Store, endpoint: str) -> None:
    await Sessions(store).assign(endpoint, "s", {3: 100}, set())
    assert await Sessions(store).assign(endpoint, "s", {}, {3}) == 3
    with pytest.raises(errors.Unavailable):
        await Sessions(store).assign(endpoint, "new", {}, {3})


async def test_a_session_that_is_used_is_not_forgotten(store: Store, endpoint: str) -> None:
    for session in ("used", "idle"):
        await Sessions(store).assign(endpoint, session, {3: 100}, set())
    await seen_before(store, sessions.KEPT_FOR + timedelta(seconds=1))
    await Sessions(store).assign(endpoint, "used", {3: 50, 4: 50}, set())
    async with store.write() as tx:
        assert await sessions.purge(tx) == 1
    assert await remembered(store, endpoint, "used") == 3
    assert await remembered(store, endpoint, "idle") is None


async def test_a_session_id_is_not_kept_in_clear(store: Store, endpoint: str) -> None:
    await Sessions(store).assign(endpoint, "secret", HALVES, set())
    async with store.read() as tx:
        rows = await tx.all(sa.select(table.c.session))
    assert [len(row["session"]) for row in rows] == [64]


async def seen_before(store: Store, age: timedelta) -> None:
    async with store.write() as tx:
        await tx.run(sa.update(table).values(seen_at=now() - age))
