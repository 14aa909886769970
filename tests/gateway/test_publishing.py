"""Publishing: what it means when `publish` returns, draining, and counting requests under way."""

import asyncio
import dataclasses
import os
import signal
from typing import Any

import pytest
import websockets
from roost_server.domain import errors
from roost_server.domain.route import Backend, Snapshot
from roost_server.gateway.envoy import EnvoyGateway

from gateway import upstreams
from gateway.stories import HOST, PATIENCE_SECONDS, STOPPED, backend, eventually, leading_to, route
from gateway.upstreams import Held, agent, echo, named

pytestmark = pytest.mark.slow


async def test_a_published_route_is_served_when_publish_returns(gateway, client):
    async with agent(named("one")) as one, agent(named("two")) as two:
        caller = client(HOST)
        for up, name in ((one, "one"), (two, "two")) * 5:
            await gateway.publish(leading_to(up))
            assert (await caller.get("/")).text == name
            await gateway.publish(Snapshot((route(unavailable=STOPPED),)))
            assert (await caller.get("/")).status_code == 503
            await gateway.publish(Snapshot())
            assert (await caller.get("/")).status_code == 404


async def test_other_routes_do_not_notice_a_change(gateway, client):
    async with agent(echo) as up, agent(echo) as other:
        stays = route(backend(other), host="other.localhost", name="r2")
        await gateway.publish(Snapshot((stays,)))
        caller = client("other.localhost")
        await caller.get("/")
        for changing in (route(backend(up)), route(backend(up, draining=True)), route()):
            await gateway.publish(Snapshot((stays, changing)))
            assert (await caller.get("/")).status_code == 200
        assert other.connections == 1


async def test_a_draining_replica_finishes_what_it_has_and_gets_nothing_new(gateway, client):
    held = Held()
    async with agent(held) as leaving, agent(named("new")) as coming:
        await gateway.publish(leading_to(leaving))
        call = asyncio.create_task(client(HOST).get("/"))
        await eventually(lambda: held.arrived == 1)
        both = (backend(leaving, "old", draining=True), backend(coming, "new"))
        await gateway.publish(Snapshot((route(*both),)))
        assert {(await client(HOST).get("/")).text for _ in range(10)} == {"new"}
        assert await gateway.in_flight() == {"old": 1}
        held.go.set()
        assert (await call).text == "held"
        assert await gateway.in_flight() == {}
    assert held.arrived == 1


async def test_a_replica_that_is_removed_while_it_answers_still_finishes(gateway, client):
    held = Held()
    async with agent(held) as up:
        await gateway.publish(leading_to(up))
        call = asyncio.create_task(client(HOST).get("/"))
        await eventually(lambda: held.arrived == 1)
        await gateway.publish(Snapshot())
        held.go.set()
        assert (await call).text == "held"


async def test_a_route_whose_only_replica_drains_says_why_it_is_unavailable(gateway, client):
    async with agent(echo) as up:
        await gateway.publish(Snapshot((route(backend(up, draining=True), unavailable=STOPPED),)))
        answer = await client(HOST).get("/")
    assert answer.json()["reason"] == "stopped"


async def test_requests_in_flight_are_counted_by_replica_over_all_its_routes(gateway, client):
    held, other = Held(), Held()
    async with agent(held) as one, agent(other) as two:
        first = route(backend(one, "one"), backend(two, "two", draining=True))
        second = route(backend(one, "one"), host="again.localhost", name="r2")
        await gateway.publish(Snapshot((first, second)))
        calls = [asyncio.create_task(client(host).get("/")) for host in (HOST, HOST, "again.localhost")]
        await eventually(lambda: held.arrived == 3)
        assert await gateway.in_flight() == {"one": 3}
        held.go.set()
        await asyncio.gather(*calls)


async def test_an_open_websocket_counts_as_a_request_in_flight(gateway, settings):
    async def listen(socket: websockets.ServerConnection) -> None:
        await socket.wait_closed()

    async with websockets.serve(listen, "127.0.0.1", 0) as server:
        await gateway.publish(leading_to(upstreams.Agent(server.sockets[0].getsockname()[1])))
        async with websockets.connect(f"ws://{HOST}/", host="127.0.0.1", port=settings.http_port, proxy=None):
            assert await gateway.in_flight() == {"replica-1": 1}


async def test_requests_cannot_be_counted_before_the_first_publish(gateway):
    with pytest.raises(errors.Unavailable):
        await gateway.in_flight()


async def test_an_envoy_that_does_not_answer_gets_the_snapshot_when_it_does(settings, client):
    first, gateway = EnvoyGateway(settings), EnvoyGateway(dataclasses.replace(settings, confirm_seconds=0.2))
    await first.start()
    await first.publish(Snapshot())
    await first.close()
    await gateway.start()
    try:
        os.kill(gateway.pid, signal.SIGSTOP)
        with pytest.raises(errors.Unavailable):
            await gateway.publish(Snapshot((route(unavailable=STOPPED),)))
        os.kill(gateway.pid, signal.SIGCONT)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await client(HOST).get("/")).status_code == 404:
                pass
    finally:
        await gateway.close(stop_traffic=True)


async def test_publishing_the_same_again_sends_nothing(gateway):
    async with agent(echo) as up:
        await gateway.publish(leading_to(up))
        before = await told(gateway)
        await gateway.publish(leading_to(up))
        assert await told(gateway) == before


async def test_only_what_changed_is_sent(gateway):
    async with agent(echo) as up, agent(echo) as other:
        routes = [route(backend(up), host=f"h{n}.localhost", name=f"r{n}") for n in range(50)]
        await gateway.publish(Snapshot(tuple(routes)))
        before = await told(gateway)
        routes[7] = route(backend(other), host="h7.localhost", name="r7")
        await gateway.publish(Snapshot(tuple(routes)))
        after = await told(gateway)
    changed = {key for key in after if after[key] != before[key]}
    assert changed == {("endpoint_config", "h1/r7/1"), ("endpoint_config", "h2/r7/1")}


async def test_a_route_that_envoy_would_refuse_harms_no_other(gateway, client):
    async with agent(echo) as up:
        bad = (
            route(backend(up), host=HOST, name="same-host"),
            route(backend(up), host="*", name="everything"),
            route(backend(up), host="not a host", name="spaces"),
            route(Backend("r", "no-address", 80), host="name.localhost", name="name"),
        )
        await gateway.publish(Snapshot((*leading_to(up).routes, *bad)))
        assert (await client(HOST).get("/")).status_code == 200
        assert (await client("name.localhost").get("/")).status_code == 503
        assert (await client("other.localhost").get("/")).status_code == 404


async def told(gateway: EnvoyGateway) -> dict[tuple[str, str], Any]:
    """What Envoy holds, with the times at which it changed, by kind and name."""
    dump = await gateway.admin.configuration()
    groups = [group for section in dump["configs"] for group in section.values() if isinstance(group, list)]
    found = {}
    for kind in ("cluster", "endpoint_config", "route_config"):
        found.update({(kind, name_of(each[kind])): each for group in groups for each in group if kind in each})
    return found


def name_of(body: dict[str, Any]) -> str:
    return str(body.get("cluster_name") or body["name"])
