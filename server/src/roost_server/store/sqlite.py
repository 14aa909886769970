"""SQLite: statements run in the event loop's own thread, and so do commits while the disk is quick.

A statement takes tens of microseconds, a hop to a worker thread several times that. A commit waits for the disk: where
that has taken long of late, it is waited for in another thread.
There is one writer: a write transaction takes a lock in this process and begins IMMEDIATE, so that it never fails
half-way for want of the lock. Reads see a snapshot and wait for nobody (WAL).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import QueuePool

from roost_server.store import compiled
from roost_server.store.store import Values

PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000")

QUICK_COMMIT_SECONDS = 0.001
"""A running mean below this is waited for in place."""


class _Inline:
    is_sqlite = True

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    async def execute(self, statement: sa.Executable, values: Values | None = None) -> sa.CursorResult[Any]:
        return self._connection.execute(statement, values)


class SQLite:
    """Satisfies Database."""

    def __init__(self, url: sa.URL) -> None:
        if url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        self._reader = _engine(url, "BEGIN", connections=16)
        self._writer = _engine(url, "BEGIN IMMEDIATE", connections=1)
        self._turn = asyncio.Lock()
        self._commit_seconds = 0.0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[_Inline]:
        with self._reader.connect() as connection:
            yield _Inline(connection)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[_Inline]:
        async with self._turn:
            with self._writer.connect() as connection:
                yield _Inline(connection)
                began = time.perf_counter()
                if self._commit_seconds < QUICK_COMMIT_SECONDS:
                    connection.commit()
                else:
                    await _commit_elsewhere(connection)
                self._commit_seconds += (time.perf_counter() - began - self._commit_seconds) / 8

    async def run_sync(self, work: Callable[[sa.Connection], None]) -> None:
        async with self._turn:
            with self._writer.begin() as connection:
                work(connection)

    async def close(self) -> None:
        self._writer.dispose()
        self._reader.dispose()


async def _commit_elsewhere(connection: sa.Connection) -> None:
    """Wait for the disk elsewhere, and to the end however often the caller is cancelled: the connection is in use."""
    committing = asyncio.ensure_future(asyncio.to_thread(connection.commit))
    cancelled = False
    while not committing.done():
        try:
            await asyncio.wait({committing})
        except asyncio.CancelledError:
            cancelled = True
    committing.result()
    if cancelled:
        raise asyncio.CancelledError


def _engine(url: sa.URL, begin: str, connections: int) -> sa.Engine:
    engine = sa.create_engine(
        url.set(drivername=compiled.SQLITE),
        execution_options=compiled.SHARED,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        connect_args={"check_same_thread": False},
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def begin_transaction(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine
