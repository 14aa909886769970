"""Endpoints over HTTP: URLs, what serves them, and every error with its field."""

import asyncio
from typing import Any

import httpx
import pytest
from roost_server.engines.simulated import FAULT_VARIABLE
from support.platform import Rig
from support.waiting import eventually

from api.envelopes import refused

ENDPOINTS = "/runtimes/agent/endpoints"
JWT = {"mode": "jwt", "jwt": {"issuer": "https://issuer.example.com"}}
NEVER_HEALTHY = {FAULT_VARIABLE: "never_healthy"}
DEEP: list[Any] = []
for _ in range(500):
    DEEP = [DEEP]


@pytest.fixture
async def two(http: httpx.AsyncClient, agent: dict[str, Any]) -> dict[str, Any]:
    """The runtime `agent` with two versions, the second serving."""
    config = (await http.get("/runtimes/agent/config")).json()
    assert (await http.put("/runtimes/agent/config?wait=30", json=config)).status_code == 200
    return agent


async def create(http: httpx.AsyncClient, name: str, **values: Any) -> dict[str, Any]:
    answer = await http.post(f"{ENDPOINTS}?wait=30", json={"name": name, **values})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def update(http: httpx.AsyncClient, name: str, **values: Any) -> dict[str, Any]:
    answer = await http.patch(f"{ENDPOINTS}/{name}?wait=30", json=values)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


async def default(http: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get(f"{ENDPOINTS}/DEFAULT")).json()
    return found


async def test_the_default_endpoint_is_shown_whole(http: httpx.AsyncClient, two: dict[str, Any]) -> None:
    shown = await default(http)
    assert (shown["default"], shown["status"], shown["version"], shown["target_version"]) == (True, "active", 2, 2)
    assert (shown["pinned"], shown["split"], shown["live"]) == (False, None, [{"version": 2, "weight": 100}])
    assert shown["ready_replicas"] == 1
    assert shown["access"] == {"mode": "public", "jwt": None, "allowed_cidrs": [], "rate_limit": None}
    assert shown == (await http.get(f"{ENDPOINTS}/{shown['id']}")).json()


async def test_a_further_endpoint_is_pinned_followed_and_removed(http: httpx.AsyncClient, two: dict[str, Any]) -> None:
    made = await create(http, "canary", version=1)
    assert (made["status"], made["version"], made["pinned"], made["default"]) == ("active", 1, True, False)
    assert made["url"] == f"http://{made['id']}.localhost:7080"
    assert [one["name"] for one in (await http.get(ENDPOINTS)).json()["items"]] == ["DEFAULT", "canary"]
    followed = await update(http, "canary", version=None)
    assert (followed["version"], followed["pinned"], followed["status"]) == (2, False, "active")
    assert (await http.delete(f"{ENDPOINTS}/canary")).status_code == 204
    refused(await http.get(f"{ENDPOINTS}/canary"), 404)


async def test_the_same_key_makes_one_endpoint(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    answers = [
        await http.post(ENDPOINTS, json={"name": "canary"}, headers={"Idempotency-Key": "one"}) for _ in range(2)
    ]
    assert [one.status_code for one in answers] == [201, 201]
    assert answers[0].json()["id"] == answers[1].json()["id"]


async def test_a_key_whose_endpoint_has_been_deleted_makes_no_other(
    http: httpx.AsyncClient, agent: dict[str, Any]
) -> None:
    once = {"Idempotency-Key": "one"}
    assert (await http.post(ENDPOINTS, json={"name": "canary"}, headers=once)).status_code == 201
    await http.delete(f"{ENDPOINTS}/canary")
    again = await http.post(ENDPOINTS, json={"name": "canary"}, headers=once)
    assert "the endpoint it created has been deleted since" in refused(again, 409)["detail"]
    assert [one["name"] for one in (await http.get(ENDPOINTS)).json()["items"]] == ["DEFAULT"]


async def test_traffic_is_split_and_put_back(http: httpx.AsyncClient, two: dict[str, Any]) -> None:
    shares = [{"version": 1, "weight": 90}, {"version": 2, "weight": 10}]
    split = await update(http, "DEFAULT", split=shares)
    assert (split["status"], split["live"], split["split"]) == ("active", shares, shares)
    whole = await update(http, "DEFAULT", split=[{"version": 1, "weight": 100}, {"version": 2, "weight": 0}])
    assert (whole["split"], whole["pinned"], whole["version"]) == (None, True, 1)


async def test_waiting_for_an_endpoint_is_not_held_up_by_another_one(
    http: httpx.AsyncClient, two: dict[str, Any]
) -> None:
    await create(http, "follower")
    env = {"ROOST_SIMULATED_FAULT": "never_healthy"}
    never = {"config": {"runtime_server": {"env": env}, "health": {"port": 8080}}}
    assert (await http.put("/runtimes/agent/config", json=never)).status_code == 200
    async with asyncio.timeout(20):
        back = await update(http, "DEFAULT", version=2)
    assert (back["status"], back["live"]) == ("active", [{"version": 2, "weight": 100}])
    assert (await http.get(f"{ENDPOINTS}/follower")).json()["status"] == "updating"


async def test_another_endpoint_becomes_the_default(http: httpx.AsyncClient, two: dict[str, Any]) -> None:
    await create(http, "blue", version=1)
    assert (await update(http, "blue", default=True))["default"] is True
    assert (await default(http))["default"] is False
    refused(await http.delete(f"{ENDPOINTS}/blue"), 409)
    assert (await http.delete(f"{ENDPOINTS}/DEFAULT")).status_code == 204


async def test_an_endpoint_stops_and_starts(http: httpx.AsyncClient, two: dict[str, Any]) -> None:
    await create(http, "canary", version=1)
    stopped = (await http.post(f"{ENDPOINTS}/canary/stop?wait=30")).json()
    assert (stopped["status"], stopped["live"]) == ("stopped", [])
    assert (await http.post(f"{ENDPOINTS}/canary/stop?wait=30")).json()["status"] == "stopped"
    assert (await http.post(f"{ENDPOINTS}/canary/start?wait=30")).json()["status"] == "active"
    assert (await default(http))["status"] == "active"


async def test_access_is_replaced_whole(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    limited = await update(http, "DEFAULT", access={"allowed_cidrs": ["10.0.0.0/8"], "rate_limit": {"requests": 5}})
    assert limited["access"]["rate_limit"] == {"requests": 5, "per_seconds": 1}
    guarded = await update(http, "DEFAULT", access=JWT)
    assert (guarded["access"]["mode"], guarded["access"]["allowed_cidrs"]) == ("jwt", [])
    assert guarded["access"]["jwt"]["user_claim"] == "sub"
    assert (await update(http, "DEFAULT", version=1))["access"] == guarded["access"]


@pytest.mark.parametrize("name", ["", "-x", "x-", "a b", "x" * 64, "0b6fa8a6-4f7c-4a0e-9f0e-2d9a2a3f1c11"])
async def test_a_name_that_cannot_be_is_refused(http: httpx.AsyncClient, agent: dict[str, Any], name: str) -> None:
    refused(await http.post(ENDPOINTS, json={"name": name}), 422, "name")


@pytest.mark.parametrize("name", ["canary", "CANARY", "default"])
async def test_a_taken_name_is_refused_however_it_is_written(
    http: httpx.AsyncClient, agent: dict[str, Any], name: str
) -> None:
    await create(http, "canary")
    assert refused(await http.post(ENDPOINTS, json={"name": name}), 409, "name")["type"] == "already_exists_error"


async def test_the_fifty_first_endpoint_is_refused(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    for number in range(49):
        assert (await http.post(ENDPOINTS, json={"name": f"e{number}"})).status_code == 201
    assert "delete one first" in refused(await http.post(ENDPOINTS, json={"name": "more"}), 409)["detail"]


@pytest.mark.parametrize("version", [0, -1, 3, 2**31, "1", 1.5])
async def test_a_version_that_is_none_names_the_field(
    http: httpx.AsyncClient, two: dict[str, Any], version: Any
) -> None:
    refused(await http.post(ENDPOINTS, json={"name": "canary", "version": version}), 422, "version")
    refused(await http.patch(f"{ENDPOINTS}/DEFAULT", json={"version": version}), 422, "version")
    assert (await default(http))["pinned"] is False


@pytest.mark.parametrize(
    ("shares", "field"),
    [
        ([(1, 50), (2, 49)], "split"),
        ([(1, 50), (2, 51)], "split"),
        ([(1, 50), (3, 50)], "split"),
        ([(1, 50), (1, 100)], "split"),
        ([(1, 101), (2, -1)], "split.0.weight"),
        ([(0, 100)], "split.0.version"),
        ([], "split"),
        ([(1, 0)] * 11, "split"),
    ],
)
async def test_weights_that_cannot_be_name_the_field(
    http: httpx.AsyncClient, two: dict[str, Any], shares: list[tuple[int, int]], field: str
) -> None:
    split = [{"version": version, "weight": weight} for version, weight in shares]
    refused(await http.patch(f"{ENDPOINTS}/DEFAULT", json={"split": split}), 422, field)
    assert (await default(http))["split"] is None


async def test_a_version_and_a_split_at_once_are_refused(http: httpx.AsyncClient, two: dict[str, Any]) -> None:
    body = {"version": 1, "split": [{"version": 2, "weight": 100}]}
    assert "either" in refused(await http.patch(f"{ENDPOINTS}/DEFAULT", json=body), 422, "split")["detail"]


@pytest.mark.parametrize(
    ("access", "field"),
    [
        ({"mode": "secret"}, "access.mode"),
        ({"mode": "jwt"}, "access"),
        ({"mode": "public", "jwt": JWT["jwt"]}, "access"),
        ({"mode": "jwt", "jwt": {}}, "access.jwt"),
        ({"mode": "jwt", "jwt": {"issuer": "no-url"}}, "access.jwt"),
        ({"mode": "jwt", "jwt": {"jwks": {}}}, "access.jwt"),
        ({"mode": "jwt", "jwt": {"jwks": {"keys": [], "x": DEEP}}}, "access.jwt"),
        ({"mode": "jwt", "jwt": {"jwks": {"keys": ["k" * (256 << 10)]}}}, "access.jwt"),
        ({"mode": "jwt", "jwt": {**JWT["jwt"], "required_claims": {"a": ["x"] * 101}}}, "access.jwt"),
        ({"mode": "jwt", "jwt": {**JWT["jwt"], "required_claims": {"a": "x" * 513}}}, "access.jwt"),
        ({"mode": "jwt", "jwt": {**JWT["jwt"], "audiences": ["x" * 513]}}, "access.jwt"),
        ({"mode": "jwt", "jwt": {"jwks_uri": "file:///x"}}, "access.jwt.jwks_uri"),
        ({"allowed_cidrs": ["nonsense"]}, "access"),
        ({"rate_limit": {"requests": 0}}, "access.rate_limit.requests"),
        ({"rate_limit": {"requests": 1, "per_seconds": 0}}, "access.rate_limit.per_seconds"),
        ({"colour": "red"}, "access.colour"),
    ],
)
async def test_access_that_cannot_be_names_the_field(
    http: httpx.AsyncClient, agent: dict[str, Any], access: dict[str, Any], field: str
) -> None:
    refused(await http.patch(f"{ENDPOINTS}/DEFAULT", json={"access": access}), 422, field)
    refused(await http.post(ENDPOINTS, json={"name": "canary", "access": access}), 422, field)


async def test_who_waits_for_a_deletion_waits_until_the_gateway_has_it(
    http: httpx.AsyncClient, two: dict[str, Any], rig: Rig
) -> None:
    made = await create(http, "canary", version=1)

    def routes() -> set[str]:
        return {route.id for route in rig.gateway.snapshot.routes} if rig.gateway.snapshot else set()

    async def gone() -> bool:
        return (await http.get(f"{ENDPOINTS}/canary")).status_code == 404

    rig.gateway.available = False
    deleting = asyncio.create_task(http.delete(f"{ENDPOINTS}/canary?wait=30"))
    await eventually(gone)
    assert not deleting.done() and made["id"] in routes()
    rig.gateway.available = True
    assert (await deleting).status_code == 204 and made["id"] not in routes()


async def test_the_default_endpoint_stays(http: httpx.AsyncClient, agent: dict[str, Any]) -> None:
    assert "default" in refused(await http.delete(f"{ENDPOINTS}/DEFAULT"), 409)["detail"]
    refused(await http.patch(f"{ENDPOINTS}/DEFAULT", json={"default": False}), 422, "default")


async def test_a_stale_revision_changes_nothing(http: httpx.AsyncClient, two: dict[str, Any]) -> None:
    made = await create(http, "canary")
    stale = {"If-Match": f'"{made["revision"]}"'}
    changed = await http.patch(f"{ENDPOINTS}/canary", json={"version": 1}, headers=stale)
    assert changed.json()["revision"] == made["revision"] + 1
    refused(await http.patch(f"{ENDPOINTS}/canary", json={"version": 2}, headers=stale), 409)
    refused(await http.delete(f"{ENDPOINTS}/canary", headers=stale), 409)


@pytest.mark.parametrize("call", ["GET ", "PATCH ", "DELETE ", "POST /start", "POST /stop"])
async def test_an_endpoint_that_is_not_there(http: httpx.AsyncClient, agent: dict[str, Any], call: str) -> None:
    method, path = call.split(" ")
    body = {"json": {}} if method == "PATCH" else {}
    assert "missing" in refused(await http.request(method, f"{ENDPOINTS}/missing{path}", **body), 404)["detail"]


async def test_endpoints_of_a_runtime_that_is_being_deleted_do_not_change(
    http: httpx.AsyncClient, agent: dict[str, Any]
) -> None:
    await http.delete("/runtimes/agent")
    answer = await http.post(ENDPOINTS, json={"name": "canary"})
    refused(answer, 404 if answer.status_code == 404 else 409)


async def test_an_endpoint_says_why_the_keys_of_its_callers_cannot_be_had(
    http: httpx.AsyncClient, agent: dict[str, Any]
) -> None:
    access = {"mode": "jwt", "jwt": {"jwks_uri": "http://127.0.0.1:1/keys"}}
    made = await create(http, "partners", access=access)
    assert (made["routed"], "cannot fetch keys from http://127.0.0.1:1/keys" in made["message"]) == (True, True)
    changed = await update(http, "DEFAULT", access={"mode": "jwt", "jwt": {"jwks_uri": "http://127.0.0.1:1/others"}})
    assert (changed["routed"], "http://127.0.0.1:1/others" in changed["message"]) == (True, True)


async def test_a_change_of_access_does_not_wait_for_a_version_that_is_on_its_way(
    http: httpx.AsyncClient, two: dict[str, Any]
) -> None:
    config = {"build": {"source": {"kind": "image", "ref": "hello"}}, "runtime_server": {"env": NEVER_HEALTHY}}
    await http.put("/runtimes/agent/config", json={"config": config})
    update_of_the_version = asyncio.create_task(http.get(f"{ENDPOINTS}/DEFAULT?wait=60"))
    changed = await update(http, "DEFAULT", access={"mode": "token"})
    assert (changed["status"], changed["routed"], changed["access"]["mode"]) == ("updating", True, "token")
    assert not update_of_the_version.done()
    update_of_the_version.cancel()
