"""A store on a database with its tables, on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest
from roost_server.store import workspaces
from roost_server.store.store import Store, open_store
from roost_server.store.workspaces import Workspace


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    opened = open_store(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def workspace(store: Store) -> Workspace:
    async with store.write() as tx:
        return await workspaces.create(tx, "org", "ws")
