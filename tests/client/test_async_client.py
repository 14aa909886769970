"""The same client with `await`: it is the source of the blocking one, so one story a part is enough."""

import asyncio
from pathlib import Path

import pytest
from roost import AsyncRoost, NotFoundError, Progress, RuntimeFailed


async def test_a_runtime_lives_from_create_to_delete(async_client: AsyncRoost, name: str) -> None:
    runtime = await async_client.runtimes.create(name, "hello", labels={"story": name})
    assert runtime.status == "active"
    assert [one.id async for one in async_client.runtimes.list(label=f"story={name}")] == [runtime.id]
    assert (await runtime.exec(["echo", "hi"])).stdout == "hi\n"
    assert (await runtime.stop()).status == "stopped"
    assert (await runtime.start()).status == "active"
    config = await runtime.get_config()
    assert (await runtime.put_config(config)).version == 2
    assert [one.version async for one in runtime.list_versions()] == [2, 1]
    assert {one.version for one in await runtime.list_replicas()} == {1, 2}
    await runtime.delete()
    with pytest.raises(NotFoundError):
        await async_client.runtimes.get(name)


async def test_many_are_created_at_once(async_client: AsyncRoost, name: str) -> None:
    created = await asyncio.gather(*(async_client.runtimes.create(f"{name}-{number}") for number in range(10)))
    assert {one.status for one in created} == {"active"}


async def test_a_failure_is_raised(async_client: AsyncRoost, name: str) -> None:
    with pytest.raises(RuntimeFailed, match="exited with code 1"):
        await async_client.runtimes.create(name, env={"ROOST_SIMULATED_FAULT": "exits_at_once"})


async def test_logs_are_read_and_followed(async_client: AsyncRoost, name: str) -> None:
    runtime = await async_client.runtimes.create(name, "hello")
    lines = [line async for line in runtime.logs()]
    async for line in runtime.follow_logs(since="1h"):
        assert line == lines[0]
        break


async def test_an_image_is_built_loaded_and_removed(async_client: AsyncRoost, context: Path, name: str) -> None:
    output: list[str] = []
    sent: list[Progress] = []
    image = await async_client.images.build(context, name, on_line=output.append, on_progress=sent.append)
    assert (image.status, output[0]) == ("ready", "FROM scratch")
    assert sent
    (context / "archive.tar").write_bytes(b"an archive")
    loaded = await async_client.images.load(context / "archive.tar", f"{name}-loaded")
    assert [one.id async for one in async_client.images.list()][:2] == [loaded.id, image.id]
    await async_client.images.delete(name)
    with pytest.raises(NotFoundError):
        await async_client.images.get(name)
