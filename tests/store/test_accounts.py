"""Signing keys, service accounts and tokens of endpoints, on both databases."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from roost_server.domain.service_account import Identity
from roost_server.operations import signing
from roost_server.operations.caller import hash_token
from roost_server.store import endpoint_tokens, endpoints, runtimes, service_accounts, signing_keys, tables, workspaces
from roost_server.store.cipher import Cipher, open_cipher
from roost_server.store.leases import now
from roost_server.store.store import Store
from roost_server.store.workspaces import Workspace


@pytest.fixture
def cipher(tmp_path: Path) -> Cipher:
    return open_cipher(tmp_path / "secret.key")


@pytest.fixture
async def runtime_id(store: Store, workspace: Workspace) -> str:
    async with store.write() as tx:
        return (await runtimes.insert(tx, workspace.id, "agent", "", {})).id


async def test_servers_that_start_at_once_make_one_key(store: Store, cipher: Cipher) -> None:
    async def start() -> None:
        async with store.write() as tx:
            await workspaces.take_first_turn(tx)
            await signing.ensure_key(tx, cipher)

    await asyncio.gather(*[start() for _ in range(5)])
    async with store.read() as tx:
        [public] = (await signing.published(tx)).keys
        key = await signing_keys.signer(tx, cipher, now())
    assert key.id == public["kid"]
    assert (public["kty"], public["crv"], public["alg"]) == ("EC", "P-256", "ES256") and "d" not in public


async def test_a_private_key_is_not_readable_at_rest(store: Store, cipher: Cipher) -> None:
    async with store.write() as tx:
        await signing.ensure_key(tx, cipher)
        row = await tx.first(sa.select(tables.signing_keys))
    assert row is not None and "PRIVATE KEY" not in str(dict(row))


async def test_an_account_is_made_once_however_many_want_it(store: Store, cipher: Cipher, runtime_id: str) -> None:
    async def ensure() -> str:
        async with store.write() as tx:
            return (await service_accounts.ensure(tx, runtime_id, cipher)).secret_id

    assert len(set(await asyncio.gather(*[ensure() for _ in range(5)]))) == 1


async def test_a_secret_is_given_back_and_known_by_its_hash(store: Store, cipher: Cipher, runtime_id: str) -> None:
    async with store.write() as tx:
        account = await service_accounts.ensure(tx, runtime_id, cipher)
        secret = await service_accounts.secret_of(tx, runtime_id, cipher)
        row = await tx.first(sa.select(tables.service_accounts))
    assert secret is not None and secret.startswith("roost_sa_") and len(secret) >= 43
    assert account.client_id == f"sa-{runtime_id}" and hash_token(secret) == account.secret_hash
    assert row is not None and secret not in str(dict(row))


async def test_a_reset_makes_the_secret_before_unknown(
    store: Store, cipher: Cipher, runtime_id: str, workspace: Workspace
) -> None:
    async with store.write() as tx:
        before = await service_accounts.ensure(tx, runtime_id, cipher)
        secret = await service_accounts.secret_of(tx, runtime_id, cipher)
        await service_accounts.reset(tx, runtime_id, cipher)
        after = await service_accounts.find(tx, before.client_id)
        assert after is not None and after.created_at == before.created_at and after.updated_at > before.updated_at
        assert await service_accounts.secret_of(tx, runtime_id, cipher) != secret
        assert await service_accounts.holder_of(tx, before.secret_id) is None
        holder = await service_accounts.holder_of(tx, after.secret_id)
    assert holder == (Identity(runtime_id, "agent"), workspace.id)


async def test_an_account_goes_with_its_runtime(store: Store, cipher: Cipher, runtime_id: str) -> None:
    async with store.write() as tx:
        account = await service_accounts.ensure(tx, runtime_id, cipher)
        await runtimes.delete(tx, runtime_id)
        assert await service_accounts.find(tx, account.client_id) is None
        assert await service_accounts.get(tx, runtime_id) is None


async def test_an_endpoint_accepts_its_living_tokens_and_its_runtimes_account(
    store: Store, cipher: Cipher, runtime_id: str
) -> None:
    async with store.write() as tx:
        one = await endpoints.insert(tx, runtime_id, "one")
        other = await endpoints.insert(tx, runtime_id, "other")
        lasting = await endpoint_tokens.insert(tx, one.id, "lasting", None)
        coming = await endpoint_tokens.insert(tx, one.id, "for an hour", now() + timedelta(hours=1))
        gone = await endpoint_tokens.insert(tx, one.id, "gone", now() - timedelta(seconds=1))
        wanted = {one.id: runtime_id, other.id: runtime_id}
        assert await endpoint_tokens.accepted_ids(tx, wanted) == {one.id: (lasting.id, coming.id), other.id: ()}
        account = await service_accounts.ensure(tx, runtime_id, cipher)
        assert await endpoint_tokens.accepted_ids(tx, wanted) == {
            one.id: (lasting.id, coming.id, account.secret_id),
            other.id: (account.secret_id,),
        }
        assert await endpoint_tokens.of(tx, one.id) == [lasting, coming, gone]
        await endpoint_tokens.delete_expired(tx, one.id)
        assert await endpoint_tokens.delete(tx, one.id, lasting.id)
        assert not await endpoint_tokens.delete(tx, one.id, lasting.id)
        assert not await endpoint_tokens.delete(tx, other.id, coming.id)
        assert await endpoint_tokens.of(tx, one.id) == [coming]


async def test_the_same_admin_token_again_stays_the_same_row(store: Store) -> None:
    async with store.write() as tx:
        await workspaces.set_admin_token(tx, "a" * 64)
        first = await workspaces.find_token(tx, "a" * 64)
        await workspaces.set_admin_token(tx, "a" * 64)
        assert first is not None and await workspaces.find_token(tx, "a" * 64) == first
        await workspaces.set_admin_token(tx, "b" * 64)
        assert await workspaces.get_token(tx, first.id) is None
