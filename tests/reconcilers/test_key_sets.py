"""Fetching the keys of others' issuers, from a real server on the loopback address."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import sqlalchemy as sa
from roost_server.domain import jwks
from roost_server.reconcilers import issuer
from roost_server.reconcilers.key_sets import KeySetsReconciler
from roost_server.reconcilers.loop import Loop
from roost_server.store import chores, key_sets, leases, tables
from roost_server.store.key_sets import KeySet
from roost_server.store.store import Store, open_store
from support.waiting import eventually

from reconcilers.issuers import KEYS, ROTATED, Issuer, serving


@pytest.fixture
async def theirs() -> AsyncIterator[Issuer]:
    async with serving() as made:
        yield made


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = open_store(database_url)
    async with opened.write() as tx:
        await chores.ensure(tx)
        await tx.run(sa.update(tables.chores).values(wake_at=None))
    yield opened
    await opened.close()


async def ensure(store: Store, url: str) -> None:
    async with store.write() as tx:
        await key_sets.ensure(tx, url)


async def read(store: Store, url: str) -> KeySet:
    async with store.read() as tx:
        found = await key_sets.find(tx, url)
    assert found is not None
    return found


@asynccontextmanager
async def running(store: Store) -> AsyncIterator[None]:
    task = asyncio.create_task(Loop(store, tables.key_sets, KeySetsReconciler(store), 4).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def wake(store: Store, url: str) -> None:
    known = await read(store, url)
    async with store.write() as tx:
        await leases.wake(tx, tables.key_sets, known.id)


async def fetched(store: Store, url: str, than: KeySet | None = None) -> KeySet:
    """Once keys were fetched, or fetched again."""

    async def look() -> KeySet | None:
        found = await read(store, url)
        return found if found.fetched_at and (than is None or found.fetched_at != than.fetched_at) else None

    found = await eventually(look)
    assert found is not None
    return found


async def failed(store: Store, url: str) -> KeySet:
    async def look() -> KeySet | None:
        found = await read(store, url)
        return found if found.message else None

    found = await eventually(look)
    assert found is not None
    return found


async def due_in(store: Store) -> float:
    """Seconds until the row is due, once it is released."""

    async def look() -> float | None:
        async with store.read() as tx:
            row = await tx.first(sa.select(tables.key_sets.c.wake_at))
        assert row is not None
        return row["wake_at"] and float((row["wake_at"] - leases.now()).total_seconds())

    return await eventually(look) or 0.0


async def routes_due(store: Store) -> bool:
    """Whether the routes were woken; they sleep again."""
    async with store.write() as tx:
        due = await tx.run(sa.update(tables.chores).where(tables.chores.c.wake_at.is_not(None)).values(wake_at=None))
    return bool(due)


async def test_keys_are_fetched_and_routes_are_told(store: Store, theirs: Issuer) -> None:
    url = f"{theirs.url}/keys"
    await ensure(store, url)
    async with running(store):
        found = await fetched(store, url)
        assert found.keys == KEYS
        assert issuer.REFRESH_SECONDS - 60 < await due_in(store) <= issuer.REFRESH_SECONDS
    assert await routes_due(store)


async def test_the_issuers_metadata_says_where_its_keys_are(store: Store, theirs: Issuer) -> None:
    url = theirs.url + issuer.DISCOVERY
    theirs.bodies[issuer.DISCOVERY] = json.dumps({"issuer": theirs.url, "jwks_uri": f"{theirs.url}/keys"})
    await ensure(store, url)
    async with running(store):
        assert (await fetched(store, url)).keys == KEYS
    assert theirs.asked == [issuer.DISCOVERY, "/keys"]


async def test_routes_are_told_of_new_keys_and_not_of_the_same(store: Store, theirs: Issuer) -> None:
    url = f"{theirs.url}/keys"
    await ensure(store, url)
    async with running(store):
        first = await fetched(store, url)
        assert await routes_due(store)
        await wake(store, url)
        second = await fetched(store, url, than=first)
        assert not await routes_due(store)
        theirs.bodies["/keys"] = ROTATED
        await wake(store, url)
        assert (await fetched(store, url, than=second)).keys == ROTATED
        assert await routes_due(store)


async def test_the_issuer_says_for_how_long_its_keys_are_good(store: Store, theirs: Issuer) -> None:
    theirs.headers = "Cache-Control: public, max-age=1800\r\n"
    url = f"{theirs.url}/keys"
    await ensure(store, url)
    async with running(store):
        await fetched(store, url)
        assert 1700 < await due_in(store) <= 1800


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 300),
        ("max-age=600", 600),
        ("public, Max-Age=600, must-revalidate", 600),
        ("s-maxage=5, max-age=900", 900),
        ("s-maxage=900", 300),
        ("max-age=5", 60),
        ("max-age=0, no-cache", 60),
        ("max-age=999999999", 3600),
        ("no-store", 300),
        ("max-age=soon", 300),
    ],
)
def test_what_the_issuer_says_holds_within_bounds(header: str, seconds: float) -> None:
    assert issuer.refresh_seconds(header) == seconds


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, KEYS, "it answered 500"),
        (404, "", "it answered 404"),
        (301, "", "it answered 301"),
        (200, "<html>", "it did not answer with a JSON object"),
        (200, "[]", "it did not answer with a JSON object"),
        (200, '{"keys": NaN}', "it did not answer with a JSON object"),
        (200, "[" * 100_000, "it did not answer with a JSON object"),
        (200, "{}", 'what it answered is no JWK set, which is an object with a list "keys"'),
        (200, '{"keys": ' + "[" * 500 + "]" * 500 + "}", "what it answered is nested in more than 8 levels"),
        (200, " " * (jwks.BYTES_MAX + 1), "it answered more than 256 KiB"),
    ],
    ids=range(10),
)
async def test_an_answer_that_is_no_key_set_is_told_and_the_keys_stay(
    store: Store, theirs: Issuer, status: int, body: str, why: str
) -> None:
    url = f"{theirs.url}/keys"
    await ensure(store, url)
    async with running(store):
        await fetched(store, url)
        assert await routes_due(store)
        theirs.status, theirs.bodies["/keys"] = status, body
        await wake(store, url)
        found = await failed(store, url)
        assert found.message == f"cannot fetch keys from {url}: {why}"
        assert found.keys == KEYS
    assert not await routes_due(store)


@pytest.mark.parametrize("metadata", ["{}", '{"jwks_uri": 1}', '{"jwks_uri": "file:///etc/passwd"}'])
async def test_metadata_that_names_no_keys_is_told(store: Store, theirs: Issuer, metadata: str) -> None:
    url = theirs.url + issuer.DISCOVERY
    theirs.bodies[issuer.DISCOVERY] = metadata
    await ensure(store, url)
    async with running(store):
        found = await failed(store, url)
    assert "its metadata names no jwks_uri" in (found.message or "")


NOWHERE = [
    "http://127.0.0.1:1/keys",
    "http://[/keys",
    "http://no-such-host.invalid/keys",
    f"http://{'a' * 64}.com/keys",
]


@pytest.mark.parametrize("url", NOWHERE)
async def test_an_issuer_that_is_not_there_is_told(store: Store, url: str) -> None:
    await ensure(store, url)
    async with running(store):
        found = await failed(store, url)
    assert (found.message or "").startswith(f"cannot fetch keys from {url}: ")


@pytest.mark.parametrize("host", ["169.254.169.254", "[::ffff:169.254.169.254]", "[fe80::1]", "2852039166"])
async def test_the_addresses_at_which_clouds_keep_credentials_are_not_asked(store: Store, host: str) -> None:
    await ensure(store, f"http://{host}/latest/meta-data")
    async with running(store):
        found = await failed(store, f"http://{host}/latest/meta-data")
    assert "link-local" in (found.message or "")


async def test_an_issuer_that_says_nothing_is_not_waited_for_any_longer(
    store: Store, theirs: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer, "TIMEOUT_SECONDS", 0.1)
    theirs.silent = True
    url = f"{theirs.url}/keys"
    await ensure(store, url)
    async with running(store):
        found = await failed(store, url)
    assert found.message == f"cannot fetch keys from {url}: it did not answer within 0.1 seconds"


async def test_it_is_tried_again_until_it_works(store: Store, theirs: Issuer) -> None:
    theirs.status = 503
    url = f"{theirs.url}/keys"
    await ensure(store, url)
    async with running(store):
        await failed(store, url)
        theirs.status = 200
        found = await fetched(store, url)
    assert (found.keys, found.message) == (KEYS, None)


async def test_a_key_set_that_was_forgotten_is_not_fetched(store: Store, theirs: Issuer) -> None:
    await ensure(store, f"{theirs.url}/keys")
    async with store.write() as tx:
        (lease,) = await leases.claim(tx, tables.key_sets, 1, 60)
        await tx.run(sa.delete(tables.key_sets))
    assert await KeySetsReconciler(store)(lease) is None
    assert theirs.asked == []
