"""Transactions, nudges, migrations, and what every noun promises."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from roost_server.domain.config import Build, RegistryAuth, RuntimeConfig, Source
from roost_server.domain.image import ImageSource, ImageStatus
from roost_server.domain.version import Version
from roost_server.store import (
    compiled,
    events,
    idempotency,
    images,
    leases,
    migrate,
    replicas,
    runtimes,
    versions,
    workspaces,
)
from roost_server.store.cipher import open_cipher
from roost_server.store.nudges import Nudges
from roost_server.store.store import Store, open_store
from roost_server.store.workspaces import Workspace


async def test_the_migrations_make_exactly_the_tables(empty_database_url: str) -> None:
    store = open_store(empty_database_url)
    await migrate.upgrade(store)
    assert await migrate.differences(store) == []
    await migrate.upgrade(store)
    assert await migrate.differences(store) == []
    await store.close()


def test_another_kind_of_database_is_refused() -> None:
    with pytest.raises(ValueError, match="use sqlite:/// or postgresql://"):
        open_store("mysql://localhost/roost")


async def test_an_error_rolls_everything_back_and_nudges_nobody(store: Store, workspace: Workspace) -> None:
    seen = store.nudges.seen("runtimes")
    with pytest.raises(RuntimeError):
        async with store.write() as tx:
            await runtimes.insert(tx, workspace.id, "a", "", {})
            raise RuntimeError
    async with store.read() as tx:
        assert await runtimes.find(tx, workspace.id, "a") is None
    assert store.nudges.seen("runtimes") == seen


async def test_a_commit_nudges_whoever_waits(store: Store, workspace: Workspace) -> None:
    waiting = asyncio.create_task(store.nudges.wait("runtimes", store.nudges.seen("runtimes"), 30))
    async with store.write() as tx:
        await runtimes.insert(tx, workspace.id, "a", "", {})
    await waiting


async def test_a_nudge_between_looking_and_waiting_is_not_missed() -> None:
    nudges = Nudges()
    seen = nudges.seen("x")
    nudges.tell(["x"])
    await nudges.wait("x", seen, 30)


async def test_pages_are_stable_while_rows_are_inserted(store: Store, workspace: Workspace) -> None:
    async def insert(*names: str) -> None:
        async with store.write() as tx:
            for name in names:
                await runtimes.insert(tx, workspace.id, name, "", {})

    await insert("a", "b", "c", "d")
    seen: list[str] = []
    cursor = None
    for extra in ("e", "f", "g"):
        async with store.read() as tx:
            page, cursor = await runtimes.page(tx, workspace.id, statuses=[], labels={}, limit=2, cursor=cursor)
        seen += [runtime.name for runtime in page]
        await insert(extra)
        if cursor is None:
            break
    assert seen == ["d", "c", "b", "a"]


async def test_lists_filter_by_status_and_label(store: Store, workspace: Workspace) -> None:
    async with store.write() as tx:
        await runtimes.insert(tx, workspace.id, "a", "", {"team": "red", "a.b/c": "x"})
        await runtimes.insert(tx, workspace.id, "b", "", {"team": "blue"})

    async def names(statuses: list[str], labels: dict[str, str]) -> list[str]:
        async with store.read() as tx:
            found, _ = await runtimes.page(tx, workspace.id, statuses=statuses, labels=labels, limit=10, cursor=None)
        return [runtime.name for runtime in found]

    assert await names([], {"team": "red"}) == ["a"]
    assert await names([], {"team": "red", "a.b/c": "x"}) == ["a"]
    assert await names([], {"team": "green"}) == []
    assert await names(["creating"], {}) == ["b", "a"]
    assert await names(["active"], {}) == []


async def test_a_version_is_read_back_as_it_was_written_without_the_password(
    store: Store, workspace: Workspace, tmp_path: Path
) -> None:
    cipher = open_cipher(tmp_path / "secret.key")
    auth = RegistryAuth("robot", "a-password-to-find")
    config = RuntimeConfig(build=Build(source=Source("image", "r.example.com/agent"), auth=auth))
    async with store.write() as tx:
        runtime = await runtimes.insert(tx, workspace.id, "a", "", {})
        image = await images.insert(tx, workspace.id, "r.example.com/agent", ImageSource.PULL, auth=auth, cipher=cipher)
        await versions.insert(tx, Version(runtime.id, 1, config, image.id, leases.now()))
    async with store.read() as tx:
        version = await versions.get(tx, runtime.id, 1)
        _, stored = await images.work_of(tx, image.id, cipher)
    assert version is not None and version.config.build.auth == RegistryAuth("robot", None)
    assert stored == auth
    assert not holds(tmp_path, b"a-password-to-find")
    assert await asyncio.to_thread(is_private, tmp_path / "secret.key")


def is_private(path: Path) -> bool:
    return path.stat().st_mode & 0o077 == 0


def holds(folder: Path, text: bytes) -> bool:
    """Whether a database file of the folder has this text."""
    return any(text in file.read_bytes() for file in folder.glob("*.db*"))


async def test_local_images_are_found_by_name_newest_first_and_failed_ones_are_not(
    store: Store, workspace: Workspace
) -> None:
    async with store.write() as tx:
        old = await images.insert(tx, workspace.id, "agent:latest", ImageSource.BUILD)
        new = await images.insert(tx, workspace.id, "agent:latest", ImageSource.BUILD)
        found = await images.find_local(tx, workspace.id, "agent:latest")
        assert found is not None and found.id == new.id
        await images.set_status(tx, new, ImageStatus.FAILED)
        found = await images.find_local(tx, workspace.id, "agent:latest")
        assert found is not None and found.id == old.id
        assert await images.find_local(tx, "another workspace", "agent:latest") is None


async def test_an_image_replaced_by_a_newer_one_is_unused_until_a_version_runs_it(
    store: Store, workspace: Workspace
) -> None:
    async with store.write() as tx:
        old = await images.insert(tx, workspace.id, "agent:latest", ImageSource.BUILD)
        new = await images.insert(tx, workspace.id, "agent:latest", ImageSource.BUILD)
        for image in (old, new):
            await images.set_status(tx, image, ImageStatus.READY)
        assert [image.id for image in await images.unused(tx)] == [old.id]
        runtime = await runtimes.insert(tx, workspace.id, "a", "", {})
        await versions.insert(tx, Version(runtime.id, 1, RuntimeConfig(), old.id, leases.now()))
        assert await images.unused(tx) == []


async def test_deleting_a_runtime_takes_all_that_belongs_to_it(store: Store, workspace: Workspace) -> None:
    async with store.write() as tx:
        image = await images.insert(tx, workspace.id, "agent:latest", ImageSource.BUILD)
        runtime = await runtimes.insert(tx, workspace.id, "a", "", {})
        await versions.insert(tx, Version(runtime.id, 1, RuntimeConfig(), image.id, leases.now()))
        replica_id = await replicas.insert(tx, runtime.id, 1, 1)
        await events.record(tx, runtime.id, "x", "happened")
    async with store.write() as tx:
        await runtimes.delete(tx, runtime.id)
    async with store.read() as tx:
        assert await replicas.get(tx, replica_id) is None
        assert await versions.get(tx, runtime.id, 1) is None
        assert await events.page(tx, runtime.id, 10, None) == ([], None)
        assert await images.get(tx, image.id) is not None


async def test_an_idempotency_key_leads_to_its_object(store: Store, workspace: Workspace) -> None:
    async with store.write() as tx:
        await idempotency.remember(tx, workspace.id, "key", "fingerprint", "object")
    async with store.read() as tx:
        assert await idempotency.find(tx, workspace.id, "key") == ("fingerprint", "object")
        assert await idempotency.find(tx, "another", "key") is None


WRITER = """
import asyncio, sys
from roost_server.store import runtimes
from roost_server.store.store import open_store

async def main():
    store = open_store(sys.argv[1])
    for n in range(100_000):
        async with store.write() as tx:
            await runtimes.insert(tx, sys.argv[2], f"r{n}", "", {})
        print(n, flush=True)

asyncio.run(main())
"""


def killed_writer(database_url: str, workspace_id: str) -> list[int]:
    """Run the writer, kill it in the middle; the numbers it acknowledged."""
    command = [sys.executable, "-c", WRITER, database_url, workspace_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(50)]
        os.kill(writer.pid, signal.SIGKILL)
        return acknowledged + [int(line) for line in writer.stdout.read().split()]


async def test_kill_9_loses_nothing_that_was_acknowledged(
    store: Store, workspace: Workspace, database_url: str
) -> None:
    acknowledged = await asyncio.to_thread(killed_writer, database_url, workspace.id)
    async with store.read() as tx:
        names = {runtime.name for runtime in await runtimes.everything(tx)}
    assert {f"r{n}" for n in acknowledged} <= names
    assert len(names) <= len(acknowledged) + 1


async def test_what_an_agent_wrote_is_kept_whatever_bytes_it_holds(store: Store, workspace: Workspace) -> None:
    async with store.write() as tx:
        runtime = await runtimes.insert(tx, workspace.id, "a", "", {})
        await events.record(tx, runtime.id, "x", "a\0b\ud800c")
        kept, _ = await events.page(tx, runtime.id, 1, None)
    assert kept[0].message == "a\ufffdb\ufffdc"


async def test_what_one_store_compiled_another_runs(store: Store, database_url: str) -> None:
    statements = compiled.SHARED["compiled_cache"]
    async with store.read() as tx:
        assert await workspaces.find(tx, "org", "ws") is None
    known = set(statements)
    other = open_store(database_url)
    async with other.write() as tx:
        assert await workspaces.find(tx, "org", "ws") is None
    await other.close()
    assert known and set(statements) == known
