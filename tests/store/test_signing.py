"""Signing keys take turns: nothing that is good stops being good, and what is not needed is not kept."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
import sqlalchemy as sa
from roost_server.operations import signing
from roost_server.store import endpoint_tokens, endpoints, runtimes, tables
from roost_server.store.cipher import Cipher, open_cipher
from roost_server.store.leases import now
from roost_server.store.store import Store
from roost_server.store.workspaces import Workspace

DAY = timedelta(days=1)
TURN, READY, ENDED = signing.NEW_KEY_AFTER, signing.PUBLISHED_BEFORE, signing.LONGEST_ACCESS_TOKEN + signing.CLOCKS
CLAIMS = {"sub": "somebody", "sid": "1", "iat": 0, "exp": 1 << 40}


class Installation:
    """A database whose keys and tokens grow old at once."""

    def __init__(self, store: Store, cipher: Cipher) -> None:
        self.store, self.cipher = store, cipher

    async def rotate(self) -> None:
        async with self.store.write() as tx:
            await signing.rotate(tx, self.cipher)

    async def after(self, time: timedelta) -> None:
        """As if so much time had passed, with keys looked after at its end."""
        async with self.store.write() as tx:
            for table in (tables.signing_keys, tables.endpoint_tokens):
                for row in await tx.all(sa.select(table.c.id, table.c.created_at)):
                    then = row["created_at"] - time
                    await tx.run(sa.update(table).where(table.c.id == row["id"]).values(created_at=then))
        await self.rotate()

    async def sign(self) -> str:
        async with self.store.read() as tx:
            whole = {**CLAIMS, "aud": await signing.issuer(tx)}
            return await signing.sign(tx, self.cipher, whole, signing.ACCESS_TOKEN)

    async def is_good(self, token: str) -> bool:
        async with self.store.read() as tx:
            return signing.read_access_token(token, await signing.published(tx)) is not None

    async def issuer(self) -> str:
        async with self.store.read() as tx:
            return await signing.issuer(tx)

    async def published(self) -> list[str]:
        async with self.store.read() as tx:
            return [key["kid"] for key in (await signing.published(tx)).keys]

    async def rows(self) -> Sequence[Any]:
        async with self.store.read() as tx:
            return await tx.all(sa.select(tables.signing_keys).order_by(tables.signing_keys.c.id))


@pytest.fixture
async def roost(store: Store, tmp_path: Path) -> Installation:
    made = Installation(store, open_cipher(tmp_path / "secret.key"))
    async with store.write() as tx:
        await signing.ensure_key(tx, made.cipher)
    return made


async def endpoint_token(roost: Installation, workspace: Workspace, *, expires_in: timedelta | None) -> tuple[str, str]:
    """Its endpoint and itself."""
    async with roost.store.write() as tx:
        runtime = await runtimes.insert(tx, workspace.id, f"a{uuid.uuid4().hex[:8]}", "", {})
        endpoint = await endpoints.insert(tx, runtime.id, "DEFAULT", is_default=True)
        expires_at = None if expires_in is None else now() + expires_in
        return endpoint.id, (await endpoint_tokens.insert(tx, endpoint.id, "partner", expires_at)).id


def key_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def test_a_young_key_goes_on(roost: Installation) -> None:
    before = await roost.published()
    await roost.after(TURN - DAY)
    assert await roost.published() == before


async def test_a_new_key_is_published_for_a_day_before_it_signs(roost: Installation) -> None:
    await roost.after(TURN)
    old, new = await roost.published()
    assert key_of(await roost.sign()) == old
    await roost.after(READY - timedelta(hours=1))
    assert key_of(await roost.sign()) == old
    await roost.after(timedelta(hours=1))
    assert key_of(await roost.sign()) == new
    assert await roost.published() == [old, new], "looking again makes no other"


async def test_what_the_old_key_signed_is_good_until_it_ends(roost: Installation) -> None:
    await roost.after(TURN)
    token, name = await roost.sign(), await roost.issuer()
    await roost.after(READY + ENDED - timedelta(hours=1))
    assert await roost.is_good(token)
    assert await roost.is_good(await roost.sign())
    await roost.after(timedelta(hours=1))
    assert not await roost.is_good(token), "no access token is good for so long"
    assert await roost.is_good(await roost.sign())
    assert await roost.issuer() == name, "the installation's name outlives its first key"


async def test_an_old_key_is_erased_when_it_signs_no_more(roost: Installation) -> None:
    await roost.after(TURN)
    await roost.after(READY)
    assert [row["private_encrypted"] is not None for row in await roost.rows()] == [True, True]
    await roost.after(signing.CLOCKS)
    assert [row["private_encrypted"] is not None for row in await roost.rows()] == [False, True]
    assert [row["public"] is not None for row in await roost.rows()] == [True, True]
    await roost.after(ENDED)
    assert [row["public"] is not None for row in await roost.rows()] == [False, True]


async def test_an_endpoint_token_holds_the_key_that_signed_it_for_as_long_as_it_is_good(
    roost: Installation, workspace: Workspace
) -> None:
    endpoint_id, token_id = await endpoint_token(roost, workspace, expires_in=None)
    await roost.after(TURN)
    await roost.after(TURN)
    await roost.after(TURN)
    keys = await roost.published()
    assert keys[0] == (await roost.rows())[0]["id"]
    assert len(keys) == 3, "of those that it did not sign with, the last two are there"
    async with roost.store.write() as tx:
        await endpoint_tokens.delete(tx, endpoint_id, token_id)
    await roost.rotate()
    assert await roost.published() == keys[1:]


@pytest.mark.parametrize(("expires_in", "held"), [(DAY, True), (-DAY, False)])
async def test_an_endpoint_token_that_has_expired_holds_no_key(
    roost: Installation, workspace: Workspace, expires_in: timedelta, held: bool
) -> None:
    await endpoint_token(roost, workspace, expires_in=expires_in)
    (first,) = await roost.published()
    await roost.after(TURN)
    await roost.after(READY + ENDED + signing.CLOCKS)
    assert (first in await roost.published()) == held


async def test_a_server_that_was_away_for_long_makes_one_new_key(roost: Installation) -> None:
    await roost.after(TURN * 10)
    await roost.rotate()
    assert len(await roost.published()) == 2
    assert await roost.is_good(await roost.sign())
