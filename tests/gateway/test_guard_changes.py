"""Guards that change while requests run, guards beside each other, and guards on all that a route serves."""

import asyncio
import dataclasses
import ssl

import grpc
import httpx
import pytest
import websockets
from roost_server.domain.access import RateLimit
from roost_server.domain.route import OPEN, Guard, JwtCheck, Route, Snapshot
from roost_server.gateway.envoy import EnvoyGateway

from gateway import upstreams
from gateway.issuer import bearer, check, guarded, key_set, public_key, token
from gateway.stories import HOST, PATIENCE_SECONDS, backend, eventually, pool, route
from gateway.upstreams import Agent, Exchange, agent, echo, named

pytestmark = pytest.mark.slow

OTHER = "other.localhost"
FOREIGN = guarded(keys=key_set(public_key("ES256", 1)))
"""Accepts tokens that `guarded()` does not, and the other way round."""


class Streaming:
    """Begins to answer and goes on when told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.body()
        await exchange.begin(**{"transfer-encoding": "chunked"})
        await exchange.chunk(b"first ")
        await self.go.wait()
        await exchange.chunk(b"last")
        await exchange.write(b"0\r\n\r\n")


def connection(answer: httpx.Response) -> object:
    """Our end of the connection over which this came."""
    return answer.extensions["network_stream"].get_extra_info("client_addr")


async def test_the_next_request_of_an_open_connection_meets_the_new_guard(gateway, client):
    async with agent(echo) as up:
        caller = client(HOST)
        used = set()
        for guard, headers, status in (
            (OPEN, {}, 200),
            (guarded(), {}, 401),
            (guarded(), bearer(), 200),
            (FOREIGN, bearer(), 401),
            (FOREIGN, bearer("ES256", 1), 200),
            (Guard(allowed_cidrs=("10.0.0.0/8",)), {}, 403),
            (Guard(closed="cannot check tokens"), {}, 503),
            (OPEN, {}, 200),
        ):
            await gateway.publish(Snapshot((route(backend(up), guard=guard),)))
            answer = await caller.get("/", headers=headers)
            assert answer.status_code == status
            used.add(connection(answer))
        assert len(used) == 1


async def test_a_long_answer_survives_every_change_of_its_guard(gateway, client):
    streaming = Streaming()
    async with agent(streaming) as up:
        await gateway.publish(Snapshot((route(backend(up), guard=guarded()),)))
        async with client(HOST).stream("GET", "/", headers=bearer()) as answer:
            pieces = answer.aiter_raw()
            assert await anext(pieces) == b"first "
            for guard in (FOREIGN, Guard(rate_limit=RateLimit(1, 3600)), Guard(closed="cannot check tokens"), OPEN):
                await gateway.publish(Snapshot((route(backend(up), guard=guard),)))
            streaming.go.set()
            assert b"".join([piece async for piece in pieces]) == b"last"


class Callers:
    """Call without a break, each over a connection of its own, until the block ends; `answers` are the statuses."""

    def __init__(self, *callers: httpx.AsyncClient, **headers: str) -> None:
        self.answers: list[int] = []
        self.connections: set[object] = set()
        self._callers = callers
        self._headers = headers
        self._done = asyncio.Event()

    async def __aenter__(self) -> "Callers":
        self._tasks = [asyncio.create_task(self._call(each)) for each in self._callers]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._done.set()
        await asyncio.gather(*self._tasks)

    async def _call(self, caller: httpx.AsyncClient) -> None:
        while not self._done.is_set():
            answer = await caller.get("/", headers=self._headers)
            self.answers.append(answer.status_code)
            self.connections.add(connection(answer))

    async def go_on(self, requests: int = 8) -> None:
        """Return when so many more were answered."""
        there = len(self.answers)
        await eventually(lambda: len(self.answers) >= there + requests or any(task.done() for task in self._tasks))


async def test_no_request_fails_while_keys_are_rotated(gateway, client):
    stays = public_key("ES256", 0)
    async with agent(named("agent")) as up:
        await gateway.publish(Snapshot((route(backend(up), guard=guarded()),)))
        async with Callers(*(client(HOST) for _ in range(4)), **bearer()) as callers:
            for n in range(1, 21):
                keys = key_set(stays, public_key("ES256", n % 3))
                await gateway.publish(Snapshot((route(backend(up), guard=guarded(keys=keys)),)))
                await callers.go_on()
    assert set(callers.answers) == {200}


async def test_no_request_fails_while_others_guards_change(gateway, client):
    async with agent(named("agent")) as up:
        stays = route(backend(up), guard=guarded())
        await gateway.publish(Snapshot((stays,)))
        async with Callers(*(client(HOST) for _ in range(4)), **bearer()) as callers:
            for n in range(10):
                limit, keys = RateLimit(n + 1), key_set(public_key("ES256", n % 3))
                guard = dataclasses.replace(guarded(keys=keys), rate_limit=limit, allowed_cidrs=(f"10.0.0.{n}/32",))
                await gateway.publish(Snapshot((stays, route(backend(up), host=OTHER, name="r2", guard=guard))))
                await callers.go_on()
    assert set(callers.answers) == {200}
    assert len(callers.connections) == 4


async def test_the_rate_limit_is_not_forgotten_when_routes_change(gateway, client):
    async with agent(named("agent")) as up:
        limited = route(backend(up), guard=Guard(rate_limit=RateLimit(2, 3600)))
        statuses = []
        for n in range(3):
            other = route(backend(up), host=OTHER, name=f"r{n + 2}", guard=guarded())
            await gateway.publish(Snapshot((limited, other)))
            statuses.append((await client(HOST).get("/")).status_code)
    assert statuses == [200, 200, 429]


async def test_every_route_has_a_rate_limit_of_its_own(gateway, client):
    async with agent(named("agent")) as up:
        first = route(backend(up), guard=Guard(rate_limit=RateLimit(1, 3600)))
        second = route(backend(up), host=OTHER, name="r2", guard=Guard(rate_limit=RateLimit(2, 3600)))
        await gateway.publish(Snapshot((first, second)))
        assert [(await client(HOST).get("/")).status_code for _ in range(2)] == [200, 429]
        assert [(await client(OTHER).get("/")).status_code for _ in range(3)] == [200, 200, 429]


@pytest.fixture
def settings(settings):
    """Two workers: what belongs together must not be apart."""
    return dataclasses.replace(settings, workers=2)


async def test_all_workers_share_one_rate_limit(gateway, client):
    async with agent(named("agent")) as up:
        await gateway.publish(Snapshot((route(backend(up), guard=Guard(rate_limit=RateLimit(5, 3600))),)))
        answers = [(await client(HOST).get("/")).status_code for _ in range(20)]
    assert answers == [200] * 5 + [429] * 15


async def test_every_host_and_port_of_an_endpoint_is_guarded_plain_and_tls(gateway, settings, client):
    async with agent(named("agent")) as up:
        hosts = ("a.localhost", "b.localhost")
        whole = Route("r1", hosts, (pool(backend(up)),), guarded())
        exposed = Route("r1-9000", ("9000-a.localhost",), (pool(backend(up)),), guarded())
        await gateway.publish(Snapshot((whole, exposed)))
        trusted = ssl.create_default_context(cafile=str(settings.tls_dir / "ca.crt"))
        for host in (*hosts, "9000-a.localhost"):
            for headers, status in (({}, 401), (bearer(), 200)):
                assert (await client(host).get("/", headers=headers)).status_code == status
                async with httpx.AsyncClient(verify=trusted, http2=True, timeout=PATIENCE_SECONDS) as caller:
                    url, name = f"https://127.0.0.1:{settings.https_port}/", {"sni_hostname": host}
                    answer = await caller.get(url, headers={"host": host, **headers}, extensions=name)
                    assert answer.status_code == status


async def test_websockets_are_guarded(gateway, settings):
    async def greet(socket: websockets.ServerConnection) -> None:
        await socket.send(socket.request.headers["x-roost-user-id"])

    url = f"ws://{HOST}:{settings.http_port}/"
    there = {"host": "127.0.0.1", "proxy": None}
    async with websockets.serve(greet, "127.0.0.1", 0) as server:
        up = Agent(server.sockets[0].getsockname()[1])
        await gateway.publish(Snapshot((route(backend(up), guard=guarded()),)))
        async with websockets.connect(url, additional_headers=bearer(), **there) as socket:
            assert await socket.recv() == "user-1"
        with pytest.raises(websockets.InvalidStatus) as refusal:
            await websockets.connect(url, **there)
    assert refusal.value.response.status_code == 401


async def test_grpc_callers_are_told_in_their_own_way(gateway, settings):
    guard = dataclasses.replace(guarded(claims=(("role", ("a",)),)), rate_limit=RateLimit(1, 3600))
    options = [("grpc.default_authority", HOST), ("grpc.enable_http_proxy", 0)]
    async with upstreams.grpc_agent() as up:
        await gateway.publish(Snapshot((route(backend(up), guard=guard),)))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{settings.http_port}", options=options) as channel:
            for metadata, code in (
                ({}, grpc.StatusCode.UNAUTHENTICATED),
                (bearer(), grpc.StatusCode.PERMISSION_DENIED),
                (bearer(role="a"), grpc.StatusCode.OK),
                (bearer(role="a"), grpc.StatusCode.RESOURCE_EXHAUSTED),
            ):
                call = channel.unary_unary("/test.Agent/Shout")(b"word", metadata=tuple(metadata.items()))
                assert await call.code() == code


BROKEN: dict[str, Guard] = {
    "keys that are no JSON": guarded(keys="no JSON"),
    "no keys": guarded(keys='{"keys": []}'),
    "a key that is broken": guarded(keys=key_set({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"})),
    "a secret key": guarded(keys=key_set({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"})),
    "a claim without a name": guarded(claims=(("", ("a",)),)),
    "a user claim that cannot be": guarded(user_claim="a..b"),
    "a claim that is no text": guarded(claims=(("a", ("\ud800",)),)),
    "a claim larger than numbers are": guarded(claims=(("a", (10**400,)),)),
    "an address that is none": Guard(allowed_cidrs=("nowhere",)),
    "a limit of nothing": Guard(rate_limit=RateLimit(0, 0)),
}


async def test_a_guard_that_cannot_be_checked_closes_its_route_and_disturbs_no_other(gateway, client):
    async with agent(named("agent")) as up:
        good = route(backend(up), guard=guarded())
        for name, guard in BROKEN.items():
            bad = route(backend(up), host=OTHER, name="r2", guard=guard)
            await gateway.publish(Snapshot((good, bad)))
            assert (await client(HOST).get("/", headers=bearer())).status_code == 200, name
            answer = await client(OTHER).get("/", headers=bearer())
            assert (answer.status_code, answer.json()["reason"]) == (503, "keys_unavailable"), name
            assert answer.json()["detail"].startswith("cannot check"), name


async def test_a_key_that_is_broken_does_not_spoil_the_others_of_its_set(gateway, client):
    keys = key_set({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {"kty": "weird"}, public_key())
    async with agent(named("agent")) as up:
        await gateway.publish(Snapshot((route(backend(up), guard=guarded(keys=keys)),)))
        assert (await client(HOST).get("/", headers=bearer())).status_code == 200


ODD_KEYS = [
    {**public_key("RS256"), "e": "AgAAAAE"},
    {**public_key("RS256"), "n": "gA" + "A" * 340},
    {**public_key(), "kid": "\ud800"},
    {**public_key(), "kid": ""},
    {**public_key(), "kid": "k" * 100_000},
    {**public_key("RS256"), "e": "Aw"},
    {**public_key("EdDSA"), "x": "A" * 43},
]
"""Sound keys for some, and none for Envoy; or the other way round."""


async def test_keys_that_envoy_would_refuse_keep_no_change_away(gateway, client):
    async with agent(named("agent")) as up:
        for odd in ODD_KEYS:
            bad = route(backend(up), host=OTHER, name="r2", guard=guarded(keys=key_set(odd)))
            await gateway.publish(Snapshot((route(backend(up), guard=guarded()), bad)))
            assert (await client(HOST).get("/", headers=bearer())).status_code == 200


async def test_guards_hold_while_no_server_is_there_and_with_the_next_one(settings, client):
    async with agent(named("agent")) as up:
        guard = dataclasses.replace(guarded(), rate_limit=RateLimit(4, 3600))
        snapshot = Snapshot((route(backend(up), guard=guard),))
        caller, used = client(HOST), set()
        first, second = EnvoyGateway(settings), EnvoyGateway(settings)
        await first.start()
        await first.publish(snapshot)

        async def statuses() -> list[int]:
            answers = [await caller.get("/", headers=headers) for headers in ({}, bearer())]
            used.update(map(connection, answers))
            return [answer.status_code for answer in answers]

        assert await statuses() == [401, 200]
        await first.close()
        assert await statuses() == [401, 200]
        await second.start()
        try:
            await second.publish(snapshot)
            assert await statuses() == [401, 200]
            assert await statuses() == [401, 200]
            assert await statuses() == [401, 429], "the next server began the limit anew"
            assert len(used) == 1
        finally:
            await second.close(stop_traffic=True)


async def test_tokens_of_one_endpoint_are_not_good_for_another(gateway, client):
    """As tokens that Roost makes: one issuer and key for all, told apart by audience and id."""

    def own(endpoint: str, *accepted: str) -> Guard:
        return Guard(
            jwt=JwtCheck("roost", key_set(), (endpoint,), (("sid", accepted),), must_expire=False),
            drops_authorization=True,
        )

    async with agent(named("agent")) as up:
        one = route(backend(up), guard=own("one", "t1", "t2"))
        two = route(backend(up), host=OTHER, name="r2", guard=own("two", "t3"))
        await gateway.publish(Snapshot((one, two)))
        for host, audience, sid, status in (
            (HOST, "one", "t1", 200),
            (HOST, "one", "t2", 200),
            (HOST, "one", "t3", 403),
            (HOST, "two", "t3", 401),
            (OTHER, "two", "t3", 200),
            (OTHER, "two", "t1", 403),
        ):
            sent = {"authorization": f"Bearer {token(iss='roost', aud=audience, sid=sid, exp=None)}"}
            assert (await client(host).get("/", headers=sent)).status_code == status, (host, audience, sid)


async def test_what_a_token_says_is_not_believed_when_its_guard_is_gone(gateway, client):
    async with agent(echo) as up:
        await gateway.publish(Snapshot((route(backend(up), guard=Guard(jwt=check())),)))
        await gateway.publish(Snapshot((route(backend(up)),)))
        headers = (await client(HOST).get("/", headers=bearer())).json()["headers"]
    assert "x-roost-user-id" not in headers
