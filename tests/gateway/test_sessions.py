"""Where Envoy asks for a session's version, and what it does without an answer."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from roost_server.domain import errors
from roost_server.domain.route import Route, Snapshot
from roost_server.domain.sessions import choose
from roost_server.gateway.envoy import EnvoyGateway
from roost_server.gateway.sessions import ByHash, Question, SessionsServer, read, told

from gateway.stories import HOST, backend, pool
from gateway.upstreams import Agent, agent, named

SESSIONS = [f"session-{n}" for n in range(40)]
AWKWARD = [b"%&=?/ \xe9\xff", b"x" * 5000, b"3:75,4:25;", b'"', b"\xf0\x9f\x90\x93"]
WEIGHTS = {3: 60, 4: 40}


@pytest.mark.parametrize(
    ("path", "query", "question"),
    [
        ("/e1", b"weights=3:75,4:25&keeps=2", Question("e1", "s", {3: 75, 4: 25}, {2})),
        ("/e1", b"weights=3:100&keeps=", Question("e1", "s", {3: 100}, set())),
        ("/e1", b"weights=&keeps=1,2", Question("e1", "s", {}, {1, 2})),
        ("/e1", b"weights=3:75,4:25&keeps=2&guess=4", Question("e1", "s", {4: 100}, {2, 3, 4})),
    ],
)
def test_a_question_is_read(path: str, query: bytes, question: Question):
    assert read(path, query, b"s") == question


def test_what_is_told_is_read():
    weights, keeps = told({4: 25, 3: 75}, {2, 1})
    assert (weights, keeps) == ("3:75,4:25", "1,2")
    assert read("/e", f"weights={weights}&keeps={keeps}".encode(), b"s")[2:] == ({3: 75, 4: 25}, {1, 2})


class Noting(ByHash):
    def __init__(self) -> None:
        self.noted: list[object] = []

    def note(self, *told: object) -> None:
        self.noted.append(told)


async def test_what_serves_alone_is_noted_and_nothing_else_is(tmp_path):
    server = SessionsServer(tmp_path / "s.sock", noting := Noting())
    await server.start()
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "s.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://sessions") as client:
        answers = [await client.post(f"/e1?{query}", content=b"s") for query in ("serves=2", "serves=x", "weights=3:1")]
    await server.close()
    assert [answer.status_code for answer in answers] == [200, 503, 200]
    assert noting.noted == [("e1", "s", 2)]


async def test_what_was_only_begun_is_not_noted(tmp_path):
    server = SessionsServer(tmp_path / "s.sock", noting := Noting())
    await server.start()
    _, begun = await asyncio.open_unix_connection(tmp_path / "s.sock")
    begun.write(b"POST /e1?serves=1 HTTP/1.1\r\nhost: sessions\r\ncontent-length: 9\r\n\r\nhalf")
    begun.close()
    await begun.wait_closed()
    await server.close()
    assert noting.noted == []


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    server = SessionsServer(tmp_path / "s.sock", ByHash())
    await server.start()
    transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "s.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://sessions") as client:
        yield client
    await server.close()
    await server.close()


async def test_a_question_is_answered_with_a_version(asking):
    answer = await asking.post("/e1?weights=3:60,4:40&keeps=", content=b"session-1")
    assert (answer.status_code, answer.text) == (200, str(choose("session-1", WEIGHTS)))


@pytest.mark.parametrize("query", ["", "weights=&keeps=", "weights=x:y", "weights=3&keeps=-"])
async def test_a_question_that_has_no_answer_is_503(asking, query):
    assert (await asking.post(f"/e1?{query}", content=b"s")).status_code == 503


async def test_the_socket_is_for_the_owner_alone_and_replaces_one_that_is_left(tmp_path):
    path = tmp_path / "s.sock"
    path.touch()
    server = SessionsServer(path, ByHash())
    await server.start()
    assert path.is_socket()
    assert path.stat().st_mode & 0o077 == 0
    await server.close()


async def test_a_socket_that_cannot_be_is_an_error(tmp_path):
    with pytest.raises(OSError, match="path"):
        await SessionsServer(tmp_path / ("x" * 120), ByHash()).start()


def halves(one: Agent, two: Agent) -> Snapshot:
    pools = (pool(backend(one, "three"), version=3, weight=60), pool(backend(two, "four"), version=4, weight=40))
    return Snapshot((Route("r1", (HOST,), pools),))


@pytest.mark.slow
async def test_envoy_decides_by_the_same_hash_while_no_server_answers(gateway, client):
    async with agent(named("3")) as three, agent(named("4")) as four:
        await gateway.publish(halves(three, four))
        await gateway.close()
        caller = client(HOST)
        for session in [*(each.encode() for each in SESSIONS), *AWKWARD]:
            expected = str(choose(session.decode("latin-1"), WEIGHTS))
            for _ in range(2):
                answer = await caller.get("/", headers={"x-roost-session-id": session})
                assert (session, answer.text) == (session, expected)


class Answering(ByHash):
    """Assigns as it is told to."""

    def __init__(self, assign: Callable[..., Awaitable[int]]) -> None:
        self.assign = assign  # type: ignore[method-assign]


async def unavailable(*_: object) -> int:
    raise errors.Unavailable("cannot use the database now; try again")


async def broken(*_: object) -> int:
    raise RuntimeError("a bug")


async def unknown(*_: object) -> int:
    return 99


async def silent(*_: object) -> int:
    await asyncio.Event().wait()
    return 3


@pytest.mark.slow
@pytest.mark.parametrize("assign", [unavailable, broken, unknown, silent])
async def test_a_server_that_has_no_good_answer_fails_no_request(settings, client, assign):
    gateway = EnvoyGateway(dataclasses.replace(settings, session_patience_seconds=0.25), Answering(assign))
    await gateway.start()
    try:
        async with agent(named("3")) as three, agent(named("4")) as four:
            await gateway.publish(halves(three, four))
            for session in SESSIONS[:3]:
                answers = [await client(HOST).post("/", headers={"x-roost-session-id": session}) for _ in range(2)]
                assert [each.text for each in answers] == [str(choose(session, WEIGHTS))] * 2
    finally:
        await gateway.close(stop_traffic=True)


@pytest.mark.slow
async def test_a_large_body_waits_for_the_answer(settings, client):
    async def slow(endpoint_id: str, session: str, weights: dict[int, int], keeps: set[int]) -> int:
        arrived.set()
        await go.wait()
        return await ByHash().assign(endpoint_id, session, weights, keeps)

    arrived, go = asyncio.Event(), asyncio.Event()
    gateway = EnvoyGateway(settings, Answering(slow))
    await gateway.start()
    try:
        async with agent(named("3")) as three, agent(named("4")) as four:
            await gateway.publish(halves(three, four))
            body = b"x" * (16 << 20)
            call = asyncio.create_task(client(HOST).post("/", content=body, headers={"x-roost-session-id": "s"}))
            await arrived.wait()
            go.set()
            assert (await call).status_code == 200
    finally:
        await gateway.close(stop_traffic=True)


@pytest.mark.slow
async def test_what_was_decided_alone_counts_once_the_server_is_back(gateway, settings, client):
    """Meanwhile the weights moved: without the guess the server would decide otherwise."""
    async with agent(named("3")) as three, agent(named("4")) as four:
        await gateway.publish(halves(three, four))
        await gateway.close()
        session = next(each for each in SESSIONS if choose(each, WEIGHTS) == 3)
        caller = client(HOST)
        assert (await caller.get("/", headers={"x-roost-session-id": session})).text == "3"
        again = EnvoyGateway(settings)
        await again.start()
        try:
            before = halves(three, four).routes[0]
            pools = tuple(dataclasses.replace(each, weight={3: 1, 4: 99}[each.version]) for each in before.pools)
            await again.publish(Snapshot((dataclasses.replace(before, pools=pools),)))
            assert choose(session, {3: 1, 4: 99}) == 4
            assert (await caller.get("/", headers={"x-roost-session-id": session})).text == "3"
        finally:
            await again.close(stop_traffic=True)
