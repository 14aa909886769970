"""Tokens of endpoints: made, shown once, listed, revoked; and what the gateway is told of them."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt
import pytest
from roost_server.domain.guards import NO_KEYS_YET
from roost_server.domain.route import OPEN, Guard, JwtCheck
from roost_server.operations.endpoint_tokens import MOST_TOKENS
from roost_server.store import endpoint_tokens, key_sets, service_accounts
from support.platform import Rig
from support.waiting import eventually

from api.envelopes import refused

PATH = "/runtimes/agent/endpoints/DEFAULT/tokens"


async def create(http: httpx.AsyncClient, name: str, **more: Any) -> dict[str, Any]:
    answer = await http.post(PATH, json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_token_is_shown_once(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    made = await create(http, "partner")
    assert set(made) == {"id", "name", "token", "expires_at", "created_at"} and made["expires_at"] is None
    listed = (await http.get(PATH)).json()["items"]
    assert listed == [{name: made[name] for name in ("id", "name", "expires_at", "created_at")}]
    assert made["token"] not in (await http.get("/runtimes/agent/events")).text


async def test_a_token_says_what_it_is_for(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    made = await create(http, "partner", expires_in_seconds=3600)
    keys = jwt.PyJWKSet.from_dict((await http.get("http://roost.test/.well-known/jwks.json")).json())
    key = keys[jwt.get_unverified_header(made["token"])["kid"]]
    endpoint = (await http.get("/runtimes/agent/endpoints/DEFAULT")).json()["id"]
    claims = jwt.decode(made["token"], key, audience=endpoint)
    assert (claims["sub"], claims["sid"]) == ("partner", made["id"])
    lasts = datetime.fromtimestamp(claims["exp"], UTC) - datetime.fromtimestamp(claims["iat"], UTC)
    assert lasts.total_seconds() == pytest.approx(3600, abs=1)


async def test_a_token_of_an_endpoint_opens_no_door_of_the_api(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    made = await create(http, "partner")
    refused(await http.get("/runtimes", headers={"Authorization": f"Bearer {made['token']}"}), 401)


async def test_a_repeated_request_makes_one_token(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    once = {"Idempotency-Key": "one"}
    first, again = [(await http.post(PATH, json={"name": "partner"}, headers=once)).json() for _ in range(2)]
    assert first["id"] == again["id"]
    options: Any = {"verify_signature": False}
    assert jwt.decode(first["token"], options=options) == jwt.decode(again["token"], options=options)
    await http.delete(f"{PATH}/{first['id']}")
    refused(await http.post(PATH, json={"name": "partner"}, headers=once), 409)


async def test_a_name_is_given_once_until_its_token_is_gone_or_over(
    http: httpx.AsyncClient, agent: dict[str, Any], rig: Rig
) -> None:
    made = await create(http, "partner")
    refused(await http.post(PATH, json={"name": "partner"}), 409, "name")
    assert (await http.delete(f"{PATH}/{made['id']}")).status_code == 204
    endpoint = await rig.endpoint("agent")
    async with rig.store.write() as tx:
        await endpoint_tokens.insert(tx, endpoint.endpoint.id, "partner", datetime(2020, 1, 1, tzinfo=UTC))
    await create(http, "partner")


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("name", {}),
        ("name", {"name": ""}),
        ("name", {"name": "x" * 101}),
        ("name", {"name": "a\0b"}),
        ("name", {"name": "a\nb"}),
        ("expires_in_seconds", {"name": "a", "expires_in_seconds": 0}),
        ("expires_in_seconds", {"name": "a", "expires_in_seconds": 1 << 40}),
        ("expires_in_seconds", {"name": "a", "expires_in_seconds": "60"}),
        ("other", {"name": "a", "other": 1}),
    ],
)
async def test_a_wrong_field_is_named(
    http: httpx.AsyncClient, agent: dict[str, Any], field: str, body: dict[str, Any]
) -> None:
    refused(await http.post(PATH, json=body), 422, field)


async def test_the_event_of_a_deletion_names_the_token(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    made = (await http.post(PATH, json={"name": "partner"})).json()
    assert (await http.delete(f"{PATH}/{made['id']}")).status_code == 204
    told = (await http.get("/runtimes/agent/events")).json()["items"][0]
    assert told["message"] == "token partner of endpoint DEFAULT deleted"


async def test_what_is_not_there_is_not_found(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    refused(await http.get("/runtimes/agent/endpoints/other/tokens"), 404)
    refused(await http.post("/runtimes/other/endpoints/DEFAULT/tokens", json={"name": "a"}), 404)
    refused(await http.delete(f"{PATH}/00000000-0000-0000-0000-000000000000"), 404)


async def test_an_endpoint_has_only_so_many(http: httpx.AsyncClient, agent: dict[str, Any], rig: Rig) -> None:
    endpoint = await rig.endpoint("agent")
    async with rig.store.write() as tx:
        for number in range(MOST_TOKENS):
            await endpoint_tokens.insert(tx, endpoint.endpoint.id, f"token {number}", None)
    assert "delete one" in refused(await http.post(PATH, json={"name": "one more"}), 409)["detail"]


async def guard(rig: Rig) -> Guard:
    assert rig.gateway.snapshot is not None
    [route] = rig.gateway.snapshot.routes
    return route.guard


async def accepted(rig: Rig) -> set[str]:
    """The ids of tokens that the gateway was last told to let pass."""
    check = (await guard(rig)).jwt
    return {str(value) for claim, values in check.claims for value in values if claim == "sid"} if check else set()


async def test_the_gateway_is_told_whose_tokens_pass(http: httpx.AsyncClient, agent: dict[str, Any], rig: Rig) -> None:
    made = await create(http, "partner")
    assert await guard(rig) == OPEN
    await http.patch("/runtimes/agent/endpoints/DEFAULT", json={"access": {"mode": "token"}})

    async def own() -> str:
        async with rig.store.read() as tx:
            account = await service_accounts.get(tx, str(agent["id"]))
        assert account is not None
        return account.secret_id

    before = await own()
    await eventually(lambda: _is(rig, {made["id"], before}))
    later = await create(http, "later")
    await eventually(lambda: _is(rig, {made["id"], later["id"], before}))
    await http.delete(f"{PATH}/{made['id']}")
    await eventually(lambda: _is(rig, {later["id"], before}))
    await http.post("/runtimes/agent/service-account/reset")
    after = await own()
    await eventually(lambda: _is(rig, {later["id"], after}))
    check = (await guard(rig)).jwt
    assert isinstance(check, JwtCheck) and str(agent["id"]) in check.audiences
    assert check.issuer == jwt.decode(later["token"], options={"verify_signature": False})["iss"]


async def test_who_waits_for_a_token_waits_until_the_gateway_knows(
    http: httpx.AsyncClient, agent: dict[str, Any], rig: Rig
) -> None:
    await http.patch("/runtimes/agent/endpoints/DEFAULT?wait=30", json={"access": {"mode": "token"}})

    async def there() -> list[str]:
        return [one["id"] for one in (await http.get(PATH)).json()["items"]]

    rig.gateway.available = False
    making = asyncio.create_task(http.post(f"{PATH}?wait=30", json={"name": "partner"}))
    [made] = await eventually(there)
    assert not making.done() and made not in await accepted(rig)
    rig.gateway.available = True
    assert (await making).json()["id"] == made and made in await accepted(rig)

    async def gone() -> bool:
        return not await there()

    rig.gateway.available = False
    deleting = asyncio.create_task(http.delete(f"{PATH}/{made}?wait=30"))
    await eventually(gone)
    assert not deleting.done() and made in await accepted(rig)
    rig.gateway.available = True
    assert (await deleting).status_code == 204 and made not in await accepted(rig)


async def _is(rig: Rig, ids: set[str]) -> bool:
    return await accepted(rig) == ids


async def test_others_keys_are_fetched_once_an_endpoint_names_them(
    http: httpx.AsyncClient, agent: dict[str, Any], rig: Rig
) -> None:
    url = "http://127.0.0.1:9/keys"
    access = {"mode": "jwt", "jwt": {"jwks_uri": url}}
    await http.patch("/runtimes/agent/endpoints/DEFAULT", json={"access": access})

    async def is_closed_for_want_of_keys() -> bool:
        async with rig.store.read() as tx:
            found = await key_sets.find(tx, url)
        return (await guard(rig)).closed == NO_KEYS_YET and found is not None and url in (found.message or "")

    await eventually(is_closed_for_want_of_keys)
