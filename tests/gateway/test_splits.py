"""Traffic that several versions share: weights, sessions that stay, and moving from one version to another."""

import asyncio
import dataclasses
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from roost_server.domain.route import Pool, Route, Snapshot

from gateway.callers import progress, steady_traffic
from gateway.stories import HOST, STOPPED, backend, eventually, pool
from gateway.test_publishing import told
from gateway.upstreams import Agent, Held, agent, echo, named

pytestmark = pytest.mark.slow

PORT_HOST = "9000.localhost"
NAMES = ("x-roost-session-id", "x-greennode-agentbase-session-id")
SESSIONS = [f"session-{n}" for n in range(30)]


@asynccontextmanager
async def two_versions() -> AsyncIterator[dict[int, Agent]]:
    """Agents that answer with their version, 3 and 4."""
    async with agent(named("3")) as three, agent(named("4")) as four:
        yield {3: three, 4: four}


def split(endpoint: str, agents: dict[int, Agent], weights: dict[int, int], keeps: frozenset[int] = frozenset()):
    """The endpoint with its exposed port."""
    pools = tuple(
        pool(backend(up, f"replica-{version}"), version=version, weight=weights[version], keeps=version in keeps)
        for version, up in agents.items()
        if version in weights
    )
    hosts = {endpoint: HOST, f"{endpoint}-9000": PORT_HOST}
    return Snapshot(tuple(Route(name, (host,), pools, unavailable=STOPPED) for name, host in hosts.items()))


STEPS = ({3: 95, 4: 5}, {3: 75, 4: 25}, {3: 50, 4: 50}, {3: 0, 4: 100})
"""A new version takes over; at the end the old one only keeps its sessions."""


async def version_of(caller: httpx.AsyncClient, session: str, name: str = NAMES[0]) -> str:
    """Over a connection of its own, which any worker may take."""
    answer = await caller.get("/", headers={name: session, "connection": "close"})
    assert answer.status_code == 200
    return answer.text


async def test_requests_are_shared_by_weight(gateway, client):
    async with two_versions() as agents:
        await gateway.publish(split("e1", agents, {3: 75, 4: 25}))
        caller = client(HOST)
        counted = Counter([(await caller.request(method, "/")).text for method in ("GET", "POST") * 200])
    assert 60 <= counted["4"] <= 140
    assert counted.total() == counted["3"] + counted["4"] == 400


async def test_new_sessions_are_shared_by_weight(start, settings, endpoint, client):
    gateway = await start(settings)
    async with two_versions() as agents:
        await gateway.publish(split(endpoint, agents, {3: 75, 4: 25}))
        caller = client(HOST)
        counted = Counter([await version_of(caller, f"visitor-{n}") for n in range(400)])
    assert 60 <= counted["4"] <= 140


async def test_a_version_without_a_ready_replica_gets_no_share(gateway, client):
    caller = client(HOST)
    async with two_versions() as agents:
        gone = Pool(4, 50, (backend(agents[4], "replica-4", draining=True),))
        route = split("e1", agents, {3: 50}).routes[0]
        await gateway.publish(Snapshot((dataclasses.replace(route, pools=(*route.pools, gone)),)))
        assert {(await caller.get("/")).text for _ in range(50)} == {"3"}
        await gateway.publish(Snapshot((dataclasses.replace(route, pools=(gone,)),)))
        assert (await caller.get("/")).json()["reason"] == "stopped"


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_session_never_changes_its_version_while_the_weights_move(start, settings, endpoint, client, workers):
    gateway = await start(dataclasses.replace(settings, workers=workers))
    caller = client(HOST)
    began: dict[str, str] = {}
    async with two_versions() as agents:
        for number, weights in enumerate(STEPS):
            await gateway.publish(split(endpoint, agents, weights, frozenset({3})))
            for session in [*began, *(f"{number}-{each}" for each in SESSIONS)]:
                for name in NAMES:
                    seen = await version_of(caller, session, name)
                    assert (session, seen) == (session, began.setdefault(session, seen))
    assert {began[f"0-{each}"] for each in SESSIONS} >= {"3"}
    assert {began[f"3-{each}"] for each in SESSIONS} == {"4"}


async def test_sessions_that_are_known_stay_while_the_server_is_away_and_after(start, settings, endpoint, client):
    gateway = await start(settings)
    caller = client(HOST)
    async with two_versions() as agents:
        await gateway.publish(split(endpoint, agents, {3: 90, 4: 10}))
        began = {session: await version_of(caller, session) for session in SESSIONS}
        await gateway.publish(split(endpoint, agents, {3: 10, 4: 90}))
        await gateway.close()
        assert {session: await version_of(caller, session) for session in SESSIONS} == began
        again = await start(settings)
        await again.publish(split(endpoint, agents, {3: 1, 4: 99}))
        assert {session: await version_of(caller, session) for session in SESSIONS} == began


async def test_another_envoy_is_told_what_is_remembered(start, settings, endpoint, client):
    async with two_versions() as agents:
        gateway = await start(settings)
        caller = client(HOST)
        await gateway.publish(split(endpoint, agents, {3: 90, 4: 10}))
        began = {session: await version_of(caller, session) for session in SESSIONS}
        await gateway.close(stop_traffic=True)
        again = await start(settings)
        await again.publish(split(endpoint, agents, {3: 10, 4: 90}))
        assert {session: await version_of(caller, session) for session in SESSIONS} == began


async def test_sessions_move_when_their_version_goes_and_do_not_come_back(start, settings, endpoint, client):
    gateway = await start(settings)
    caller = client(HOST)
    async with two_versions() as agents, agent(named("5")) as five:
        agents[5] = five
        await gateway.publish(split(endpoint, agents, {3: 100, 4: 0}, frozenset({4})))
        assert {await version_of(caller, session) for session in SESSIONS} == {"3"}
        await gateway.publish(split(endpoint, agents, {4: 50, 5: 50}))
        moved = {session: await version_of(caller, session) for session in SESSIONS}
        assert set(moved.values()) == {"4", "5"}
        await gateway.publish(split(endpoint, agents, {3: 98, 4: 1, 5: 1}))
        assert {session: await version_of(caller, session) for session in SESSIONS} == moved


async def test_kept_sessions_are_served_while_the_new_version_is_not(start, settings, endpoint, client):
    gateway = await start(settings)
    caller = client(HOST)
    async with two_versions() as agents:
        await gateway.publish(split(endpoint, agents, {3: 100, 4: 0}, frozenset({4})))
        assert await version_of(caller, "old") == "3"
        await gateway.publish(split(endpoint, agents, {3: 0}, frozenset({3})))
        assert await version_of(caller, "old") == "3"
        for headers in ({}, {NAMES[0]: "new"}):
            assert (await caller.get("/", headers=headers)).json()["reason"] == "stopped"


async def test_exposed_ports_share_the_sessions_of_their_endpoint(start, settings, endpoint, client):
    gateway = await start(settings)
    async with two_versions() as agents:
        await gateway.publish(split(endpoint, agents, {3: 50, 4: 50}))
        caller, port_caller = client(HOST), client(PORT_HOST)
        began = {session: await version_of(caller, session) for session in SESSIONS}
        await gateway.publish(split(endpoint, agents, {3: 1, 4: 99}))
        assert {session: await version_of(port_caller, session) for session in SESSIONS} == began


@pytest.mark.parametrize("session", [{}, {NAMES[0]: "s"}])
async def test_a_forged_version_steers_nothing_and_reaches_no_agent(gateway, client, session):
    caller = client(HOST)
    async with agent(echo) as three, agent(named("4")) as four:
        await gateway.publish(split("e1", {3: three, 4: four}, {3: 100, 4: 0}, frozenset({4})))
        for forged in ("4", "3", "9", ""):
            seen = (await caller.get("/", headers={"x-roost-version": forged, **session})).json()["headers"]
            assert "x-roost-version" not in seen
        await gateway.publish(split("e1", {3: three}, {3: 100}))
        seen = (await caller.get("/", headers={"x-roost-version": "4", **session})).json()["headers"]
        assert "x-roost-version" not in seen


async def test_requests_in_flight_finish_on_the_version_that_lost_the_traffic(gateway, client):
    held, caller = Held(), client(HOST)
    async with agent(held) as old, agent(named("4")) as new:
        await gateway.publish(split("e1", {3: old}, {3: 100}))
        call = asyncio.create_task(client(HOST).get("/"))
        await eventually(lambda: held.arrived == 1)
        await gateway.publish(split("e1", {3: old, 4: new}, {3: 0, 4: 100}))
        assert {(await caller.get("/")).text for _ in range(20)} == {"4"}
        assert await gateway.in_flight() == {"replica-3": 1}
        held.go.set()
        assert (await call).text == "held"
        await gateway.publish(split("e1", {4: new}, {4: 100}))
    assert held.arrived == 1


async def test_going_back_and_forth_under_load_fails_no_request(gateway, settings):
    ways = ({3: 100, 4: 0}, {3: 0, 4: 100}, {3: 50, 4: 50}, {4: 100}, {3: 100})
    async with two_versions() as agents:
        await gateway.publish(split("e1", agents, ways[0]))
        async with steady_traffic(settings) as answers:
            for weights in ways * 4:
                await gateway.publish(split("e1", agents, weights, frozenset({3})))
                await progress(answers)
    assert set(answers) == {200}


async def test_a_version_that_leaves_with_all_its_replicas_serves_until_the_routes_lead_to_another(gateway, settings):
    async with two_versions() as agents:
        coming = {version: backend(up, f"replica-{version}") for version, up in agents.items()}
        leaving = {version: dataclasses.replace(each, draining=True) for version, each in coming.items()}
        await gateway.publish(split("e1", agents, {3: 0, 4: 100}))
        async with steady_traffic(settings) as answers:
            for to, other in ((3, 4), (4, 3)) * 20:
                pools = (pool(coming[to], version=to), pool(leaving[other], version=other, weight=0))
                await gateway.publish(Snapshot((Route("e1", (HOST,), pools, unavailable=STOPPED),)))
                await progress(answers)
    assert set(answers) == {200}


async def test_only_the_routes_change_when_traffic_moves_to_a_version_that_is_there(gateway, client):
    async with two_versions() as agents:
        await gateway.publish(split("e1", agents, {3: 100, 4: 0}))
        before = await told(gateway)
        await gateway.publish(split("e1", agents, {3: 0, 4: 100}))
        after = await told(gateway)
        assert (await client(HOST).get("/")).text == "4"
    assert {key for key in after if after[key] != before.get(key)} == {("route_config", "roost")}


@pytest.mark.parametrize("kind", ["session", "user"])
@pytest.mark.parametrize("given", [0, 1])
async def test_session_and_user_are_told_under_both_names(gateway, client, kind, given):
    names = (f"x-roost-{kind}-id", f"x-greennode-agentbase-{kind}-id")
    async with agent(echo) as up:
        await gateway.publish(split("e1", {3: up}, {3: 100}))
        seen = (await client(HOST).get("/", headers={names[given]: "mine"})).json()["headers"]
        assert [seen[name] for name in names] == ["mine", "mine"]
        both = dict(zip(names, ("one", "two"), strict=True))
        seen = (await client(HOST).get("/", headers=both)).json()["headers"]
        assert [seen[name] for name in names] == ["one", "two"]
        seen = (await client(HOST).get("/")).json()["headers"]
        assert not [name for name in seen if name.endswith(f"-{kind}-id")]
