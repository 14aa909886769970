"""Migrations: bring a database to the tables of this version. Run at every start; doing it twice does nothing."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from roost_server.store.store import Store
from roost_server.store.tables import metadata

_LOCK = 0x526F6F7374
"""PostgreSQL's advisory lock that keeps two starting servers from migrating at once."""


def config(connection: sa.Connection) -> Config:
    """Alembic's configuration on an open connection."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    made.attributes["connection"] = connection
    return made


async def upgrade(store: Store) -> None:
    """Bring the store's database to the newest revision."""
    await store.run_sync(_upgrade)


def _upgrade(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    command.upgrade(config(connection), "head")


async def differences(store: Store) -> list[object]:
    """What the database has that `tables.py` has not, and the other way round."""
    found: list[object] = []
    await store.run_sync(
        lambda connection: found.extend(
            compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
        )
    )
    return found
