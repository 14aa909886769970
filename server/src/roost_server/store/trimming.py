"""Trimming: of rows that only ever become more, the newest are kept of each owner."""

import sqlalchemy as sa

from roost_server.store.store import Tx


async def keep_newest(tx: Tx, owner: sa.Column[str], most: int, *only: sa.ColumnElement[bool]) -> None:
    """Of the rows for which `only` holds, keep the newest `most` of each owner, which is a column of their table.

    Looking counts the entries of the owner's index: for a million rows 65 ms on SQLite, 200 ms on PostgreSQL."""
    table = owner.table
    crowded = sa.select(owner).where(*only).group_by(owner).having(sa.func.count() > most)
    for row in await tx.all(crowded):
        its_own = sa.and_(owner == row[owner.name], *only)
        newest = sa.select(table.c.id).where(its_own).order_by(table.c.id.desc())
        oldest_kept = newest.offset(most - 1).limit(1).scalar_subquery()
        await tx.run(sa.delete(table).where(its_own, table.c.id < oldest_kept))
