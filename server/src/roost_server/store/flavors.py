"""Flavors: the catalogue of sizes, one for the whole installation."""

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from roost_server.domain.flavor import STANDARD, Flavor
from roost_server.domain.ids import new_id
from roost_server.store import pages, statements
from roost_server.store.leases import now
from roost_server.store.store import Tx
from roost_server.store.tables import flavors as table

_TURN = 0x526F6F7376
"""PostgreSQL's advisory lock under which the catalogue is changed."""


async def take_turn(tx: Tx) -> None:
    """Let nobody else change the catalogue until the end of the transaction. SQLite has one writer anyway."""
    if not tx.is_sqlite:
        await tx.first(sa.select(sa.func.pg_advisory_xact_lock(_TURN)))


async def insert(tx: Tx, name: str, description: str, cpu_cores: float, memory_mb: int) -> Flavor:
    at = now()
    flavor = Flavor(new_id(), name, description, cpu_cores, memory_mb, 1, at, at)
    await tx.run(statements.insert(table), **asdict(flavor))
    return flavor


async def insert_standard(tx: Tx) -> None:
    """What a fresh installation offers; nothing where there is a catalogue already."""
    if await tx.first(sa.select(table.c.id).limit(1)) is None:
        for name, (cpu_cores, memory_mb) in STANDARD.items():
            await insert(tx, name, "", cpu_cores, memory_mb)


async def find(tx: Tx, id_or_name: str) -> Flavor | None:
    named = sa.or_(table.c.name == id_or_name, table.c.id == id_or_name)
    row = await tx.first(sa.select(table).where(named))
    return Flavor(**row) if row else None


async def page(tx: Tx, limit: int, cursor: str | None) -> tuple[list[Flavor], str | None]:
    """Newest first."""
    rows, next_cursor = await pages.newest_first(tx, sa.select(table), table.c.id, limit, cursor)
    return [Flavor(**row) for row in rows], next_cursor


async def everything(tx: Tx) -> list[Flavor]:
    """The smallest first."""
    rows = await tx.all(sa.select(table).order_by(table.c.cpu_cores, table.c.memory_mb, table.c.name))
    return [Flavor(**row) for row in rows]


async def update(tx: Tx, flavor_id: str, **values: Any) -> None:
    """Change `description`, `cpu_cores` or `memory_mb`; raises the revision."""
    values |= {"revision": None, "updated_at": now()}
    await tx.run(statements.update(table, *sorted(values)), row_id=flavor_id, **statements.new(values))


async def delete(tx: Tx, flavor_id: str) -> None:
    await tx.run(sa.delete(table).where(table.c.id == flavor_id))
