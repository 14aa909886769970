"""Fixtures that several folders share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import postgresql as server
from support.postgresql import PostgreSQL


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One private PostgreSQL for all tests that ask for it."""
    with server.running() as started:
        yield started


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/roost.db"
    started: PostgreSQL = request.getfixturevalue("postgresql")
    return await started.database()
