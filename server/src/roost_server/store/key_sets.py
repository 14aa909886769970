"""Key sets of others' issuers, by the URL they are fetched from: shared by all endpoints that name it."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from roost_server.domain.ids import new_id
from roost_server.store import statements
from roost_server.store.leases import now
from roost_server.store.store import Row, Tx
from roost_server.store.tables import key_sets as table
from roost_server.store.types import Instant

UNUSED_SECONDS = 3600.0
"""A key set is kept this long before it counts as unused: the endpoint that names it may just be being made."""


@dataclass(frozen=True)
class KeySet:
    """`keys` is a JWK set as JSON, None until it was fetched; `message` why that last failed."""

    id: str
    url: str
    keys: str | None
    message: str | None
    fetched_at: datetime | None
    created_at: datetime


_NAMES = tuple(KeySet.__dataclass_fields__)
_COLUMNS = [table.c[name] for name in _NAMES]


def _text(keys: dict[str, Any] | None) -> str | None:
    return None if keys is None else json.dumps(keys, sort_keys=True)


def _key_set(row: Row) -> KeySet:
    return KeySet(**{**row, "keys": _text(row["keys"])})


async def ensure(tx: Tx, url: str) -> None:
    """There is a row for this URL; a new one is due now, and one whose keys could never be fetched is tried anew. Any
    other stays as it is, and counts as new again: who is just deleting what is unused leaves it alone."""
    at = now()
    insert = (sqlite if tx.is_sqlite else postgresql).insert(table)
    values = {"id": new_id(), "url": url, "created_at": at, "wake_at": at, "attempts": 0}
    in_vain = sa.and_(table.c.fetched_at.is_(None), table.c.message.is_not(None))
    anew = {
        "created_at": at,
        "wake_at": sa.case((in_vain, sa.literal(at, Instant)), else_=table.c.wake_at),
        "message": sa.case((in_vain, sa.null()), else_=table.c.message),
    }
    await tx.run(insert.values(**values).on_conflict_do_update(index_elements=[table.c.url], set_=anew))
    tx.nudge(table.name)


async def get(tx: Tx, key_set_id: str) -> KeySet | None:
    row = await tx.first(statements.by_id(table, _NAMES), row_id=key_set_id)
    return _key_set(row) if row else None


async def find(tx: Tx, url: str) -> KeySet | None:
    row = await tx.first(sa.select(*_COLUMNS).where(table.c.url == url))
    return _key_set(row) if row else None


async def everything(tx: Tx) -> dict[str, str | None]:
    """The keys by URL; None where they have not been fetched yet."""
    return {row["url"]: _text(row["keys"]) for row in await tx.all(sa.select(table.c.url, table.c["keys"]))}


async def troubles(tx: Tx, urls: Collection[str]) -> dict[str, str | None]:
    """Of these URLs those whose keys could last not be fetched, and why; None where nobody has tried yet."""
    if not urls:
        return {}
    troubled = sa.or_(table.c.message.is_not(None), table.c.fetched_at.is_(None))
    query = sa.select(table.c.url, table.c.message).where(table.c.url.in_(urls), troubled)
    return {row["url"]: row["message"] for row in await tx.all(query)}


async def set_keys(tx: Tx, key_set: KeySet, keys: dict[str, Any]) -> bool:
    """Record what was fetched; whether it is something else than before."""
    changed = _text(keys) != key_set.keys
    await tx.run(sa.update(table).where(table.c.id == key_set.id).values(keys=keys, message=None, fetched_at=now()))
    return changed


async def set_message(tx: Tx, key_set_id: str, message: str) -> None:
    """Why they could not be fetched; keys from before stay."""
    await tx.run(sa.update(table).where(table.c.id == key_set_id).values(message=message))
    tx.nudge("runtime_changes")


async def delete_unused(tx: Tx, used: Collection[str]) -> None:
    """Forget key sets whose URL no endpoint names, `used` being those that one does."""
    old = table.c.created_at < now() - timedelta(seconds=UNUSED_SECONDS)
    await tx.run(sa.delete(table).where(table.c.url.not_in(used), old))
