"""Canaries over HTTP: each route does what it says, and what is refused names its field."""

from typing import Any

import httpx
import pytest
from support.waiting import eventually

from api.envelopes import refused

pytestmark = pytest.mark.slow

CANARIES = "/runtimes/agent/canaries"
FIELDS = {
    "id", "endpoint", "endpoint_id", "from_version", "to_version", "steps", "interval_seconds", "max_error_rate",
    "max_p95_ratio", "min_requests", "status", "message", "step", "weight", "step_since", "old", "new", "revision",
    "created_at", "updated_at",
}  # fmt: skip


@pytest.fixture
async def recorded(http: httpx.AsyncClient, agent: dict[str, Any]) -> dict[str, Any]:
    """A runtime that serves version 1 and has a version 2 that is only recorded."""
    answer = await http.put("/runtimes/agent/config?apply=next_start", json={"config": {}})
    assert answer.status_code == 200, answer.text
    return agent


async def start(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await http.post(CANARIES, json={"to": 2, "interval_seconds": 3600, **body})
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_a_canary_is_started_with_its_defaults_and_shown(
    http: httpx.AsyncClient, recorded: dict[str, Any]
) -> None:
    answer = await http.post(CANARIES, json={"to": 2})
    shown = answer.json()
    assert (answer.status_code, set(shown)) == (201, FIELDS)
    assert (shown["endpoint"], shown["from_version"], shown["to_version"]) == ("DEFAULT", 1, 2)
    assert (shown["steps"], shown["interval_seconds"], shown["min_requests"]) == ([5, 25, 50, 100], 60, 20)
    assert (shown["max_error_rate"], shown["max_p95_ratio"]) == (0.01, 1.5)
    assert (shown["status"], shown["step"], shown["weight"], shown["step_since"]) == ("running", 0, 5, None)
    nothing = {"requests": 0, "errors": 0, "error_rate": 0, "p95_ms": None}
    assert (shown["old"], shown["new"]) == (
        {"version": 1, "weight": 100, **nothing},
        {"version": 2, "weight": 0, **nothing},
    )
    endpoint = (await http.get("/runtimes/agent/endpoints/DEFAULT")).json()
    assert endpoint["split"] == [{"version": 1, "weight": 95}, {"version": 2, "weight": 5}]


async def test_it_is_found_by_id_as_current_and_in_the_list(http: httpx.AsyncClient, recorded: dict[str, Any]) -> None:
    refused(await http.get(f"{CANARIES}/current"), 404)
    first = await start(http)
    await http.post(f"{CANARIES}/current/abort")
    second = await start(http)
    assert (await http.get(f"{CANARIES}/current")).json()["id"] == second["id"]
    assert (await http.get(f"{CANARIES}/{first['id'].upper()}")).json()["status"] == "aborted"
    page = (await http.get(f"{CANARIES}?limit=1")).json()
    assert [one["id"] for one in page["items"]] == [second["id"]]
    page = (await http.get(f"{CANARIES}?cursor={page['next_cursor']}")).json()
    assert ([one["id"] for one in page["items"]], page["next_cursor"]) == ([first["id"]], None)


async def test_each_verb_does_what_it_says_and_may_be_said_twice(
    http: httpx.AsyncClient, recorded: dict[str, Any]
) -> None:
    await start(http)
    for verb, status in (("pause", "paused"), ("resume", "running"), ("abort", "aborted")):
        for _ in range(2):
            answer = await http.post(f"{CANARIES}/current/{verb}")
            assert (answer.status_code, answer.json()["status"]) == (200, status), answer.text
    retried = await http.post(f"{CANARIES}/current/retry")
    assert (retried.status_code, retried.json()["interval_seconds"]) == (201, 3600)
    promoted = await http.post(f"{CANARIES}/{retried.json()['id']}/promote?wait=30")
    assert promoted.json()["status"] == "succeeded"
    assert (await http.post(f"{CANARIES}/current/promote")).json()["status"] == "succeeded"
    runtime = (await http.get("/runtimes/agent")).json()
    assert (runtime["applied_version"], runtime["stale"]) == (2, False)


async def test_wait_is_over_when_it_has_ended(http: httpx.AsyncClient, recorded: dict[str, Any]) -> None:
    answer = await http.post(f"{CANARIES}?wait=30", json={"to": 2, "steps": [100]})
    assert (answer.status_code, answer.json()["status"]) == (201, "succeeded")
    assert (await http.get(f"{CANARIES}/current?wait=30")).json()["status"] == "succeeded"


async def test_wait_is_over_when_its_time_is(http: httpx.AsyncClient, recorded: dict[str, Any]) -> None:
    answer = await http.post(f"{CANARIES}?wait=0.1", json={"to": 2})
    assert (answer.status_code, answer.json()["status"]) == (201, "running")


async def test_the_same_key_makes_one_canary(http: httpx.AsyncClient, recorded: dict[str, Any]) -> None:
    key = {"Idempotency-Key": "once"}
    first = await http.post(CANARIES, json={"to": 2}, headers=key)
    again = await http.post(CANARIES, json={"to": 2}, headers=key)
    assert (first.status_code, first.json()["id"]) == (201, again.json()["id"])
    refused(await http.post(CANARIES, json={"to": 2, "min_requests": 1}, headers=key), 409)
    await http.post(f"{CANARIES}/current/abort")
    retry = {"Idempotency-Key": "again"}
    ids = {(await http.post(f"{CANARIES}/{first.json()['id']}/retry", headers=retry)).json()["id"] for _ in range(2)}
    assert len(ids) == 1 and first.json()["id"] not in ids


async def test_a_key_whose_canary_is_gone_makes_no_other(http: httpx.AsyncClient, recorded: dict[str, Any]) -> None:
    await http.post("/runtimes/agent/endpoints?wait=30", json={"name": "second", "version": 1})
    once = {"Idempotency-Key": "once"}
    body = {"to": 2, "endpoint": "second"}
    assert (await http.post(CANARIES, json=body, headers=once)).status_code == 201
    await http.delete("/runtimes/agent/endpoints/second")
    again = await http.post(CANARIES, json=body, headers=once)
    assert "the canary it created has been deleted since" in refused(again, 409)["detail"]


async def test_a_stale_revision_is_refused(http: httpx.AsyncClient, recorded: dict[str, Any]) -> None:
    started = await start(http)
    paused = await http.post(f"{CANARIES}/current/pause", headers={"If-Match": f'"{started["revision"]}"'})
    assert paused.status_code == 200
    for verb in ("pause", "resume", "promote", "abort"):
        stale = await http.post(f"{CANARIES}/current/{verb}", headers={"If-Match": f'"{started["revision"]}"'})
        assert "revision" in refused(stale, 409)["detail"]
    assert (await http.get(f"{CANARIES}/current")).json()["revision"] == paused.json()["revision"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "to"),
        ({"to": 1}, "to"),
        ({"to": 9}, "to"),
        ({"to": 0}, "to"),
        ({"to": "2"}, "to"),
        ({"to": 2, "endpoint": "missing"}, "endpoint"),
        ({"to": 2, "steps": []}, "steps"),
        ({"to": 2, "steps": [5, 25]}, "steps"),
        ({"to": 2, "steps": [25, 5, 100]}, "steps"),
        ({"to": 2, "steps": [5, 5, 100]}, "steps"),
        ({"to": 2, "steps": [0, 100]}, "steps"),
        ({"to": 2, "steps": list(range(80, 101))}, "steps"),
        ({"to": 2, "steps": [5.5, 100]}, "steps"),
        ({"to": 2, "interval_seconds": -1}, "interval_seconds"),
        ({"to": 2, "max_error_rate": 1.1}, "max_error_rate"),
        ({"to": 2, "max_p95_ratio": 0.9}, "max_p95_ratio"),
        ({"to": 2, "min_requests": -1}, "min_requests"),
        ({"to": 2, "colour": "red"}, "colour"),
    ],
)
async def test_what_cannot_be_names_its_field(
    http: httpx.AsyncClient, recorded: dict[str, Any], body: dict[str, Any], field: str
) -> None:
    told = refused(await http.post(CANARIES, json=body), 422)
    assert field in {str(part) for error in told["errors"] for part in error["loc"]}, told
    assert (await http.get(CANARIES)).json()["items"] == []


async def test_an_endpoint_that_serves_not_exactly_one_version_is_refused(
    http: httpx.AsyncClient, recorded: dict[str, Any]
) -> None:
    async def refusal() -> str:
        told = refused(await http.post(CANARIES, json={"to": 2}), 409)
        assert told["errors"][0]["loc"] == ["endpoint"]
        detail: str = told["detail"]
        return detail

    split = [{"version": 1, "weight": 50}, {"version": 2, "weight": 50}]
    default = "/runtimes/agent/endpoints/DEFAULT"
    assert (await http.patch(f"{default}?wait=30", json={"split": split})).status_code == 200
    assert "split by hand" in await refusal()
    assert (await http.patch(f"{default}?wait=30", json={"version": 1})).status_code == 200
    await start(http)
    assert "a canary of it is under way" in await refusal()
    await http.post(f"{CANARIES}/current/abort")
    assert (await http.post("/runtimes/agent/stop?wait=30")).json()["status"] == "stopped"
    assert "it is stopped" in await refusal()


async def test_an_endpoint_that_is_on_its_way_elsewhere_is_refused(
    http: httpx.AsyncClient, recorded: dict[str, Any]
) -> None:
    broken = {"runtime_server": {"env": {"ROOST_SIMULATED_FAULT": "exits_at_once"}}}
    await http.put("/runtimes/agent/config?wait=30", json={"config": broken})
    told = refused(await http.post(CANARIES, json={"to": 2}), 409)
    assert "on its way to version 3" in told["detail"]


async def test_an_endpoint_that_serves_nothing_yet_is_refused(http: httpx.AsyncClient) -> None:
    broken = {"runtime_server": {"env": {"ROOST_SIMULATED_FAULT": "exits_at_once"}}}
    await http.post("/runtimes?wait=30", json={"name": "agent", "config": broken})
    await http.put("/runtimes/agent/config?apply=next_start", json={"config": {}})
    assert "serves nothing yet" in refused(await http.post(CANARIES, json={"to": 2}), 409)["detail"]


async def test_what_is_not_there_is_404(http: httpx.AsyncClient, recorded: dict[str, Any]) -> None:
    nobody = "01234567-89ab-cdef-0123-456789abcdef"
    refused(await http.get("/runtimes/missing/canaries"), 404)
    refused(await http.post("/runtimes/missing/canaries", json={"to": 2}), 404)
    for path in (f"{CANARIES}/{nobody}", f"{CANARIES}/current"):
        refused(await http.get(path), 404)
        refused(await http.post(f"{path}/abort"), 404)
    await http.post("/runtimes?wait=30", json={"name": "other"})
    canary = await start(http)
    refused(await http.get(f"/runtimes/other/canaries/{canary['id']}"), 404)


async def test_a_canary_of_another_endpoint(http: httpx.AsyncClient, recorded: dict[str, Any]) -> None:
    await http.post("/runtimes/agent/endpoints?wait=30", json={"name": "beta", "version": 1})
    shown = await start(http, endpoint="beta", steps=[100])
    assert shown["endpoint"] == "beta"

    async def pinned() -> bool:
        beta = (await http.get("/runtimes/agent/endpoints/beta")).json()
        return (beta["version"], beta["pinned"], beta["split"]) == (2, True, None)

    await eventually(pinned)
    assert (await http.get("/runtimes/agent/endpoints/DEFAULT")).json()["version"] == 1
