"""Pages of rows: by cursor, over rows whose id orders them by creation, or by number."""

from typing import Any

import sqlalchemy as sa

from roost_server.store.store import Row, Tx


async def newest_first(
    tx: Tx, statement: sa.Select[Any], id_column: sa.Column[str], limit: int, cursor: str | None
) -> tuple[list[Row], str | None]:
    """One page and the cursor of the next, None at the end. A cursor is the last id of the page before."""
    if cursor is not None:
        statement = statement.where(id_column < cursor)
    rows = list(await tx.all(statement.order_by(id_column.desc()).limit(limit + 1)))
    page = rows[:limit]
    return page, page[-1]["id"] if len(rows) > limit else None


async def numbered(tx: Tx, statement: sa.Select[Any], number: int, size: int) -> tuple[list[Row], int]:
    """The `number`th page (from 1) of an ordered statement, and how many rows there are on all of them."""
    counted = await tx.first(sa.select(sa.func.count().label("n")).select_from(statement.order_by(None).subquery()))
    assert counted is not None
    rows = await tx.all(statement.limit(size).offset((number - 1) * size))
    return list(rows), counted["n"]
