"""Sessions: with which version of an endpoint each began. A session's id is kept as a hash alone."""

import hashlib
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from roost_server.store.leases import now
from roost_server.store.store import Tx
from roost_server.store.tables import endpoints
from roost_server.store.tables import sessions as table
from roost_server.store.types import Instant

KEPT_FOR = timedelta(days=30)
"""A session that was not seen for so long begins anew."""

TOUCHED_EVERY = timedelta(hours=1)
"""`seen_at` is not written more often."""


class Remembered(NamedTuple):
    version: int
    seen_at: datetime

    @property
    def is_fresh(self) -> bool:
        """Whether it was seen so lately that this need not be written down again."""
        return self.seen_at > now() - TOUCHED_EVERY


def hashed(session: str) -> str:
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()


@cache
def _this() -> sa.ColumnElement[bool]:
    return sa.and_(table.c.endpoint_id == sa.bindparam("endpoint"), table.c.session == sa.bindparam("hashed"))


@cache
def _find() -> sa.Select[Any]:
    return sa.select(table.c.version, table.c.seen_at).where(_this())


@cache
def _insert(is_sqlite: bool) -> sa.Executable:
    """Inserts nothing when the endpoint is gone or the session is there; the endpoint stays until the commit."""
    names = ("endpoint_id", "session", "version", "seen_at")
    values = (
        endpoints.c.id,
        sa.bindparam("hashed", type_=table.c.session.type),
        sa.bindparam("version", type_=table.c.version.type),
        sa.bindparam("at", type_=Instant),
    )
    row = (
        sa.select(*values).where(endpoints.c.id == sa.bindparam("endpoint")).with_for_update(key_share=True, read=True)
    )
    dialect: Any = sqlite if is_sqlite else postgresql
    insert: sa.Executable = dialect.insert(table).from_select(names, row).on_conflict_do_nothing()
    return insert


@cache
def _move() -> sa.Update:
    still = sa.and_(_this(), table.c.version == sa.bindparam("was"))
    return sa.update(table).where(still).values(version=sa.bindparam("new"), seen_at=sa.bindparam("at", type_=Instant))


async def find(tx: Tx, endpoint_id: str, session: str) -> Remembered | None:
    row = await tx.first(_find(), endpoint=endpoint_id, hashed=hashed(session))
    return Remembered(**row) if row else None


async def remember(tx: Tx, endpoint_id: str, session: str, version: int) -> Remembered | None:
    """What counts now: this version, or the one remembered before. None when the endpoint is gone."""
    await tx.run(_insert(tx.is_sqlite), endpoint=endpoint_id, hashed=hashed(session), version=version, at=now())
    return await find(tx, endpoint_id, session)


async def move(tx: Tx, endpoint_id: str, session: str, was: int, version: int) -> Remembered | None:
    """As `remember`, of a session that is remembered with version `was`. With the same version: it was seen now."""
    await tx.run(_move(), endpoint=endpoint_id, hashed=hashed(session), was=was, new=version, at=now())
    return await find(tx, endpoint_id, session)


async def purge(tx: Tx) -> int:
    """Forget sessions that were not seen for long; how many."""
    return await tx.run(sa.delete(table).where(table.c.seen_at < now() - KEPT_FOR))
