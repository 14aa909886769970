"""Who a real Envoy lets through, and what it answers to the others."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import httpx
import pytest
from roost_server.domain.access import RateLimit
from roost_server.domain.guards import NO_KEYS_YET
from roost_server.domain.route import OPEN, Guard, Snapshot

from gateway.issuer import AUDIENCE, bearer, guarded, key_set, public_key, token
from gateway.stories import HOST, STOPPED, backend, route
from gateway.upstreams import Exchange, agent

pytestmark = pytest.mark.slow

ALGORITHMS = [f"{family}{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512)] + ["EdDSA"]
USER, SAME_USER = "x-roost-user-id", "x-greennode-agentbase-user-id"

Headers = Mapping[str, str] | list[tuple[str, str]]
Call = Callable[..., Awaitable[httpx.Response]]


async def tell(exchange: Exchange) -> None:
    """Answers with the headers as they came, and their names."""
    await exchange.body()
    await exchange.answer(body=json.dumps(exchange.fields).encode())


@pytest.fixture
async def call(gateway, client) -> AsyncIterator[Call]:
    """Publishes a guard and calls what it guards, always over one connection."""
    caller = client(HOST)
    async with agent(tell) as up:

        async def publish_and_get(guard: Guard, headers: Headers = (), path: str = "/") -> httpx.Response:
            await gateway.publish(Snapshot((route(backend(up), guard=guard),)))
            return await caller.get(path, headers=headers)

        yield publish_and_get


def refused(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, reason and detail of a refusal, which has the project's envelope."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    body = answer.json()
    assert body["code"] == answer.status_code
    return answer.status_code, body["reason"], body["detail"]


def seen(answer: httpx.Response, name: str) -> list[str]:
    """What the agent got under this name."""
    assert answer.status_code == 200, answer.text
    return [value for key, value in answer.json() if key == name]


async def test_a_valid_token_of_any_algorithm_passes(call):
    guard = guarded(keys=key_set(*map(public_key, ALGORITHMS)))
    for algorithm in ALGORITHMS:
        assert (await call(guard, bearer(algorithm))).status_code == 200, algorithm


@pytest.mark.parametrize(
    "guard",
    [guarded(issuer=None), guarded(audiences=()), guarded(audiences=("other", AUDIENCE)), guarded(keys=key_set())],
    ids=["any issuer", "any audience", "one of several audiences", "the usual"],
)
async def test_what_is_not_demanded_may_be_anything(call, guard):
    assert (await call(guard, bearer())).status_code == 200
    assert (await call(guard, bearer(aud=[AUDIENCE, "more"]))).status_code == 200


def bad_tokens() -> dict[str, tuple[Headers, str]]:
    """What is sent, and what is answered to it."""
    return {
        "none": ({}, "it has no token"),
        "another scheme": ({"authorization": "Basic abc"}, "it has no token"),
        "another header": ({"x-api-key": token()}, "it has no token"),
        "expired": (bearer(expires_in=-3600), "its token has expired"),
        "without an end": (bearer(exp=None), "it has no `exp`"),
        "not valid yet": (bearer(nbf=int(time.time()) + 3600), "its token is not valid yet"),
        "another issuer": (bearer(iss="https://evil.example"), "its token is of another issuer"),
        "no issuer": (bearer(iss=None), "its token is of another issuer"),
        "another audience": (bearer(aud="other"), "its token is for another audience"),
        "no audience": (bearer(aud=None), "its token is for another audience"),
        "an unknown key": (bearer("ES256", 1), "its token is signed with an unknown key"),
        "an unknown algorithm": (bearer("RS256"), "its token is signed with an unknown key"),
        "a foreign signature": (
            {"authorization": f"Bearer {token().rpartition('.')[0]}.{token('ES256', 1).rpartition('.')[2]}"},
            "its token's signature is wrong",
        ),
        "no signature": (
            {"authorization": f"Bearer eyJhbGciOiJub25lIn0.{token().split('.')[1]}."},
            "its token cannot be read",
        ),
        "no token at all": ({"authorization": "Bearer abc"}, "its token cannot be read"),
        "two tokens": ([("authorization", f"Bearer {token()}")] * 2, "its token cannot be read"),
        "two schemes": ({"authorization": f"Basic abc, Bearer {token()}"}, "its token is not alone"),
        "a scheme before": ({"authorization": f"Basic abc Bearer {token()}"}, "its token is not alone"),
        "a token before": ({"authorization": f"BEARER {token('ES256', 1)} Bearer {token()}"}, "its token is not alone"),
        "a word before": ({"authorization": f"xBearer {token()}"}, "its token is not alone"),
    }


async def test_without_a_good_token_nobody_passes_and_is_told_why(call):
    for name, (headers, why) in bad_tokens().items():
        answer = await call(guarded(), headers)
        status, reason, detail = refused(answer)
        assert (status, reason) == (401, "unauthenticated"), name
        assert why in detail, name
        assert answer.headers.get_list("www-authenticate") == [
            'Bearer realm="roost"' + ("" if "no token" in why else ', error="invalid_token"')
        ]


async def test_a_token_that_never_ends_passes_where_its_row_can_end_it(call):
    for endless in (bearer(exp=None), bearer()):
        assert (await call(guarded(must_expire=False), endless)).status_code == 200
    assert refused(await call(guarded(must_expire=False), bearer(expires_in=-3600)))[0] == 401


async def test_a_token_in_the_query_is_not_accepted_and_not_repeated(call):
    answer = await call(guarded(), path=f"/?access_token={token()}")
    assert refused(answer)[0] == 401
    assert "access_token" not in str(answer.headers) + answer.text


async def test_the_scheme_is_the_same_in_lower_case(call):
    for scheme in ("bearer ", "Bearer  "):
        assert (await call(guarded(), {"authorization": f"{scheme}{token()}"})).status_code == 200


CLAIMS: list[tuple[str, tuple[Any, ...], dict[str, Any], bool]] = [
    ("role", ("admin",), {"role": "admin"}, True),
    ("role", ("admin", "owner"), {"role": "owner"}, True),
    ("role", ("admin",), {"role": ["guest", "admin"]}, True),
    ("role", ("admin",), {"role": "guest"}, False),
    ("role", ("admin",), {"role": ["guest"]}, False),
    ("role", ("admin",), {"role": []}, False),
    ("role", ("admin",), {"role": {"admin": True}}, False),
    ("role", ("admin",), {"role": "administrator"}, False),
    ("role", ("admin",), {}, False),
    ("verified", (True,), {"verified": True}, True),
    ("verified", (True,), {"verified": False}, False),
    ("verified", (True,), {"verified": "true"}, False),
    ("verified", (True,), {"verified": 1}, False),
    ("level", (1, 2), {"level": 2}, True),
    ("level", (1, 2), {"level": [5, 1]}, True),
    ("level", (1, 2), {"level": 3}, False),
    ("level", (1,), {"level": "1"}, False),
    ("level", (1,), {"level": True}, False),
    ("org.team.id", ("a",), {"org": {"team": {"id": "a"}}}, True),
    ("org.team.id", ("a",), {"org": {"team": {"id": ["b", "a"]}}}, True),
    ("org.team.id", ("a",), {"org": {"team": {"id": "b"}}}, False),
    ("org.team.id", ("a",), {"org": "team"}, False),
    ("https://example.com/role", ("a",), {"https://example.com/role": "a"}, True),
    ("https://example.com/role", ("a",), {"https://example.com/role": "b"}, False),
    ("email", (), {"email": "x"}, True),
    ("email", (), {"email": ""}, True),
    ("email", (), {"email": None}, False),
    ("email", (), {}, False),
    ("a..b", ("c",), {"a..b": "c"}, True),
]


async def test_claims_must_be_there_with_a_value_that_is_asked_for(call):
    for claim, values, said, passes in CLAIMS:
        answer = await call(guarded(claims=((claim, values),)), bearer(**said))
        if passes:
            assert answer.status_code == 200, (claim, values, said)
        else:
            status, reason, detail = refused(answer)
            assert (status, reason) == (403, "forbidden"), (claim, values, said)
            assert f"claim:{claim}" in detail


async def test_a_deleted_token_is_told_from_one_whose_claims_are_not_allowed(call):
    for must_expire, told in ((False, "its token is none of this endpoint's, or was deleted"), (True, "claim:sid")):
        guard = guarded(claims=(("sid", ("made",)),), must_expire=must_expire)
        assert (await call(guard, bearer(sid="made"))).status_code == 200
        status, reason, detail = refused(await call(guard, bearer(sid="gone")))
        assert (status, reason, told in detail) == (403, "forbidden", True)


async def test_every_claim_must_be_there(call):
    guard = guarded(claims=(("role", ("admin",)), ("level", (1,))))
    assert (await call(guard, bearer(role="admin", level=1))).status_code == 200
    for said in ({"role": "admin"}, {"level": 1}, {"role": "guest", "level": 1}):
        assert refused(await call(guard, bearer(**said)))[:2] == (403, "forbidden")


FORGED: list[Headers] = [
    {},
    {USER: "forged"},
    {USER.upper(): "forged", SAME_USER.title(): "forged"},
    [(USER, "forged"), (USER, "again"), (SAME_USER, "and again")],
    [(USER, "forged"), ("connection", f"close, {USER}")],
    {USER.replace("-", "_"): "forged", "X-Roost_User-Id": "forged", SAME_USER.replace("-", "_").upper(): "forged"},
]


async def test_the_agent_learns_the_user_of_the_token_and_nothing_that_was_forged(call):
    for forged in FORGED:
        sent = [*bearer().items(), *(forged.items() if isinstance(forged, dict) else forged)]
        answer = await call(guarded(), sent)
        assert seen(answer, USER) == seen(answer, SAME_USER) == ["user-1"], forged
        assert "forged" not in answer.text, "also where underscores and hyphens are the same"


async def test_on_an_open_route_user_headers_pass_as_they_were_sent(call):
    answer = await call(OPEN, {USER: "anybody"})
    assert seen(answer, USER) == ["anybody"]
    assert seen(await call(Guard(rate_limit=RateLimit(5)), {SAME_USER: "anybody"}), SAME_USER) == ["anybody"]


@pytest.mark.parametrize(
    ("claim", "said", "user"),
    [
        ("email", {"email": "a@example.com"}, "a@example.com"),
        ("id", {"id": 42}, "42"),
        ("id", {"id": 9007199254740991}, "9007199254740991"),
        ("person.id", {"person": {"id": "nested"}}, "nested"),
        ("name", {"name": "Zoë"}, "Zoë"),
    ],
)
async def test_the_user_is_the_claim_that_names_it(call, claim, said, user):
    answer = await call(guarded(user_claim=claim), bearer(**said))
    assert [value.encode("latin-1").decode() for value in seen(answer, USER)] == [user]


@pytest.mark.parametrize("said", [None, "", [], ["a"], {"a": 1}, True, "a\r\nx-roost-role: admin", "a\x00b"])
async def test_a_token_that_does_not_name_its_user_does_not_pass(call, said):
    status, reason, detail = refused(await call(guarded(user_claim="id"), bearer(id=said)))
    assert (status, reason) == (403, "forbidden")
    assert "user:id" in detail


async def test_the_token_reaches_the_agent_unless_it_is_the_gateways_business(call):
    sent = bearer()
    assert seen(await call(guarded(), sent), "authorization") == [sent["authorization"]]
    assert seen(await call(guarded(drops_authorization=True), sent), "authorization") == []
    assert seen(await call(OPEN, {"authorization": "Basic abc"}), "authorization") == ["Basic abc"]


async def test_only_allowed_addresses_pass_whatever_they_say_of_themselves(call):
    for allowed in (("127.0.0.0/8",), ("10.0.0.0/8", "127.0.0.1/32"), ("0.0.0.0/0",), ("127.0.0.9/8",)):
        assert (await call(Guard(allowed_cidrs=allowed))).status_code == 200, allowed
    for denied in (("10.0.0.0/8",), ("127.0.0.2/32", "2001:db8::/32"), ("::/0",)):
        answer = await call(Guard(allowed_cidrs=denied), {"x-forwarded-for": "10.0.0.1", "x-real-ip": "10.0.0.1"})
        assert refused(answer)[:2] == (403, "forbidden"), denied
        assert "address" in answer.json()["detail"]


async def test_an_address_that_is_not_allowed_is_refused_before_its_token_is_looked_at(call):
    guard = Guard(allowed_cidrs=("10.0.0.0/8",), jwt=guarded().jwt)
    assert (await call(guard)).status_code == 403


async def test_more_than_the_rate_limit_allows_is_429_and_says_when_to_come_again(call):
    guard = Guard(rate_limit=RateLimit(3, 3600))
    assert [(await call(guard)).status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = await call(guard)
    assert refused(answer)[:2] == (429, "rate_limited")
    assert answer.json()["type"] == "rate_limit_error"
    assert answer.headers["retry-after"] == "1200"


async def test_requests_without_a_good_token_do_not_use_up_the_rate_limit(call):
    guard = Guard(rate_limit=RateLimit(2, 3600), jwt=guarded(claims=(("role", ("a",)),)).jwt)
    for headers in ({}, bearer(role="b"), bearer(aud="x"), {}):
        assert (await call(guard, headers)).status_code in (401, 403)
    passed = [(await call(guard, bearer(role="a"))).status_code for _ in range(3)]
    assert passed == [200, 200, 429]


async def test_a_closed_route_lets_nobody_in_and_says_why(call):
    why = NO_KEYS_YET
    answer = await call(Guard(closed=why), bearer())
    assert refused(answer) == (503, "keys_unavailable", why)
    assert answer.headers["retry-after"]
    assert refused(await call(Guard(closed=why, allowed_cidrs=("10.0.0.0/8",))))[0] == 403


async def test_a_stopped_runtime_tells_strangers_nothing(gateway, client):
    await gateway.publish(Snapshot((route(unavailable=STOPPED, guard=guarded()),)))
    assert refused(await client(HOST).get("/"))[0] == 401
    assert refused(await client(HOST).get("/", headers=bearer()))[:2] == (503, "stopped")
