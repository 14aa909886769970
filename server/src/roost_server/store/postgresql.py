"""PostgreSQL, over asyncpg. Several servers may share one database; row locks keep their claims apart."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from roost_server.store import compiled
from roost_server.store.store import Values


class _Remote:
    is_sqlite = False

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def execute(self, statement: sa.Executable, values: Values | None = None) -> sa.CursorResult[Any]:
        return await self._connection.execute(statement, values)


class PostgreSQL:
    """Satisfies Database."""

    def __init__(self, url: sa.URL) -> None:
        self._engine = create_async_engine(
            url.set(drivername=compiled.POSTGRESQL),
            execution_options=compiled.SHARED,
            pool_size=10,
            max_overflow=10,
            pool_pre_ping=True,
        )

    @asynccontextmanager
    async def read(self) -> AsyncIterator[_Remote]:
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            yield _Remote(connection)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[_Remote]:
        async with self._engine.begin() as connection:
            yield _Remote(connection)

    async def run_sync(self, work: Callable[[sa.Connection], None]) -> None:
        async with self._engine.begin() as connection:
            await connection.run_sync(work)

    async def close(self) -> None:
        await self._engine.dispose()
