"""Signing keys: what the installation signs its tokens with, and which of them are published.

A key is published first, signs later, then only verifies, and in the end only its row is left: the oldest row names the
installation, so that its name outlives any key. `operations/signing.py` says when.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from roost_server.store.cipher import Cipher
from roost_server.store.leases import now
from roost_server.store.store import Tx
from roost_server.store.tables import signing_keys as table

Jwk = Mapping[str, Any]


@dataclass(frozen=True)
class SigningKey:
    """`private` is PEM (PKCS 8)."""

    id: str
    private: str = field(repr=False)


class Standing(NamedTuple):
    """What is still there of a key: its private half, and its public one, which is published while it is."""

    id: str
    created_at: datetime
    can_sign: bool
    is_published: bool


class Published(NamedTuple):
    """`issuer` is the `iss` of every token of the installation: the same for all its servers and whatever name they are
    reached under. `keys` verify, oldest first."""

    issuer: str
    keys: Sequence[Jwk]


async def insert(tx: Tx, key: SigningKey, public: Jwk, cipher: Cipher) -> None:
    """Published from now on. `public` is its JWK, whose `kid` is the key's id."""
    values = {"id": key.id, "private_encrypted": cipher.encrypt(key.private), "public": dict(public)}
    await tx.run(sa.insert(table).values(**values, created_at=now()))


_ABLE = sa.select(table).where(table.c.private_encrypted.is_not(None)).order_by(table.c.id)


async def signer(tx: Tx, cipher: Cipher, known_since: datetime) -> SigningKey:
    """The one that signs: the newest that has been published since then or longer, else the oldest."""
    rows = await tx.all(_ABLE)
    known = [row for row in rows if row["created_at"] <= known_since]
    row = known[-1] if known else rows[0]
    return SigningKey(row["id"], cipher.decrypt(row["private_encrypted"]) or "")


_ALL = sa.select(table.c.id, table.c.public).order_by(table.c.id)


async def published(tx: Tx) -> Published | None:
    """None before the installation is set up."""
    rows = await tx.all(_ALL)
    return Published(f"roost:{rows[0]['id']}", [row["public"] for row in rows if row["public"]]) if rows else None


async def everything(tx: Tx) -> list[Standing]:
    """Oldest first."""
    rows = await tx.all(sa.select(table).order_by(table.c.id))
    halves = ("private_encrypted", "public")
    return [Standing(row["id"], row["created_at"], *[row[half] is not None for half in halves]) for row in rows]


async def forget_private(tx: Tx, key_id: str) -> None:
    """It signs nothing any more, whoever gets hold of the database."""
    await tx.run(sa.update(table).where(table.c.id == key_id).values(private_encrypted=None))


async def unpublish(tx: Tx, key_id: str) -> None:
    """What it signed is not good any more."""
    await tx.run(sa.update(table).where(table.c.id == key_id).values(public=None))
