"""The store: connections, transactions, and the nudges that follow a commit.

SQLite has one writer: a write transaction takes a lock in this process and begins IMMEDIATE, so that it never fails
half-way for want of the lock. Reads see a snapshot and wait for nobody (WAL). On PostgreSQL both are ordinary
transactions. Nothing in this file knows what the rows mean.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from roost_server.store.nudges import Nudges

Row = sa.RowMapping


class Tx:
    """One transaction. `nudge` names kinds of rows whose waiters are told after the commit."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.nudged: set[str] = set()

    async def all(self, statement: sa.Executable) -> Sequence[Row]:
        return (await self._connection.execute(statement)).mappings().all()

    async def first(self, statement: sa.Executable) -> Row | None:
        return (await self._connection.execute(statement)).mappings().first()

    async def scalar(self, statement: sa.Executable) -> Any:
        return await self._connection.scalar(statement)

    async def run(self, statement: sa.Executable, rows: Sequence[dict[str, Any]] | None = None) -> int:
        """Execute a write; how many rows it touched."""
        result = await self._connection.execute(statement, rows)
        return int(result.rowcount)

    def nudge(self, kind: str) -> None:
        self.nudged.add(kind)

    @property
    def is_sqlite(self) -> bool:
        return self._connection.dialect.name == "sqlite"


class Store:
    """Opened with `open_store`; closed with `close`."""

    def __init__(self, reader: AsyncEngine, writer: AsyncEngine) -> None:
        self._reader = reader
        self._writer = writer
        one_writer = writer.dialect.name == "sqlite"
        self._turn: AbstractAsyncContextManager[object] = asyncio.Lock() if one_writer else nullcontext()
        self.nudges = Nudges()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Tx]:
        """A consistent view; nothing is written."""
        async with self._reader.connect() as connection:
            yield Tx(connection)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Tx]:
        """Commits at the end of the block, rolls back on any error; waiters are nudged after the commit."""
        async with self._turn, self._writer.begin() as connection:
            tx = Tx(connection)
            yield tx
        self.nudges.tell(tx.nudged)

    async def run_sync(self, work: Callable[[sa.Connection], None]) -> None:
        """A write transaction for code that knows only synchronous connections: migrations."""
        async with self._turn, self._writer.begin() as connection:
            await connection.run_sync(work)

    async def close(self) -> None:
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()


def open_store(url: str) -> Store:
    """A store on `sqlite:///path` or `postgresql://…`. Opens no connection yet; raises ValueError on another URL."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _open_sqlite(parsed)
    if parsed.get_backend_name() == "postgresql":
        engine = create_async_engine(parsed.set(drivername="postgresql+asyncpg"), pool_size=10, pool_pre_ping=True)
        return Store(engine, engine)
    raise ValueError(f'cannot open database_url "{parsed.drivername}://…": use sqlite:/// or postgresql://')


def _open_sqlite(url: sa.URL) -> Store:
    if url.database:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    url = url.set(drivername="sqlite+aiosqlite")
    reader = create_async_engine(url, pool_size=4, max_overflow=12)
    writer = create_async_engine(url, pool_size=1, max_overflow=0)
    _prepare(reader, "BEGIN")
    _prepare(writer, "BEGIN IMMEDIATE")
    return Store(reader, writer)


def _prepare(engine: AsyncEngine, begin: str) -> None:
    @sa.event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)
