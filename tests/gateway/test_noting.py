"""Sessions that began while one version served alone: they stay with it when another one gets a share."""

import asyncio
import dataclasses

import pytest
from roost_server.gateway.envoy import EnvoyGateway
from roost_server.gateway.sessions import ByHash
from roost_server.operations.sessions import Sessions

from gateway.stories import HOST, eventually
from gateway.test_splits import NAMES, PORT_HOST, SESSIONS, STEPS, split, two_versions, version_of

pytestmark = pytest.mark.slow

ALONE, MOSTLY_NEW = {3: 100}, {3: 1, 4: 99}
KEPT = frozenset({3})


async def versions_of(caller, sessions=SESSIONS) -> set[str]:
    return {await version_of(caller, session) for session in sessions}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", NAMES)
async def test_they_stay_at_whichever_worker_they_arrive(start, settings, sessions, endpoint, client, workers, name):
    gateway = await start(dataclasses.replace(settings, workers=workers))
    caller = client(HOST)
    async with two_versions() as agents:
        await gateway.publish(split(endpoint, agents, ALONE))
        for session in SESSIONS:
            assert await version_of(caller, session, name) == "3"
        await eventually(lambda: {session for _, session, _ in sessions.told} == set(SESSIONS))
        for weights in STEPS:
            await gateway.publish(split(endpoint, agents, weights, KEPT))
            for session in SESSIONS * 4:
                assert (weights, session, await version_of(caller, session)) == (weights, session, "3")
        assert await versions_of(caller, [f"new-{session}" for session in SESSIONS]) == {"4"}


async def test_they_stay_when_the_server_was_started_anew_in_between(start, settings, store, endpoint, client):
    gateway = await start(settings)
    caller = client(HOST)
    async with two_versions() as agents:
        await gateway.publish(split(endpoint, agents, ALONE))
        assert await versions_of(caller) == {"3"}
        await gateway.close()
        again = EnvoyGateway(settings, Sessions(store))
        await again.start()
        try:
            await again.publish(split(endpoint, agents, MOSTLY_NEW))
            assert await versions_of(caller) == {"3"}
        finally:
            await again.close()


async def test_they_stay_when_no_server_was_there_to_be_told(start, settings, sessions, endpoint, client):
    gateway = await start(settings)
    caller = client(HOST)
    async with two_versions() as agents:
        await gateway.publish(split(endpoint, agents, ALONE))
        await gateway.close()
        assert await versions_of(caller) == {"3"}
        assert sessions.told == []
        again = await start(settings)
        await again.publish(split(endpoint, agents, MOSTLY_NEW))
        assert await versions_of(caller) == {"3"}


async def test_the_server_is_told_once_and_another_envoy_learns_it_from_there(
    start, settings, sessions, endpoint, client
):
    gateway = await start(settings)
    caller = client(HOST)
    async with two_versions() as agents:
        await gateway.publish(split(endpoint, agents, ALONE))
        for _ in range(3):
            assert await versions_of(caller) == {"3"}
        await eventually(lambda: len(sessions.told) == len(SESSIONS))
        await gateway.close(stop_traffic=True)
        again = await start(settings)
        await again.publish(split(endpoint, agents, MOSTLY_NEW))
        assert await versions_of(caller) == {"3"}
    assert sorted(sessions.told) == sorted((endpoint, session, 3) for session in SESSIONS)


async def test_a_server_has_more_time_to_be_told_than_to_answer(start, settings, sessions, endpoint, client):
    gateway = await start(dataclasses.replace(settings, session_patience_seconds=0.001))
    async with two_versions() as agents:
        await gateway.publish(split(endpoint, agents, ALONE))
        assert await versions_of(client(HOST)) == {"3"}
        await eventually(lambda: {session for _, session, _ in sessions.told} == set(SESSIONS))


async def test_after_an_update_they_are_with_the_new_version(start, settings, sessions, endpoint, client):
    gateway = await start(dataclasses.replace(settings, workers=2))
    caller = client(HOST)
    async with two_versions() as agents:
        for version in (3, 4):
            await gateway.publish(split(endpoint, agents, {version: 100}))
            for _ in range(4):
                assert await versions_of(caller) == {str(version)}
            await eventually(
                lambda version=version: {(endpoint, each, version) for each in SESSIONS} <= {*sessions.told}
            )
        await gateway.publish(split(endpoint, agents, {3: 99, 4: 1}))
        for _ in range(4):
            assert await versions_of(caller) == {"4"}


async def test_exposed_ports_share_them(start, settings, sessions, endpoint, client):
    gateway = await start(settings)
    async with two_versions() as agents:
        await gateway.publish(split(endpoint, agents, ALONE))
        assert await versions_of(client(PORT_HOST)) == {"3"}
        await gateway.publish(split(endpoint, agents, MOSTLY_NEW))
        assert await versions_of(client(HOST)) == {"3"}
    assert {told[0] for told in sessions.told} == {endpoint}


async def test_many_that_begin_at_once_are_noted_all(start, settings, sessions, endpoint, client):
    """More than the server is told of in a second."""
    gateway = await start(settings)
    caller, many = client(HOST), [f"visitor-{number}" for number in range(600)]
    connections = asyncio.Semaphore(80)

    async def visit(session: str) -> str:
        async with connections:
            return (await caller.get("/", headers={NAMES[0]: session})).text

    async with two_versions() as agents:
        await gateway.publish(split(endpoint, agents, ALONE))
        assert set(await asyncio.gather(*map(visit, many))) == {"3"}
        await gateway.publish(split(endpoint, agents, MOSTLY_NEW))
        assert await versions_of(caller, many[::7]) == {"3"}


class Broken(ByHash):
    """Cannot be told anything."""

    def note(self, endpoint_id: str, session: str, version: int) -> None:
        raise RuntimeError("a bug")


async def test_a_server_that_cannot_be_told_fails_no_request(settings, client):
    gateway = EnvoyGateway(settings, Broken())
    await gateway.start()
    try:
        async with two_versions() as agents:
            await gateway.publish(split("e1", agents, ALONE))
            for _ in range(3):
                assert await versions_of(client(HOST)) == {"3"}
    finally:
        await gateway.close(stop_traffic=True)
