"""Fixtures that several folders share."""

import asyncio
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog
from roost_server.store import migrate
from roost_server.store.store import open_store
from support import postgresql as server
from support.postgresql import PostgreSQL

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Started in the background by a shell: commands that tests interrupt would ignore that as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes depends on the machine, and says nothing of the code.
hypothesis.settings.register_profile("roost", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("roost")

structlog.configure(
    processors=[
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One private PostgreSQL for all tests that ask for it."""
    with server.running() as started:
        yield started


KINDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]


@pytest.fixture(params=KINDS)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    started: PostgreSQL = request.getfixturevalue("postgresql")
    return asyncio.run(started.database())


@pytest.fixture(params=KINDS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with its tables and no rows, once of each kind."""
    if request.param == "sqlite":
        shutil.copyfile(request.getfixturevalue("migrated_file"), tmp_path / "roost.db")
        return f"sqlite:///{tmp_path}/roost.db"
    started: PostgreSQL = request.getfixturevalue("postgresql")
    return asyncio.run(started.database(request.getfixturevalue("migrated_template")))


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database to copy: migrating each test's own would take longer than the test."""
    path = tmp_path_factory.mktemp("migrated") / "roost.db"
    asyncio.run(_migrate(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def migrated_template(postgresql: PostgreSQL) -> str:
    """The name of a PostgreSQL database to copy."""
    url = asyncio.run(postgresql.database())
    asyncio.run(_migrate(url))
    return url.rpartition("/")[2]


async def _migrate(url: str) -> None:
    store = open_store(url)
    await migrate.upgrade(store)
    await store.close()
