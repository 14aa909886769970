"""What is counted of the requests to each version."""

import asyncio
import dataclasses
from collections.abc import Callable

import pytest
from roost_server.domain import errors
from roost_server.domain.route import Backend, Route, Snapshot
from roost_server.domain.traffic import Counts, Key
from roost_server.gateway.counting import Numbers, by_version, key_of, parse_durations, parse_numbers
from roost_server.gateway.envoy import EnvoyGateway
from support import ports, waiting

from gateway.callers import grpc_channel
from gateway.stories import HOST, STOPPED, backend, eventually, lone, pool
from gateway.upstreams import Exchange, Held, agent, echo, grpc_agent

ENDPOINT = "0192f0c4-0000-7000-8000-000000000001"
PORT_HOST = "9000.localhost"


def test_numbers_are_read_by_cluster():
    lines = b"cluster.h1/e1/3.upstream_rq_completed: 7\ncluster.h1/e1/3.upstream_rq_5xx: 2\n"
    lines += b"cluster.h2/e1/4.upstream_rq_active: 1\ncluster.roost_xds.upstream_rq_active: 1\n"
    assert parse_numbers(lines) == {"h1/e1/3": Numbers(7, 2, 0), "h2/e1/4": Numbers(0, 0, 1)}


def test_durations_are_read_exactly_below_100_ms_and_from_the_middle_of_a_bucket_above():
    buckets = [{"lower_bound": 0, "width": 0, "count": 5}, {"lower_bound": 3, "width": 0.1, "count": 2}]
    buckets += [{"lower_bound": 51, "width": 1, "count": 1}, {"lower_bound": 1200, "width": 100, "count": 4}]
    details = [{"name": "cluster.h1/e1/3.upstream_rq_time", "totals": buckets, "intervals": []}]
    document = {"stats": [{"histograms": {"supported_percentiles": [50], "details": details}}]}
    assert parse_durations(document) == {"h1/e1/3": {0: 5, 3: 2, 51: 1, 1250: 4}}
    assert parse_durations({"stats": []}) == {}


def test_protocols_and_exposed_ports_are_summed_and_what_had_no_request_is_left_out():
    numbers = {
        f"h1/{ENDPOINT}/3": Numbers(5, 1, 0),
        f"h2/{ENDPOINT}/3": Numbers(2, 0, 1),
        f"h1/{ENDPOINT}-9000/3": Numbers(1, 1, 0),
        f"h1/{ENDPOINT}/4": Numbers(0, 0, 1),
    }
    durations = {f"h1/{ENDPOINT}/3": {1.0: 4}, f"h2/{ENDPOINT}/3": {1.0: 1, 9.0: 1}}
    assert by_version(numbers, durations) == {(ENDPOINT, 3): Counts(8, 2, {1.0: 5, 9.0: 1})}


def test_the_key_of_a_cluster_is_its_endpoint_and_version():
    assert key_of(f"h1/{ENDPOINT}-9000/12") == (ENDPOINT, 12)
    with pytest.raises(ValueError, match="h1/e1"):
        key_of("h1/e1")


async def steps(exchange: Exchange) -> None:
    """Answers as its path says."""
    await exchange.body()
    match exchange.path:
        case "/fails":
            await exchange.answer(500)
        case "/hangs-up":
            raise ConnectionResetError
        case "/takes-a-while":
            await asyncio.sleep(0.05)
            await exchange.answer()
        case _:
            await exchange.answer(404)


async def counted(gateway: EnvoyGateway, complete: Callable[[dict[Key, Counts]], bool]) -> dict[Key, Counts]:
    """What is counted once it is complete: durations come from Envoy's workers a moment later."""

    async def look() -> dict[Key, Counts] | None:
        found = await gateway.traffic()
        return found if complete(found) else None

    return await waiting.eventually(look) or {}


def timed(many: int) -> Callable[[dict[Key, Counts]], bool]:
    """So many durations were gathered."""
    return lambda found: sum(sum(each.durations.values()) for each in found.values()) == many


@pytest.mark.slow
async def test_requests_errors_and_durations_are_counted_by_version(gateway, client):
    async with agent(steps) as three, agent(steps) as four:
        pools = (pool(backend(three), version=3, weight=0, keeps=True), pool(backend(four), version=4))
        hosts = {ENDPOINT: HOST, f"{ENDPOINT}-9000": PORT_HOST}
        await gateway.publish(Snapshot(tuple(Route(name, (host,), pools) for name, host in hosts.items())))
        assert await gateway.traffic() == {}
        caller, port_caller = client(HOST), client(PORT_HOST)
        for path in ("/", "/takes-a-while", "/fails", "/hangs-up"):
            await caller.post(path)
        await port_caller.get("/hangs-up")
        await port_caller.get("/")
        found = await counted(gateway, timed(4))
    assert found.keys() == {(ENDPOINT, 4)}
    four_counts = found[ENDPOINT, 4]
    assert (four_counts.requests, four_counts.errors) == (6, 3)
    assert (four_counts.quantile(1.0) or 0) >= 50


@pytest.mark.slow
async def test_each_version_is_counted_for_itself(gateway, client):
    async with agent(echo) as three, agent(steps) as four:
        caller = client(HOST)
        for weight, path, times in ((0, "/", 3), (100, "/fails", 1)):
            pools = (
                pool(backend(three), version=3, weight=100 - weight),
                pool(backend(four), version=4, weight=weight),
            )
            await gateway.publish(Snapshot((Route(ENDPOINT, (HOST,), pools),)))
            for _ in range(times):
                await caller.get(path)
        found = await counted(gateway, timed(4))
    assert {key: (each.requests, each.errors) for key, each in found.items()} == {
        (ENDPOINT, 3): (3, 0),
        (ENDPOINT, 4): (1, 1),
    }


@pytest.mark.slow
async def test_a_request_that_was_tried_again_counts_once_and_one_that_reached_nobody_is_an_error(gateway, client):
    dead = Backend("dead", "127.0.0.1", ports.free(1)[0])
    async with agent(echo) as up:
        beside = lone("beside", (HOST,), (dead, backend(up)))
        alone = lone("alone", ("alone.localhost",), (dead,))
        draining = dataclasses.replace(dead, draining=True)
        refused = lone("refused", ("refused.localhost",), (draining,), STOPPED)
        await gateway.publish(Snapshot((beside, alone, refused)))
        caller = client(HOST)
        for method in ("GET", "POST") * 10:
            assert (await caller.request(method, "/")).status_code == 200
        for host in ("alone.localhost", "refused.localhost"):
            assert (await client(host).get("/")).status_code == 503
        found = await counted(gateway, timed(20))
    assert {key: (each.requests, each.errors) for key, each in found.items()} == {
        ("beside", 1): (20, 0),
        ("alone", 1): (1, 1),
    }


@pytest.mark.slow
async def test_grpc_calls_are_counted_and_a_client_that_leaves_is_not(gateway, settings, client):
    held = Held()
    async with grpc_agent() as up, agent(held) as other:
        away = lone("away", ("away.localhost",), (backend(other),))
        await gateway.publish(Snapshot((lone(ENDPOINT, (HOST,), (backend(up),)), away)))
        async with grpc_channel(settings) as channel:
            call = channel.stream_stream("/test.Agent/Shout")()
            await call.write(b"one")
            assert await call.read() == b"ONE"
            await call.done_writing()
            await call.code()
        leaving = asyncio.create_task(client("away.localhost").get("/"))
        await eventually(lambda: held.arrived == 1)
        leaving.cancel()
        await eventually(lambda: held.left == 1)
        found = await counted(gateway, lambda found: bool(found))
    assert {key: (each.requests, each.errors) for key, each in found.items()} == {(ENDPOINT, 1): (1, 0)}


@pytest.mark.slow
async def test_counts_grow_and_durations_of_unused_clusters_are_remembered(gateway, client):
    async with agent(echo) as up:
        routes = [lone(f"e{n}", (f"h{n}.localhost",), (backend(up),)) for n in range(3)]
        await gateway.publish(Snapshot(tuple(routes)))
        callers = [client(f"h{n}.localhost") for n in range(3)]
        for caller in callers:
            await caller.get("/")
        await counted(gateway, timed(3))
        await callers[1].get("/")
        found = await counted(gateway, timed(4))
        assert {key[0]: each.requests for key, each in found.items()} == {"e0": 1, "e1": 2, "e2": 1}
        await gateway.publish(Snapshot(tuple(routes[1:])))
        assert (await counted(gateway, lambda found: len(found) == 2)).keys() == {("e1", 1), ("e2", 1)}


@pytest.mark.slow
async def test_more_clusters_than_a_pattern_names_are_counted_too(gateway, client):
    async with agent(echo) as up:
        routes = [lone(f"e{n}", (f"h{n}.localhost",), (backend(up),)) for n in range(120)]
        await gateway.publish(Snapshot(tuple(routes)))
        caller = client("")
        for n in range(120):
            await caller.get("/", headers={"host": f"h{n}.localhost"})
        found = await counted(gateway, timed(120))
    assert {each.requests for each in found.values()} == {1} and len(found) == 120


async def test_an_envoy_that_is_not_there_is_unavailable(settings):
    with pytest.raises(errors.Unavailable):
        await EnvoyGateway(settings).traffic()
