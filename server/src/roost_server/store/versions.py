"""Versions: immutable configurations. The registry password is not here but, encrypted, with the image."""

from dataclasses import asdict
from functools import cache
from typing import Any

import sqlalchemy as sa

from roost_server.domain.config import RuntimeConfig
from roost_server.domain.version import Version
from roost_server.store import documents, pages, statements
from roost_server.store.store import Row, Tx
from roost_server.store.tables import versions as table


def to_document(config: RuntimeConfig) -> dict[str, Any]:
    """The configuration as JSON values, without the password."""
    document = asdict(config)
    if document["build"]["auth"] is not None:
        document["build"]["auth"].pop("password")
    return document


def _version(row: Row) -> Version:
    return Version(**{**row, "config": documents.read(RuntimeConfig, row["config"])})


async def insert(tx: Tx, version: Version) -> None:
    values = {name: getattr(version, name) for name in ("runtime_id", "number", "image_id", "cpu_cores", "memory_mb")}
    await tx.run(statements.insert(table), **values, config=to_document(version.config), created_at=version.created_at)


@cache
def _one() -> sa.Select[Any]:
    same_runtime = table.c.runtime_id == sa.bindparam("runtime_id")
    return sa.select(table).where(same_runtime, table.c.number == sa.bindparam("number"))


@cache
def _of_runtimes() -> sa.Select[Any]:
    ids: sa.BindParameter[Any] = sa.bindparam("runtime_ids", expanding=True)
    numbers: sa.BindParameter[Any] = sa.bindparam("numbers", expanding=True)
    return sa.select(table).where(table.c.runtime_id.in_(ids), table.c.number.in_(numbers))


async def get(tx: Tx, runtime_id: str, number: int) -> Version | None:
    row = await tx.first(_one(), runtime_id=runtime_id, number=number)
    return _version(row) if row else None


async def page(tx: Tx, runtime_id: str, limit: int, before: int | None) -> tuple[list[Version], str | None]:
    """Newest first; the cursor is the last number."""
    query = sa.select(table).where(table.c.runtime_id == runtime_id)
    if before is not None:
        query = query.where(table.c.number < before)
    rows = await tx.all(query.order_by(table.c.number.desc()).limit(limit + 1))
    return [_version(row) for row in rows[:limit]], str(rows[limit - 1]["number"]) if len(rows) > limit else None


async def numbered_page(tx: Tx, runtime_id: str, number: int, size: int) -> tuple[list[Version], int]:
    """Newest first; how many there are on all pages."""
    query = sa.select(table).where(table.c.runtime_id == runtime_id).order_by(table.c.number.desc())
    rows, total = await pages.numbered(tx, query, number, size)
    return [_version(row) for row in rows], total


async def in_use(tx: Tx, numbers: dict[str, set[int]]) -> dict[tuple[str, int], Version]:
    """The named versions of many runtimes at once, by runtime id and number. Reads few others: a runtime may have
    thousands."""
    named = sorted(set().union(*numbers.values()))
    found = await tx.all(_of_runtimes(), runtime_ids=list(numbers), numbers=named)
    rows = [row for row in found if row["number"] in numbers[row["runtime_id"]]]
    return {(row["runtime_id"], row["number"]): _version(row) for row in rows}
