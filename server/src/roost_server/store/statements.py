"""Statements that are built once and then only executed: building one costs more than running it on SQLite."""

from functools import cache
from typing import Any

import sqlalchemy as sa


@cache
def insert(table: sa.Table) -> sa.Insert:
    """One row; its values are given on execution under the columns' names."""
    return sa.insert(table)


@cache
def update(table: sa.Table, *names: str) -> sa.Update:
    """Set the named columns of the row `row_id`; values are given under the columns' names with a leading `new_`."""
    values: dict[str, sa.ColumnElement[Any]] = {
        name: sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in names
    }
    if "revision" in names:
        values["revision"] = table.c.revision + 1
    return sa.update(table).where(table.c.id == sa.bindparam("row_id")).values(values)


@cache
def move(table: sa.Table, *names: str) -> sa.Update:
    """As `update`, but only while the row's status still is `was`."""
    return update(table, *names).where(table.c.status == sa.bindparam("was"))


def new(values: dict[str, Any]) -> dict[str, Any]:
    """Values as `update` wants them."""
    return {f"new_{name}": value for name, value in values.items() if name != "revision"}


@cache
def by_id(table: sa.Table, names: tuple[str, ...]) -> sa.Select[Any]:
    """The named columns of the row `row_id`."""
    return sa.select(*[table.c[name] for name in names]).where(table.c.id == sa.bindparam("row_id"))


@cache
def belonging_to(table: sa.Table, names: tuple[str, ...]) -> sa.Select[Any]:
    """The named columns of all rows of the runtimes `runtime_ids`, oldest first."""
    ids: sa.BindParameter[Any] = sa.bindparam("runtime_ids", expanding=True)
    return sa.select(*[table.c[name] for name in names]).where(table.c.runtime_id.in_(ids)).order_by(table.c.id)
