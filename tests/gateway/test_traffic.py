"""What passes through a real Envoy, and how."""

import asyncio
import json

import grpc
import httpx
import pytest
import websockets
from roost_server.domain.route import Snapshot
from roost_server.gateway.envoy import EnvoyGateway
from roost_server.gateway.settings import GatewaySettings
from support import ports

from gateway import upstreams
from gateway.callers import grpc_channel
from gateway.stories import HOST, PATIENCE_SECONDS, STOPPED, eventually, leading_to, route
from gateway.upstreams import Exchange, Held, agent, echo

pytestmark = pytest.mark.slow


async def test_a_request_reaches_the_agent_as_it_was_sent(gateway, settings, client):
    async with agent(echo) as up:
        await gateway.publish(leading_to(up))
        answer = await client(f"{HOST}:{settings.http_port}").post(
            "/a//b/%2e%2e/c?x=1&y=%20", content=b"hello", headers={"x_under_score": "1", "x-request-id": "mine"}
        )
    seen = answer.json()
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/a//b/%2e%2e/c?x=1&y=%20", "hello")
    assert seen["headers"]["host"] == f"{HOST}:{settings.http_port}"
    assert seen["headers"]["x_under_score"] == "1"
    assert seen["headers"]["x-request-id"] == "mine"


async def test_the_agent_learns_who_called_and_a_request_id(gateway, client):
    async with agent(echo) as up:
        await gateway.publish(leading_to(up))
        seen = (await client(HOST).get("/", headers={"x-forwarded-for": "192.0.2.9"})).json()["headers"]
    assert seen["x-forwarded-for"].replace(" ", "") == "192.0.2.9,127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert len(seen["x-request-id"]) == 36
    assert not [name for name in seen if name.startswith("x-envoy")]


async def test_hosts_match_in_any_case_and_with_any_port(gateway, client):
    async with agent(echo) as up:
        await gateway.publish(leading_to(up))
        for host in (HOST, HOST.upper(), f"{HOST}:1234"):
            assert (await client(host).get("/")).status_code == 200


async def test_an_unknown_host_is_404_in_the_projects_envelope(gateway, client):
    await gateway.publish(Snapshot())
    answer = await client("nobody.localhost").get("/")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert answer.json() == {
        "code": 404,
        "detail": 'cannot route host "nobody.localhost": no runtime answers to it',
        "type": "not_found_error",
    }


async def test_a_stopped_runtime_is_503_with_its_reason_and_retry_after(gateway, client):
    await gateway.publish(Snapshot((route(unavailable=STOPPED),)))
    answer = await client(HOST).post("/invocations", json={"a": 1})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert answer.json() == {
        "code": 503,
        "detail": STOPPED.message,
        "type": "unavailable_error",
        "reason": "stopped",
    }


async def test_a_replica_that_nobody_listens_on_is_503(gateway, client):
    [port] = ports.free(1)
    await gateway.publish(leading_to(upstreams.Agent(port)))
    answer = await client(HOST).get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["reason"] == "unreachable"
    assert answer.headers["x-request-id"]


async def test_a_replica_that_hangs_up_is_502_and_a_post_is_not_sent_twice(gateway, client):
    async def hang_up(exchange: Exchange) -> None:
        seen.append(exchange.method)
        raise ConnectionResetError

    seen: list[str] = []
    async with agent(hang_up) as up:
        await gateway.publish(leading_to(up))
        answer = await client(HOST).post("/", content=b"once")
    assert answer.status_code == 502
    assert answer.json()["type"] == "bad_gateway_error"
    assert answer.headers["x-request-id"]
    assert seen == ["POST"]


async def test_a_dead_replica_beside_a_living_one_fails_no_request(gateway, client):
    [port] = ports.free(1)
    async with agent(echo) as living, agent(echo, port=port) as dead:
        await gateway.publish(leading_to(living, dead))
        dead.die()
        answers = [await client(HOST).request(method, "/") for method in ("GET", "POST") * 20]
    assert {answer.status_code for answer in answers} == {200}


async def test_a_get_on_a_connection_that_the_agent_just_closed_is_sent_again(gateway, client):
    async def answer_once(exchange: Exchange) -> None:
        await exchange.answer(body=b"ok")
        raise ConnectionResetError

    async with agent(answer_once) as up:
        await gateway.publish(leading_to(up))
        caller = client(HOST)
        assert {(await caller.get("/")).status_code for _ in range(100)} == {200}


async def test_a_lone_replica_that_comes_back_is_used_at_once(gateway, client):
    caller, [port] = client(HOST), ports.free(1)
    async with agent(echo, port=port) as up:
        await gateway.publish(leading_to(up))
    for _ in range(5):
        assert (await caller.get("/")).status_code == 503
    async with agent(echo, port=port):
        assert (await caller.get("/")).status_code == 200


async def test_requests_are_counted_by_route_for_prometheus(gateway, client):
    async with agent(echo) as up:
        await gateway.publish(leading_to(up))
        for _ in range(3):
            await client(HOST).get("/")
    assert 'envoy_cluster_upstream_rq_total{envoy_cluster_name="h1/r1/1"} 3' in await gateway.metrics()


async def test_replicas_share_the_requests(gateway, client):
    async with agent(upstreams.named("one")) as one, agent(upstreams.named("two")) as two:
        await gateway.publish(leading_to(one, two))
        caller = client(HOST)
        answers = {(await caller.get("/")).text for _ in range(50)}
    assert answers == {"one", "two"}


async def test_connections_to_an_agent_are_used_again(gateway, client):
    async with agent(echo) as up:
        await gateway.publish(leading_to(up))
        caller = client(HOST)
        for _ in range(20):
            await caller.get("/")
        assert up.connections == 1


async def test_events_arrive_one_by_one(gateway, client):
    async def events(exchange: Exchange) -> None:
        await exchange.begin(content_type="text/event-stream", transfer_encoding="chunked")
        for number in range(3):
            await exchange.chunk(b"data: %d\n\n" % number)
            await seen.acquire()
        await exchange.chunk(b"")

    seen = asyncio.Semaphore(0)
    received = []
    async with agent(events) as up:
        await gateway.publish(leading_to(up))
        async with client(HOST).stream("GET", "/") as answer:
            async for line in answer.aiter_lines():
                if line:
                    received.append(line)
                    seen.release()
    assert received == ["data: 0", "data: 1", "data: 2"]


async def test_a_chunked_body_reaches_the_agent_piece_by_piece(gateway, client):
    async def acknowledge(exchange: Exchange) -> None:
        async for piece in exchange.pieces():
            arrived.append(piece)
            more.set()
        await exchange.answer()

    async def pieces():
        for number in range(3):
            more.clear()
            yield b"piece %d" % number
            await more.wait()

    arrived: list[bytes] = []
    more = asyncio.Event()
    async with agent(acknowledge) as up:
        await gateway.publish(leading_to(up))
        assert (await client(HOST).post("/", content=pieces())).status_code == 200
    assert arrived == [b"piece 0", b"piece 1", b"piece 2"]


async def test_a_large_body_passes_both_ways(gateway, client):
    async def mirror(exchange: Exchange) -> None:
        await exchange.answer(body=await exchange.body())

    body = bytes(range(256)) * 4096 * 32
    async with agent(mirror) as up:
        await gateway.publish(leading_to(up))
        answer = await client(HOST).post("/", content=body)
    assert answer.content == body


async def test_the_agent_decides_whether_a_body_shall_be_sent(gateway, settings):
    async def refuse(exchange: Exchange) -> None:
        assert exchange.headers["expect"] == "100-continue"
        await exchange.answer(417)

    async def accept(exchange: Exchange) -> None:
        await exchange.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await exchange.answer(body=await exchange.body())

    request = f"POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n".encode()
    for answer, expected in ((refuse, b"HTTP/1.1 417"), (accept, b"HTTP/1.1 100")):
        async with agent(answer) as up:
            await gateway.publish(leading_to(up))
            reader, writer = await asyncio.open_connection("127.0.0.1", settings.http_port)
            writer.write(request)
            assert (await reader.readline()).startswith(expected)
            writer.close()


async def test_a_client_that_leaves_is_noticed_by_the_agent(gateway, client):
    held = Held()
    async with agent(held) as up:
        await gateway.publish(leading_to(up))
        call = asyncio.create_task(client(HOST).get("/"))
        await eventually(lambda: held.arrived == 1)
        call.cancel()
        await eventually(lambda: held.left == 1)


async def test_a_websocket_passes_messages_both_ways(gateway, settings):
    async def shout(socket: websockets.ServerConnection) -> None:
        async for message in socket:
            await socket.send(message.upper())

    async with websockets.serve(shout, "127.0.0.1", 0) as server:
        up = upstreams.Agent(server.sockets[0].getsockname()[1])
        await gateway.publish(leading_to(up))
        async with websockets.connect(
            f"ws://{HOST}/chat", host="127.0.0.1", port=settings.http_port, proxy=None
        ) as socket:
            for word in ("one", "two"):
                await socket.send(word)
                assert await socket.recv() == word.upper()


async def test_a_grpc_stream_passes_both_ways(gateway, settings):
    async with upstreams.grpc_agent() as up:
        await gateway.publish(leading_to(up))
        async with grpc_channel(settings) as channel:
            call = channel.stream_stream("/test.Agent/Shout")()
            for word in (b"one", b"two"):
                await call.write(word)
                assert await call.read() == word.upper()
            await call.done_writing()
            assert await call.code() == grpc.StatusCode.OK


async def test_a_grpc_caller_of_a_stopped_runtime_gets_a_grpc_status(gateway, settings):
    await gateway.publish(Snapshot((route(unavailable=STOPPED),)))
    async with grpc_channel(settings) as channel:
        call = channel.stream_stream("/test.Agent/Shout")()
        assert await call.code() == grpc.StatusCode.UNAVAILABLE
        assert json.loads(await call.details())["reason"] == "stopped"


async def test_http2_reaches_an_agent_that_speaks_http1(gateway, settings):
    async with (
        agent(echo) as up,
        httpx.AsyncClient(
            http1=False, http2=True, base_url=f"http://127.0.0.1:{settings.http_port}", timeout=PATIENCE_SECONDS
        ) as caller,
    ):
        await gateway.publish(leading_to(up))
        answer = await caller.post("/", content=b"two", headers={"host": HOST})
    assert answer.http_version == "HTTP/2"
    assert answer.json()["body"] == "two"


async def test_an_http1_client_that_asks_for_http2_is_served(gateway, client):
    async with agent(echo) as up:
        await gateway.publish(leading_to(up))
        answer = await client(HOST).get(
            "/", headers={"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMAAABkAAQ"}
        )
    assert answer.status_code == 200


async def test_what_is_not_http_is_400_in_the_projects_envelope(gateway, settings):
    await gateway.publish(Snapshot())
    reader, writer = await asyncio.open_connection("127.0.0.1", settings.http_port)
    writer.write(b"GET / HTTP/1.1\r\nno colon here\r\n\r\n")
    head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(rest)["type"] == "bad_request_error"


def test_the_gateway_satisfies_its_contract(settings: GatewaySettings):
    from roost_server.gateway.gateway import Gateway

    made: Gateway = EnvoyGateway(settings)
    assert made is not None
