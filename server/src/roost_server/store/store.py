"""The store: transactions, and the nudges that follow a commit. Nothing in this file knows what the rows mean.

`store/sqlite.py` and `store/postgresql.py` open the two kinds of database; everything above sees only `Store` and `Tx`.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import sqlalchemy as sa

from roost_server.store import trouble
from roost_server.store.nudges import Nudges

Row = sa.RowMapping

Values = dict[str, Any] | Sequence[Mapping[str, Any]]
"""Of a statement's parameters, once or for each of many executions."""


class Stale(Exception):
    """A row is no longer as it was read, so what was decided about it does not hold: read it again."""


class Connection(Protocol):
    """An open transaction of either kind of database."""

    is_sqlite: bool

    async def execute(self, statement: sa.Executable, values: Values | None = None) -> sa.CursorResult[Any]: ...


class Database(Protocol):
    def read(self) -> AbstractAsyncContextManager[Connection]:
        """A consistent view; nothing is written."""
        ...

    def write(self) -> AbstractAsyncContextManager[Connection]:
        """Commits at the end of the block, rolls back on any error."""
        ...

    async def run_sync(self, work: Callable[[sa.Connection], None]) -> None:
        """A write transaction for code that knows only synchronous connections: migrations."""
        ...

    async def close(self) -> None: ...


class Tx:
    """One transaction. `nudge` names kinds of rows whose waiters are told after the commit."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.nudged: set[str] = set()
        self.is_sqlite = connection.is_sqlite

    async def all(self, statement: sa.Executable, **values: Any) -> Sequence[Row]:
        """Rows; `values` fill the statement's bound parameters."""
        return (await self._connection.execute(statement, values)).mappings().all()

    async def tuples(self, statement: sa.Executable) -> Sequence[tuple[Any, ...]]:
        """Rows as plain tuples, for reads of very many."""
        return (await self._connection.execute(statement)).all()

    async def first(self, statement: sa.Executable, **values: Any) -> Row | None:
        return (await self._connection.execute(statement, values)).mappings().first()

    async def run(self, statement: sa.Executable, **values: Any) -> int:
        """Execute a write; how many rows it touched."""
        return int((await self._connection.execute(statement, values)).rowcount)

    async def run_many(self, statement: sa.Executable, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute a write once for each of the rows, prepared once and sent together."""
        if rows:
            await self._connection.execute(statement, rows)

    def nudge(self, kind: str) -> None:
        self.nudged.add(kind)


class Store:
    """Opened with `open_store`; closed with `close`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.nudges = Nudges()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Tx]:
        """A consistent view; nothing is written. Raises `Unavailable` when the database cannot be used now."""
        with trouble.told():
            async with self._database.read() as connection:
                yield Tx(connection)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Tx]:
        """Commits at the end of the block, rolls back on any error; waiters are nudged after the commit.
        Raises `Unavailable` when the database cannot be used now."""
        with trouble.told():
            async with self._database.write() as connection:
                tx = Tx(connection)
                yield tx
        self.nudges.tell(tx.nudged)

    async def run_sync(self, work: Callable[[sa.Connection], None]) -> None:
        await self._database.run_sync(work)

    async def close(self) -> None:
        await self._database.close()


def open_store(url: str) -> Store:
    """A store on `sqlite:///path` or `postgresql://…`. Opens no connection yet; raises ValueError on another URL."""
    from roost_server.store.postgresql import PostgreSQL
    from roost_server.store.sqlite import SQLite

    parsed = sa.make_url(url)
    match parsed.get_backend_name():
        case "sqlite":
            return Store(SQLite(parsed))
        case "postgresql":
            return Store(PostgreSQL(parsed))
        case other:
            raise ValueError(f'cannot open database_url "{other}://…": use sqlite:/// or postgresql://')
