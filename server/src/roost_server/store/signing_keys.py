"""Signing keys: what the installation signs its tokens with. The newest signs, all are published, and the oldest names
the installation, so that its name outlives any key that signs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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


async def insert(tx: Tx, key: SigningKey, public: Jwk, cipher: Cipher) -> None:
    """From now on this one signs. `public` is its JWK, whose `kid` is the key's id."""
    values = {"id": key.id, "private_encrypted": cipher.encrypt(key.private), "public": dict(public)}
    await tx.run(sa.insert(table).values(**values, created_at=now()))


async def newest(tx: Tx, cipher: Cipher) -> SigningKey | None:
    """The one that signs; None before the installation is set up."""
    row = await tx.first(sa.select(table.c.id, table.c.private_encrypted).order_by(table.c.id.desc()).limit(1))
    return SigningKey(row["id"], cipher.decrypt(row["private_encrypted"]) or "") if row else None


_PUBLISHED = sa.select(table.c.public).order_by(table.c.id)


async def published(tx: Tx) -> Sequence[Jwk]:
    """Oldest first."""
    return [row["public"] for row in await tx.all(_PUBLISHED)]


def issuer_of(keys: Sequence[Jwk]) -> str:
    """The `iss` of every token of the installation whose published keys these are: the same for all its servers and
    whatever name they are reached under."""
    return f"roost:{keys[0]['kid']}"
