"""Cursor pages over rows whose id orders them by creation."""

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
