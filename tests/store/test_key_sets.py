"""Key sets: one row a URL, keys that stay, and those that nobody uses any more."""

import asyncio
import json
from datetime import timedelta

import sqlalchemy as sa
from roost_server.store import key_sets, leases, tables
from roost_server.store.key_sets import KeySet
from roost_server.store.store import Store

URL, OTHER = "https://issuer.example/keys", "https://other.example/keys"
KEYS = {"keys": [{"kty": "OKP", "kid": "1"}]}


async def ensure(store: Store, url: str = URL) -> KeySet:
    async with store.write() as tx:
        await key_sets.ensure(tx, url)
        found = await key_sets.find(tx, url)
        assert found is not None
        return found


async def read(store: Store, url: str = URL) -> KeySet | None:
    async with store.read() as tx:
        return await key_sets.find(tx, url)


async def test_a_new_key_set_is_due_at_once_and_has_no_keys(store: Store) -> None:
    made = await ensure(store)
    assert (made.keys, made.message, made.fetched_at) == (None, None, None)
    async with store.write() as tx:
        (lease,) = await leases.claim(tx, tables.key_sets, 10, 60)
        assert await key_sets.get(tx, lease.row_id) == made
        assert await key_sets.everything(tx) == {URL: None}


async def test_a_url_has_one_row_however_many_ask_for_it(store: Store) -> None:
    made = await asyncio.gather(*[ensure(store) for _ in range(8)])
    assert len({each.id for each in made}) == 1


async def test_asking_again_does_not_have_them_fetched_again(store: Store) -> None:
    await ensure(store)
    async with store.write() as tx:
        (lease,) = await leases.claim(tx, tables.key_sets, 10, 60)
        await leases.release(tx, lease, None)
    await ensure(store)
    async with store.read() as tx:
        assert await leases.due_soonest(tx, tables.key_sets) is None


async def test_what_could_never_be_fetched_is_tried_anew_when_it_is_asked_for_again(store: Store) -> None:
    made, other = await ensure(store), await ensure(store, OTHER)
    async with store.write() as tx:
        await key_sets.set_keys(tx, other, KEYS)
        for one in (made, other):
            await key_sets.set_message(tx, one.id, "cannot fetch")
        await tx.run(sa.update(tables.key_sets).values(wake_at=None))
        assert await key_sets.troubles(tx, [URL, OTHER]) == {URL: "cannot fetch", OTHER: "cannot fetch"}
    await ensure(store, OTHER)
    async with store.read() as tx:
        assert await leases.due_soonest(tx, tables.key_sets) is None
    await ensure(store)
    async with store.read() as tx:
        assert await key_sets.troubles(tx, [URL, OTHER]) == {URL: None, OTHER: "cannot fetch"}
        assert await leases.due_soonest(tx, tables.key_sets) is not None


async def test_keys_are_read_as_they_were_written_and_a_change_is_noticed(store: Store) -> None:
    made = await ensure(store)
    async with store.write() as tx:
        assert await key_sets.set_keys(tx, made, KEYS)
    kept = await read(store)
    assert kept is not None and kept.keys is not None and kept.fetched_at is not None
    assert json.loads(kept.keys) == KEYS
    async with store.write() as tx:
        assert not await key_sets.set_keys(tx, kept, dict(reversed(KEYS.items())))
        assert await key_sets.set_keys(tx, kept, {"keys": []})
        assert await key_sets.everything(tx) == {URL: '{"keys": []}'}


async def test_a_failure_keeps_the_keys_and_success_forgets_the_failure(store: Store) -> None:
    made = await ensure(store)
    async with store.write() as tx:
        await key_sets.set_keys(tx, made, KEYS)
        await key_sets.set_message(tx, made.id, "cannot fetch")
    failed = await read(store)
    assert failed is not None and failed.message == "cannot fetch"
    assert failed.keys is not None and json.loads(failed.keys) == KEYS
    async with store.write() as tx:
        assert not await key_sets.set_keys(tx, failed, KEYS)
    again = await read(store)
    assert again is not None and again.message is None


async def test_what_is_named_again_is_not_forgotten(store: Store) -> None:
    made = await ensure(store)
    async with store.write() as tx:
        await tx.run(sa.update(tables.key_sets).values(created_at=leases.now() - timedelta(days=1), keys=KEYS))
    assert (await ensure(store)).id == made.id
    async with store.write() as tx:
        await key_sets.delete_unused(tx, [])
        assert await key_sets.everything(tx) == {URL: json.dumps(KEYS, sort_keys=True)}


async def test_what_no_endpoint_names_is_forgotten_unless_it_is_new(store: Store) -> None:
    await ensure(store)
    await ensure(store, OTHER)
    async with store.write() as tx:
        await key_sets.delete_unused(tx, [])
        assert set(await key_sets.everything(tx)) == {URL, OTHER}
        long_ago = leases.now() - timedelta(seconds=2 * key_sets.UNUSED_SECONDS)
        await tx.run(sa.update(tables.key_sets).values(created_at=long_ago))
        await key_sets.delete_unused(tx, [URL])
        assert set(await key_sets.everything(tx)) == {URL}
        await key_sets.delete_unused(tx, [])
        assert await key_sets.everything(tx) == {}
