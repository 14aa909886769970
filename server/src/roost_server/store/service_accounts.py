"""Service accounts. The secret is kept twice: hashed, to compare, and encrypted, since every start injects it again."""

import hashlib
import secrets
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from roost_server.domain.ids import new_id
from roost_server.domain.service_account import Identity, ServiceAccount, client_id_of
from roost_server.store.cipher import Cipher
from roost_server.store.leases import now
from roost_server.store.store import Row, Tx
from roost_server.store.tables import runtimes
from roost_server.store.tables import service_accounts as table

PREFIX = "roost_sa_"
_NAMES = tuple(ServiceAccount.__dataclass_fields__)
_COLUMNS = [table.c[name] for name in _NAMES]


def _account(row: Row) -> ServiceAccount:
    return ServiceAccount(**{name: row[name] for name in _NAMES})


def _new_secret(cipher: Cipher) -> dict[str, Any]:
    """The columns of a secret that was never used before."""
    secret = PREFIX + secrets.token_urlsafe(32)
    hashed = hashlib.sha256(secret.encode()).hexdigest()
    kept = {"secret_hash": hashed, "secret_encrypted": cipher.encrypt(secret), "secret_id": new_id()}
    return {**kept, "updated_at": now()}


async def ensure(tx: Tx, runtime_id: str, cipher: Cipher) -> ServiceAccount:
    """The runtime's account, made if it has none: those of before there were accounts get theirs so."""
    found = await get(tx, runtime_id)
    if found is not None:
        return found
    values = {"runtime_id": runtime_id, "client_id": client_id_of(runtime_id), **_new_secret(cipher)}
    insert = (sqlite.insert if tx.is_sqlite else postgresql.insert)(table)
    await tx.run(insert.values(**values, created_at=values["updated_at"]).on_conflict_do_nothing())
    made = await get(tx, runtime_id)
    assert made is not None
    return made


async def reset(tx: Tx, runtime_id: str, cipher: Cipher) -> None:
    """Another secret; the one before is no longer known."""
    await tx.run(sa.update(table).where(table.c.runtime_id == runtime_id).values(**_new_secret(cipher)))


async def get(tx: Tx, runtime_id: str) -> ServiceAccount | None:
    row = await tx.first(sa.select(*_COLUMNS).where(table.c.runtime_id == runtime_id))
    return _account(row) if row else None


async def secret_of(tx: Tx, runtime_id: str, cipher: Cipher) -> str | None:
    """In clear, to be injected."""
    row = await tx.first(sa.select(table.c.secret_encrypted).where(table.c.runtime_id == runtime_id))
    return cipher.decrypt(row["secret_encrypted"]) if row else None


async def find(tx: Tx, client_id: str) -> ServiceAccount | None:
    row = await tx.first(sa.select(*_COLUMNS).where(table.c.client_id == client_id))
    return _account(row) if row else None


_BY_SECRET = sa.select(runtimes.c.id, runtimes.c.name, runtimes.c.workspace_id).join_from(
    table, runtimes, table.c.runtime_id == runtimes.c.id
)


async def holder_of(tx: Tx, secret_id: str) -> tuple[Identity, str] | None:
    """Whose secret this is now, and the id of the workspace that belongs to; None once it was reset."""
    row = await tx.first(_BY_SECRET.where(table.c.secret_id == secret_id))
    return (Identity(row["id"], row["name"]), row["workspace_id"]) if row else None


async def secret_ids(tx: Tx, *runtime_ids: str) -> dict[str, str]:
    """By runtime id."""
    rows = await tx.all(sa.select(table.c.runtime_id, table.c.secret_id).where(table.c.runtime_id.in_(runtime_ids)))
    return {row["runtime_id"]: row["secret_id"] for row in rows}
