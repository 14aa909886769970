"""Migrations of a database that has rows: nothing is lost, and what served goes on serving."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import command
from roost_server.domain.config import RuntimeConfig
from roost_server.domain.runtime import Wanted
from roost_server.store import endpoints, events, migrate, replicas, runtimes, versions
from roost_server.store.store import open_store
from roost_server.store.versions import to_document

THEN = datetime(2026, 1, 1, tzinfo=UTC)
STAMPS = {"created_at": THEN, "updated_at": THEN}


def rows_of_the_first_release(connection: sa.Connection) -> None:
    """A runtime at its second version, which its default endpoint serves; another endpoint serves nothing yet."""
    command.upgrade(migrate.config(connection), "0001")
    there = sa.MetaData()
    there.reflect(connection)

    def insert(table: str, **values: Any) -> None:
        known = {name: value for name, value in values.items() if name in there.tables[table].c}
        connection.execute(sa.insert(there.tables[table]).values(**known))

    insert("organizations", id="o", slug="default", **STAMPS)
    insert("workspaces", id="w", organization_id="o", slug="default", **STAMPS)
    image = {"reference": "builtin:runtime", "source": "builtin", "status": "ready", "progress": {}, "input": {}}
    insert("images", id="i", **image, revision=1, **STAMPS)
    told = {"name": "agent", "description": "", "wanted": "running", "status": "active", "labels": {}}
    insert("runtimes", id="r", workspace_id="w", **told, version=2, revision=3, **STAMPS)
    for number in (1, 2):
        document = to_document(RuntimeConfig())
        insert("versions", runtime_id="r", number=number, config=document, image_id="i", **STAMPS)
        insert("events", id=f"e{number}", runtime_id="r", type="x", message="", data={}, **STAMPS)
    insert("endpoints", id="d", runtime_id="r", name="DEFAULT", live_version=2, revision=1, **STAMPS)
    insert("endpoints", id="s", runtime_id="r", name="second", pinned_version=1, revision=1, **STAMPS)
    counts = {"restarts": 0, "failures": 0, "probe_failures": 0, "phases": {}, "queued_at": THEN}
    insert("replicas", id="b", runtime_id="r", version=2, status="ready", routed=True, **counts, **STAMPS)


async def test_what_was_there_before_goes_on_as_it_was(empty_database_url: str) -> None:
    store = open_store(empty_database_url)
    await store.run_sync(rows_of_the_first_release)
    await migrate.upgrade(store)
    async with store.read() as tx:
        runtime = await runtimes.get(tx, "r")
        default, second = await endpoints.of(tx, "r")
        (replica,) = await replicas.of(tx, "r")
        found = await versions.in_use(tx, {"r": {1, 2}})
        told, _ = await events.page(tx, "r", 10, None)
    await store.close()
    assert runtime is not None
    assert (runtime.version, runtime.applied_version, runtime.generation) == (2, 2, replica.generation)
    assert (default.is_default, default.wanted, default.live, default.live_version) == (
        True,
        Wanted.RUNNING,
        {2: 100},
        2,
    )
    assert (second.is_default, second.live, second.pinned_version, second.kept_version) == (False, {}, 1, None)
    assert (len(found), len(told)) == (2, 2)
